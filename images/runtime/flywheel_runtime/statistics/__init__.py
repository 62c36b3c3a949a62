"""Metrics, intervals, calibration, curves and groups from arrays alone: each quantity is defined here once, and every command uses it."""
