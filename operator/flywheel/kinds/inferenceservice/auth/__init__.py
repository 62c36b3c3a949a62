"""Authentication of callers (`spec.auth`): what a server's pod needs for it."""
