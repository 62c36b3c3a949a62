"""Commands that read what was tracked and stored: through the reader, with the rights of the user, never from the store itself."""
