"""The reader beside MLflow's search of the same runs."""
