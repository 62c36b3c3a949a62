"""What runs in the pods of Flywheel: fetch, collect, our steps, and `run` for user code. Contract: images/README.md."""
