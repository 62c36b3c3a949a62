"""Monitoring of served versions: counts against a version's baseline, tests with an alarm budget, and reports."""
