"""The preset beside FLAML and AutoGluon on public tables: `python -m e2e.bench.automl`, on the development cluster."""
