"""What a user writes into a Dataset (`spec`), and what is read from it (`status`)."""
