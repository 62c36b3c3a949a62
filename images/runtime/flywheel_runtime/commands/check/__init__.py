"""`check`: compare a source with its schema, and write a version of the Dataset."""
