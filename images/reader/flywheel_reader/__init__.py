"""The reader: a read-only HTTP server for what Flywheel stored, with the rights of the caller in the cluster."""
