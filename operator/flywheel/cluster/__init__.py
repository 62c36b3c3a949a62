"""The only importer of the Kubernetes client: plain dicts in, plain dicts out."""
