"""Tries a model before it is served: with golden rows, an example, or synthetic rows."""
