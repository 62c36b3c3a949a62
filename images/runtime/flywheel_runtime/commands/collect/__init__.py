"""The sidecar that watches main, enforces its timeout, keeps its outputs and reports."""
