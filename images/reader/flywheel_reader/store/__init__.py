"""The folders of the namespaces in the store, read with a read-only key for each."""
