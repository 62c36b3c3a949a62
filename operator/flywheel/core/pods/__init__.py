"""Builders of pods, Jobs and CronJobs from typed fields of a spec."""
