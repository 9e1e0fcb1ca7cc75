"""The OpenAPI description, made of the routes, the search parameters and what is known of each."""
