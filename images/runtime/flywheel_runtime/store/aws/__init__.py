"""What only AWS has: signatures, its endpoints, and credentials for pods without a key."""
