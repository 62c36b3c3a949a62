"""A model artifact as a Triton model repository."""
