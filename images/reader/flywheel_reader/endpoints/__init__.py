"""The endpoints, each with the right that it needs."""
