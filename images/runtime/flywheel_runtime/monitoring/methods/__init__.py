"""How the looks of one time are tested together: look_observer.py, by the methods Sequential and Fixed."""
