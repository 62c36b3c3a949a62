"""How fast pipelines are: the time between steps, a run that was done before, and an operator that keeps a thousand runs."""
