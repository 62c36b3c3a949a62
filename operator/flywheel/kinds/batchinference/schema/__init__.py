"""What a user writes into a BatchInference (`spec`), what is read from it (`status`), and the ModelVersions that it needs (`versions_in_use`)."""
