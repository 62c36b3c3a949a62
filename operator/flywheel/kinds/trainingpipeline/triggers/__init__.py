"""Triggers: what has happened since one last fired (`causes`, `monitor_findings`, `succeeded_runs`), whether it may start a run (`guard`), and both for all (`firing`)."""
