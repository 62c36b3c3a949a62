"""Benchmarks of monitoring: speed and memory, false alarms, and how soon a change is found.

__main__.py            runs those of `make bench-monitoring`, and writes results/monitoring.json and .md
roll_ups.py            the time and memory of reading and adding count documents, and of a whole run
false_alarms.py        null years, and the alarms that they raise
simulated_streams.py   many monitored streams at once, at the level of counts
power.py               how soon a shift is found, beside the rules of other monitors; into results/drift_power.md
peer_rules.py          those rules by their formulas
evidently_windows.py   Evidently's own answers, in an environment of its own
"""
