"""What a resource is: its API, its schema, its names, its children and the plan for it."""
