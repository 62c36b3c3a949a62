"""HTTP, to hosts and addresses that are allowed."""
