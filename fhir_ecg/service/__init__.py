"""The use cases, a module each: submit, classify, read and search."""
