"""What there is, what it waits for, and why: `flywheel status` and `flywheel explain`."""
