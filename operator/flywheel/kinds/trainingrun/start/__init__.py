"""The start of a run: its revision, parameters and data are resolved once and stay the same until its end."""
