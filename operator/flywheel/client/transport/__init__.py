"""Requests to the reader and to model servers: where they are, which token they take, what they answer."""
