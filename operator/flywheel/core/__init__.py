"""The pure core: standard library and pydantic only; no I/O, no clock, no randomness."""
