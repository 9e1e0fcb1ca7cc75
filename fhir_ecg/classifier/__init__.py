"""The network, its preprocessing, weights, inference and decision."""
