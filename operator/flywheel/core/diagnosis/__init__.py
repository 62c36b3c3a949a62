"""Diagnosis of pods and Jobs: why one does not run, and how one ended."""
