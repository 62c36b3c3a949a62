"""A step in several pods of one Indexed Job: a group of ranks that train one model, or one pod for each item of a list of parameters.

    Distributed                                 ItemSet
    rank 0 ◄──── headless Service ────► rank 1  item 0   item 1   item 2 …  at most `parallelism` at once
      │  outputs, metrics                 │       │ its own parameters, outputs, metrics
      └── one is lost: all are ───────────┘       └── one fails: the others go on

A group succeeds or fails as a whole: whatever ends one rank ends its Job, and another attempt is another Job, as for every step.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flywheel.core.pods.distributed import Distributed
from flywheel.core.resource import names
from flywheel.core.resource.api import SERVICE
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.names import INDEX_LABEL, INDEXED_LABEL, ITEMS_ANNOTATION, LEADER_RANK
from flywheel.core.resource.plan import Child

RENDEZVOUS_PORT = 29500  # torch's own default
TRACKER_PORT = 9091  # the tracker of XGBoost, which rank 0 starts
MAX_ITEM_PARAMETERS_BYTES = 100_000  # one environment variable may have 128 KiB
NO_RETRIES = {"backoffLimit": 0}


@dataclass(frozen=True)
class ItemSet:
    """One pod for each of `parameters`, which add to the step's own. `items` are the numbers of those to do; empty means all.

    Raises:
        ValueError: the parameters are too long for an environment variable.
    """

    parameters: tuple[Mapping[str, Any], ...]
    parallelism: int
    items: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        size = len(self.parameters_json().encode())
        if size > MAX_ITEM_PARAMETERS_BYTES:
            raise ValueError(f"the parameters of all items have {size} bytes and may have {MAX_ITEM_PARAMETERS_BYTES}")

    @property
    def numbers(self) -> tuple[int, ...]:
        """The items to do, by the index of their pods."""
        return self.items or tuple(range(len(self.parameters)))

    def parameters_json(self) -> str:
        """Returns the parameters that each item adds, by the index of its pod."""
        return json.dumps([self.parameters[number] for number in self.numbers], sort_keys=True)


Indexed = Distributed | ItemSet


@dataclass(frozen=True)
class JobAdditions:
    """What several pods add to a step's Job: fields of its spec and of its pod's, labels, annotations, environment."""

    name: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    pod: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)  # of all containers
    fetch_env: Mapping[str, str] = field(default_factory=dict)
    main_env: Mapping[str, str] = field(default_factory=dict)
    index_names: tuple[str, ...] = ()  # variables of all containers that hold the pod's index
    main_index_names: tuple[str, ...] = ()


def job_additions(resource: AnyResource, step: str, attempt: int, indexed: Indexed | None) -> JobAdditions:
    """Returns what is different for this step; nothing but the Job's name where it is one pod."""
    if indexed is None:
        return JobAdditions(names.job(resource, step, attempt), spec=NO_RETRIES)
    count = indexed.nodes if isinstance(indexed, Distributed) else len(indexed.numbers)
    # A pod's host name is the Job's and its index, and may have as many characters as the Job's alone.
    name = names.job(resource, step, attempt, max_length=names.MAX_NAME_LENGTH - len(f"-{count - 1}"))
    return _group(resource, name, indexed) if isinstance(indexed, Distributed) else _items(name, indexed)


def service_name(resource: AnyResource) -> str:
    """Returns the name of the headless Service that resolves the ranks of all groups of a resource."""
    return names.child(resource, "ranks")


def headless_service(resource: AnyResource) -> Child:
    """Returns the Service of the ranks. It resolves a rank that is not ready, since a rank is ready only once it has found the others."""
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {names.UID_LABEL: resource.uid, INDEXED_LABEL: "Group"},
        "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT, "protocol": "TCP"}],
    }
    return Child(SERVICE, SERVICE.manifest(service_name(resource), spec=spec))


def index_env(variables: Sequence[str]) -> list[dict[str, Any]]:
    """Returns environment variables that hold the completion index of the pod."""
    path = f"metadata.labels['{INDEX_LABEL}']"
    return [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name in variables]


def _group(resource: AnyResource, name: str, group: Distributed) -> JobAdditions:
    peers = [f"{name}-{rank}.{service_name(resource)}" for rank in range(group.nodes)]
    leader = peers[LEADER_RANK]
    return JobAdditions(
        name=name,
        spec={
            "completionMode": "Indexed",
            "completions": group.nodes,
            "parallelism": group.nodes,
            **NO_RETRIES,
            "podFailurePolicy": {"rules": [*_ONE_RANK_FAILS_THE_JOB]},
        },
        pod={"subdomain": service_name(resource)},
        labels={INDEXED_LABEL: "Group"},
        fetch_env={"FLYWHEEL_PEERS": json.dumps(peers)},
        main_env={
            "FLYWHEEL_NODES": str(group.nodes),
            "FLYWHEEL_MASTER_ADDR": leader,
            **_framework_env(group, leader),
        },
        index_names=("FLYWHEEL_INDEX",),
        main_index_names=("FLYWHEEL_NODE_RANK", *_rank_names(group)),
    )


# FailJob ends the other ranks at once, and the Job's condition then names the rank that ended first.
_ONE_RANK_FAILS_THE_JOB = (
    {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "NotIn", "values": [0]}},
    {"action": "FailJob", "onExitCodes": {"containerName": "fetch", "operator": "NotIn", "values": [0]}},
)


def _rank_names(group: Distributed) -> tuple[str, ...]:
    """Returns the variables of the framework that hold a pod's rank."""
    if group.framework == "XGBoost":
        return ("DMLC_TASK_ID",)
    if group.framework == "Plain":
        return ()
    # torchrun gives each process its RANK; without torchrun a process knows it only where it is the only one of its pod.
    return ("PET_NODE_RANK", "NODE_RANK", *(("RANK",) if group.processes_per_node == 1 else ()))


def _framework_env(group: Distributed, leader: str) -> dict[str, str]:
    if group.framework == "XGBoost":
        return {
            "DMLC_TRACKER_URI": leader,
            "DMLC_TRACKER_PORT": str(TRACKER_PORT),
            "DMLC_NUM_WORKER": str(group.nodes),
            "DMLC_ROLE": "worker",
        }
    if group.framework == "Plain":
        return {}
    return {
        "PET_NNODES": str(group.nodes),
        "PET_NPROC_PER_NODE": str(group.processes_per_node),
        "PET_MASTER_ADDR": leader,
        "PET_MASTER_PORT": str(RENDEZVOUS_PORT),
        "MASTER_ADDR": leader,
        "MASTER_PORT": str(RENDEZVOUS_PORT),
        "WORLD_SIZE": str(group.nodes * group.processes_per_node),
    }


def _items(name: str, items: ItemSet) -> JobAdditions:
    numbers = json.dumps(items.numbers)
    return JobAdditions(
        name=name,
        spec={
            "completionMode": "Indexed",
            "completions": len(items.numbers),
            "parallelism": min(items.parallelism, len(items.numbers)),
            "backoffLimitPerIndex": 0,  # and no limit of the whole Job, which would end it with the first item that fails
        },
        labels={INDEXED_LABEL: "Each"},
        annotations={ITEMS_ANNOTATION: numbers},
        env={"FLYWHEEL_ITEMS": numbers},
        fetch_env={"FLYWHEEL_EACH": items.parameters_json()},
        index_names=("FLYWHEEL_INDEX",),
    )
