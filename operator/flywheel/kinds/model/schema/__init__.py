"""What a user writes into a Model (`spec`), the conditions that a version must meet (`gates`), and what is read from it (`status`)."""
