"""Flask: thin blueprints that turn HTTP into a use case and back."""
