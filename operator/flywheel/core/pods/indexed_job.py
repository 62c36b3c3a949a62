"""A step in several pods of one Indexed Job: a group of ranks that train one model, or one pod for each set of parameters.

    Group                                       Each
    rank 0 ◄──── headless Service ────► rank 1  item 0   item 1   item 2 …  at most `parallelism` at once
      │  outputs, metrics                 │       │ its own parameters, outputs, metrics
      └── one is lost: all are ───────────┘       └── one fails: the others go on

A group goes on together or not at all: whatever ends one rank ends its Job, and another attempt is another Job, as for every step.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flywheel.core.pods.distributed import Framework
from flywheel.core.resource import names
from flywheel.core.resource.api import GROUP as API_GROUP
from flywheel.core.resource.api import SERVICE
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.plan import Child

INDEXED_LABEL = f"{API_GROUP}/spread"  # Group or Each, on the Job and its pods
ITEMS_ANNOTATION = f"{API_GROUP}/items"
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
RENDEZVOUS_PORT = 29500  # torch's own default
TRACKER_PORT = 9091  # the tracker of XGBoost, which rank 0 starts
MAX_ITEM_PARAMETERS_BYTES = 100_000  # one environment variable may have 128 KiB
LEADER_RANK = 0
NO_RETRIES = {"backoffLimit": 0}  # nothing is tried again inside a Job


@dataclass(frozen=True)
class RankGroup:
    """`nodes` ranks of one training, `processes` in each."""

    framework: Framework
    nodes: int
    processes: int = 1


@dataclass(frozen=True)
class ItemSet:
    """One pod for each of `parameters`, which add to the step's own; `items` are the numbers of those to do, absent: all.

    Raises:
        ValueError: the parameters are too long to be told to a pod.
    """

    parameters: tuple[Mapping[str, Any], ...]
    parallelism: int
    items: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        size = len(self.told().encode())
        if size > MAX_ITEM_PARAMETERS_BYTES:
            raise ValueError(f"the parameters of all items have {size} bytes and may have {MAX_ITEM_PARAMETERS_BYTES}")

    @property
    def numbers(self) -> tuple[int, ...]:
        """The items to do, by the index of their pods."""
        return self.items or tuple(range(len(self.parameters)))

    def told(self) -> str:
        """As `fetch` reads it: by index, the parameters that an item adds."""
        return json.dumps([self.parameters[number] for number in self.numbers], sort_keys=True)


Indexed = RankGroup | ItemSet


@dataclass(frozen=True)
class JobAdditions:
    """What a spread adds to a Job: fields of its spec and of its pod's, labels, annotations, environment."""

    name: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    pod: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)  # of all containers
    of_fetch: Mapping[str, str] = field(default_factory=dict)
    of_main: Mapping[str, str] = field(default_factory=dict)
    fields: tuple[str, ...] = ()  # variables of all containers that hold the pod's index
    fields_of_main: tuple[str, ...] = ()


def job_additions(resource: AnyResource, step: str, attempt: int, indexed: Indexed | None) -> JobAdditions:
    """What is different for this step; nothing but the Job's name where it is one pod."""
    if indexed is None:
        return JobAdditions(names.job(resource, step, attempt), spec=NO_RETRIES)
    count = indexed.nodes if isinstance(indexed, RankGroup) else len(indexed.numbers)
    # A pod's host name is the Job's and its index, and may have as many characters as the Job's alone.
    name = names.job(resource, step, attempt, longest=names.MAX_NAME_LENGTH - len(f"-{count - 1}"))
    return _group(resource, name, indexed) if isinstance(indexed, RankGroup) else _each(name, indexed)


def service_name(resource: AnyResource) -> str:
    """Of the headless Service that gives names to the ranks of all groups of a resource."""
    return names.child(resource, "ranks")


def headless_service(resource: AnyResource) -> Child:
    """A rank is found by name before it is ready: it is ready only when it has found the others."""
    return Child(
        SERVICE,
        {
            "apiVersion": SERVICE.api_version,
            "kind": SERVICE.kind,
            "metadata": {"name": service_name(resource)},
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": {names.UID_LABEL: resource.uid, INDEXED_LABEL: "Group"},
                "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT, "protocol": "TCP"}],
            },
        },
    )


def index_env(variables: Sequence[str]) -> list[dict[str, Any]]:
    """Environment variables that hold the index of the pod."""
    path = f"metadata.labels['{INDEX_LABEL}']"
    return [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name in variables]


def _group(resource: AnyResource, name: str, group: RankGroup) -> JobAdditions:
    peers = [f"{name}-{rank}.{service_name(resource)}" for rank in range(group.nodes)]
    return JobAdditions(
        name=name,
        spec={
            "completionMode": "Indexed",
            "completions": group.nodes,
            "parallelism": group.nodes,
            **NO_RETRIES,
            "podFailurePolicy": {"rules": [*_LOST_TOGETHER]},
        },
        pod={"subdomain": service_name(resource)},
        labels={INDEXED_LABEL: "Group"},
        of_fetch={"FLYWHEEL_PEERS": json.dumps(peers)},
        of_main={
            "FLYWHEEL_NODES": str(group.nodes),
            "FLYWHEEL_MASTER_ADDR": peers[LEADER_RANK],
            **_framework(group, peers[LEADER_RANK]),
        },
        fields=("FLYWHEEL_INDEX",),
        fields_of_main=("FLYWHEEL_NODE_RANK", *_RANKS[group.framework], *_rank_of_one_process(group)),
    )


# FailJob ends the other ranks at once, and the Job's condition then names the rank that ended first.
_LOST_TOGETHER = (
    {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "NotIn", "values": [0]}},
    {"action": "FailJob", "onExitCodes": {"containerName": "fetch", "operator": "NotIn", "values": [0]}},
)

_RANKS: Mapping[Framework, tuple[str, ...]] = {
    "Torch": ("PET_NODE_RANK", "NODE_RANK"),
    "XGBoost": ("DMLC_TASK_ID",),
    "Plain": (),
}


def _rank_of_one_process(group: RankGroup) -> tuple[str, ...]:
    """torchrun gives each process its RANK; a pod's own process knows it only where it is the pod's only one."""
    return ("RANK",) if group.framework == "Torch" and group.processes == 1 else ()


def _framework(group: RankGroup, leader: str) -> dict[str, str]:
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
        "PET_NPROC_PER_NODE": str(group.processes),
        "PET_MASTER_ADDR": leader,
        "PET_MASTER_PORT": str(RENDEZVOUS_PORT),
        "MASTER_ADDR": leader,
        "MASTER_PORT": str(RENDEZVOUS_PORT),
        "WORLD_SIZE": str(group.nodes * group.processes),
    }


def _each(name: str, each: ItemSet) -> JobAdditions:
    return JobAdditions(
        name=name,
        spec={
            "completionMode": "Indexed",
            "completions": len(each.numbers),
            "parallelism": min(each.parallelism, len(each.numbers)),
            "backoffLimitPerIndex": 0,  # and no limit of the whole Job, which would end it with the first item that fails
        },
        labels={INDEXED_LABEL: "Each"},
        annotations={ITEMS_ANNOTATION: json.dumps(each.numbers)},
        variables={"FLYWHEEL_ITEMS": json.dumps(each.numbers)},
        of_fetch={"FLYWHEEL_EACH": each.told()},
        fields=("FLYWHEEL_INDEX",),
    )
