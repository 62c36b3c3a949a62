"""Gates that need rows: the Job that measures a version beside the champion, and what its result adds to the version's plan."""
