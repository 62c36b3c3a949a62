"""Objects of the cluster: typed ones to apply, those that exist, and runs."""
