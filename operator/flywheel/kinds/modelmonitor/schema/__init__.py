"""What a user writes into a ModelMonitor (`spec`), and what is read from it (`status`)."""
