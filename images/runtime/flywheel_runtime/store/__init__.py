"""Object storage: content-addressed blobs, manifests written last, results of attempts. Layout: images/README.md, "The store"."""
