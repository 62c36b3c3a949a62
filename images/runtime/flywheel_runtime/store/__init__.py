"""Object storage: content-addressed blobs, manifests written last, results of attempts (images/README.md)."""
