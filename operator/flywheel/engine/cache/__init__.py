"""The cache of watched objects: the informer fills it, the resync heals it, a view reads it."""
