"""The operator of this build takes over what the build of 22 November left in a cluster, and changes nothing but sentences.

`build-2026-11-22.jsonl` is a namespace of that build as `kubectl get` printed it: each kind, with children, pods and managed fields.
"""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from flywheel.core.resource.kind import AnyKind
from flywheel.engine import discover
from flywheel.engine.apply.status import without_empty
from tests.simulation.simulator import Simulator

DUMP = Path(__file__).parent / "build-2026-11-22.jsonl"
DUMPED_AT = datetime(2026, 11, 29, 5, 46, tzinfo=UTC)
NEWER_KINDS = {"FeatureSet", "ModelMonitor"}  # than the dump: such resources cannot be in it
KINDS = [kind for kind in discover.kinds() if kind.api.kind not in NEWER_KINDS]


@cache
def dumped() -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(line) for line in DUMP.read_text(encoding="utf-8").splitlines())


def upgraded(kind: AnyKind) -> Simulator:
    """The cluster after the new operator has reconciled every resource of a kind."""
    simulator = Simulator(kind)
    simulator.cluster.now = DUMPED_AT
    simulator.put(*dumped())
    simulator.wake_all()
    while simulator.reconcile_next():
        pass
    return simulator


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.api.kind)
def test_the_dump_has_every_kind(kind: AnyKind) -> None:
    assert kind.api.kind in {each["kind"] for each in dumped()}


def without_sentences(status: dict[str, Any]) -> dict[str, Any]:
    """A status without the words for people, which a new build may improve."""
    conditions = [{key: value for key, value in each.items() if key != "message"} for each in status["conditions"]]
    return {**status, "conditions": conditions, "summary": None}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.api.kind)
def test_an_upgrade_writes_no_child(kind: AnyKind) -> None:
    """The images of this build differ, so that a pod template that is rendered anew would be written."""
    simulator = upgraded(kind)

    assert simulator.plans
    assert [write for write in simulator.writes if not write.startswith(("status ", "event "))] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.api.kind)
def test_an_upgrade_changes_nothing_in_a_status_but_sentences(kind: AnyKind) -> None:
    simulator = upgraded(kind)

    for reference in simulator.plans:
        before = next(
            each["status"]
            for each in dumped()
            if each["kind"] == reference.api.kind and each["metadata"]["name"] == reference.name
        )
        after = without_sentences(simulator.manifest(reference)["status"])
        # Fields of this build are empty, which the operator takes for absent.
        assert without_empty(after) == without_empty(without_sentences(before))
