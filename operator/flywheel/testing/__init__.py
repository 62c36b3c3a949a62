"""A cluster in memory and builders of what lives in it, for tests of kinds: Flywheel's own and those of whoever extends it.

cluster = FakeCluster(kinds=(DATASET_KIND,), now=NOON)
orders = resource(DATASET_KIND, "orders", {"format": "CSV"})
cluster.put(manifest(orders), job(orders, "orders-check-1", state="Failed"), pod(orders, "p", main=oom_killed()))
plan = decide(orders, observe(orders, cluster))
"""

from flywheel.testing.cluster import FakeCluster
from flywheel.testing.pods import (
    State,
    evicted,
    oom_killed,
    pod,
    running,
    terminated,
    unschedulable,
    waiting,
)
from flywheel.testing.resources import NOON, job, manifest, params, resource, uid_of

__all__ = [
    "NOON",
    "FakeCluster",
    "State",
    "evicted",
    "job",
    "manifest",
    "oom_killed",
    "params",
    "pod",
    "resource",
    "running",
    "terminated",
    "uid_of",
    "unschedulable",
    "waiting",
]
