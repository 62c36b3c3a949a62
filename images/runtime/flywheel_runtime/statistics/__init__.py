"""The numbers behind gates, from arrays alone: NumPy and the standard library."""
