"""The step `monitor`: a run of a ModelMonitor over its complete windows.

config.py              params.json
main.py                inputs in; report, state and facts out
stored_rows.py         rows of a BatchInference, or of another server
uncounted_versions.py  counts of logged rows, where servers count nothing
service_levels.py      errors and latencies
signal_states.py       True, False or Unknown for each signal, and why
"""
