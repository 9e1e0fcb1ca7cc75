"""What the subcommands do that is more than a call of a use case."""
