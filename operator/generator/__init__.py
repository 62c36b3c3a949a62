"""The generator of what is written from the code: CRDs, permissions, and the API reference. `make generate` runs it; no image has it."""
