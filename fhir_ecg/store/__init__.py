"""Tables, repositories, the unit of work. Only this package knows SQL."""
