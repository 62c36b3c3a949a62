"""A cluster in memory and builders of what lives in it, for tests of kinds. No image has it.

cluster = FakeCluster(kinds=(DATASET_KIND,), now=NOON)
orders = resource(DATASET_KIND, "orders", {"format": "CSV"})
cluster.put(manifest(orders), job(orders, "orders-check-1", state="Failed"), pod(orders, "p", main=oom_killed_state()))
plan = decide(orders, observe(orders, cluster))
"""

from tests.simulation.cluster import FakeCluster
from tests.simulation.pods import (
    State,
    evicted_pod,
    oom_killed_state,
    pod,
    running_state,
    terminated_state,
    unschedulable_pod,
    waiting_state,
)
from tests.simulation.resources import NOON, job, manifest, params, resource, uid_of

__all__ = [
    "NOON",
    "FakeCluster",
    "State",
    "evicted_pod",
    "job",
    "manifest",
    "oom_killed_state",
    "params",
    "pod",
    "resource",
    "running_state",
    "terminated_state",
    "uid_of",
    "unschedulable_pod",
    "waiting_state",
]
