"""What was tracked: the index of records in memory, its search, and the curves of trials."""
