"""A model server under attack on loopback: what a good client loses."""
