"""What a user writes into an Experiment (`spec`), what is read from it (`status`), and what cannot change once the search has started (`immutable`)."""
