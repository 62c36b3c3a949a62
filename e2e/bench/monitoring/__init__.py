"""Benchmarks of monitoring: speed and memory, false alarms, and how soon a change is found."""
