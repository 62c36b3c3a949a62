"""Pure ideas that everything else stands on. Standard library and pydantic only; no I/O, no clock, no randomness."""
