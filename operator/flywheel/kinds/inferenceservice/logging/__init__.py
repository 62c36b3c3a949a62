"""Logging of predictions (`spec.logging`): what a server's pod needs for it, and whether it fits the model."""
