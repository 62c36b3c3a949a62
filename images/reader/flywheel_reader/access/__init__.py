"""Who the caller is, what they may read, and the objects of the cluster."""
