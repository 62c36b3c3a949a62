"""The programs that can serve a model (`spec.runtime`): our server, Triton, any other image."""
