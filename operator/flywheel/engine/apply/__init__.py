"""Writes to the API server: children, deletions, status and events."""
