"""How fast tables are read: `python -m e2e.bench.tables --before REVISION`."""
