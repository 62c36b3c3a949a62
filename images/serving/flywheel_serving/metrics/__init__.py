"""Prometheus metrics of the server, and Triton's statistics of the model."""
