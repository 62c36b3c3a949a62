"""Triggers: what has happened since a trigger last fired (`causes`), and whether it may start a run now (`guard`)."""
