"""Flywheel: one Kubernetes operator for the whole life of a machine-learning model.

core     pure ideas: schemas, plans, conditions, names, workloads (standard library and pydantic only)
kinds    one folder for each resource kind: what a user writes, what is seen, what is decided
cluster  the only importer of the Kubernetes client
engine   watches, queues, applies; knows no kind
cli      the `flywheel` command
"""

__version__ = "0.1.0"
