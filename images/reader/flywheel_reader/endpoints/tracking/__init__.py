"""Endpoints of what was tracked: trials and steps, their logs, curves, files and outputs, and the reports of evaluations."""
