"""The resource kinds, one package for each; the engine discovers them."""
