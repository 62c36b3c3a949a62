"""The work that Flywheel's own steps do in the `main` container: `check` for a Dataset, `train` for a trial."""
