"""Finding what was changed behind the service's back: the chain, the rows that it holds, and what follows from them."""
