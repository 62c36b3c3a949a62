"""The gate beats-a-constant, which the operator adds: what it costs, whom it refuses, and how it is set off."""

from dataclasses import replace
from typing import Any

import pytest

from flywheel.core.resource.values import Digest
from flywheel.kinds.model.observe import Version
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.modelversion.schema.gate_results import GateEntry, GatesResult
from tests.kinds.model.situations import OBJECTIVE, plan_for, version
from tests.simulation import NOON

DATA = "sha256:" + "d" * 64
ON: dict[str, Any] = {"defaultGates": "Enabled"}
FINDING = "the model is no better than a constant: roc_auc 0.503 against 0.5 of the prior of the train rows"
A, B = version("a", "0.70", data=DATA), version("b", "0.60", data=DATA)
BETTER = version("c", "0.80", data=DATA)


def measured(one: Version, *, passed: bool, spec: dict[str, Any] = ON) -> Version:
    """The version after its gates' Job."""
    entry = GateEntry(name="beats-a-constant", passed=passed, message="" if passed else FINDING)
    gates = ModelSpec.model_validate({**OBJECTIVE, **spec}).gates_hash()
    return replace(one, gates=GatesResult(digest=Digest(str(one.digest)), gates=gates, entries=(entry,), at=NOON))


def replace_entries(one: Version, *, passed: bool) -> GatesResult:
    """Its measurement as an earlier build left it: beside the champion, and of gate `slices` alone."""
    assert one.gates is not None
    entry = GateEntry(name="slices", passed=passed, message="worst origin is 'JFK'")
    return one.gates.model_copy(update={"entries": (entry,), "champion": "a", "champion_digest": Digest(str(A.digest))})


def verdicts(plan: Any) -> dict[str, str]:
    """Version → verdict."""
    return {each.version: each.verdict for each in plan.status.candidates}


def test_the_first_champion_is_measured_before_it_is_promoted() -> None:
    plan = plan_for(A, spec=ON)
    status: Any = plan.status

    assert (plan.ready, status.champion, verdicts(plan)) == (False, None, {"a": "Measuring"})
    assert (status.challenger.version, status.challenger.champion) == ("a", None)


def test_a_version_that_is_better_than_a_constant_becomes_champion() -> None:
    plan = plan_for(measured(A, passed=True), spec=ON)
    status: Any = plan.status

    assert (plan.ready, status.champion, status.challenger) == (True, "a", None)


def test_a_version_that_is_no_better_is_refused_with_the_sentence_why() -> None:
    plan = plan_for(measured(A, passed=False), spec=ON)
    status: Any = plan.status

    assert (plan.ready, plan.reason, status.champion) == (False, "GateFailed", None)
    assert f"gate 'beats-a-constant': {FINDING}." in plan.message


def test_only_what_would_become_champion_is_measured_and_the_champion_is_not_fetched() -> None:
    champion = plan_for(measured(A, passed=True), spec=ON)

    worse = plan_for(measured(A, passed=True), B, spec=ON, before=champion)
    better = plan_for(measured(A, passed=True), B, BETTER, spec=ON, before=champion)

    assert verdicts(worse) == {"a": "Champion", "b": "NotBetter"}
    assert verdicts(better) == {"a": "Champion", "b": "NotBetter", "c": "Measuring"}
    status: Any = better.status
    assert (status.challenger.version, status.challenger.champion) == ("c", None)


def test_a_champion_of_an_earlier_build_stays() -> None:
    plan = plan_for(A, spec=ON, before=plan_for(A))

    assert (plan.ready, verdicts(plan)) == (True, {"a": "Champion"})


@pytest.mark.parametrize(
    ("one", "spec"),
    [
        pytest.param(version("a", "0.70"), ON, id="its data is not known"),
        pytest.param(A, {"defaultGates": "Disabled"}, id="it is set off"),
        pytest.param(A, {**ON, "champion": "a"}, id="it is pinned"),
    ],
)
def test_nothing_is_measured(one: Version, spec: dict[str, Any]) -> None:
    plan = plan_for(one, spec=spec)

    assert (plan.ready, verdicts(plan)) == (True, {"a": "Champion"})


def test_what_an_earlier_build_measured_of_the_users_gates_still_counts() -> None:
    gates: dict[str, Any] = {"gates": [{"name": "slices", "slice": {"by": "origin", "metric": "f1", "min": "0.5"}}]}
    old = {**gates, "defaultGates": "Disabled"}
    refused, promising = (
        replace(one, gates=replace_entries(measured(one, passed=passed, spec=old), passed=passed))
        for one, passed in ((B, False), (BETTER, True))
    )

    plan = plan_for(A, refused, promising, spec={**ON, **gates}, before=plan_for(A))

    assert verdicts(plan) == {"a": "Champion", "b": "GateFailed", "c": "Measuring"}


def test_approval_is_asked_for_what_was_measured() -> None:
    spec = {**ON, "promotion": "Approval"}

    assert verdicts(plan_for(A, spec=spec)) == {"a": "Measuring"}
    assert verdicts(plan_for(measured(A, passed=True, spec=spec), spec=spec)) == {"a": "AwaitingApproval"}


@pytest.mark.parametrize(
    ("gates", "names"),
    [
        pytest.param([], ["beats-a-constant"], id="none"),
        pytest.param([{"name": "quick", "serving": {"p95": "20ms"}}], ["beats-a-constant"], id="others"),
        pytest.param(
            [{"name": "beats-a-constant", "baseline": {"minGain": "0.02"}}], ["beats-a-constant"], id="its own settings"
        ),
        pytest.param([{"name": "useful", "baseline": {"minGain": "0.02"}}], ["useful"], id="a baseline of their own"),
        pytest.param(
            [{"name": "beats-a-constant", "threshold": {"metric": "roc_auc", "min": "0.7"}}],
            ["beats-a-constant-2"],
            id="a gate of another kind has its name",
        ),
    ],
)
def test_the_gate_is_beside_the_users(gates: list[dict[str, Any]], names: list[str]) -> None:
    spec = ModelSpec.model_validate({"gates": gates})

    assert [gate["name"] for gate in spec.measured_gates()] == names
    has_own = any("baseline" in gate for gate in gates)
    assert [gate["name"] for gate in spec.measured_gates() if gate.get("optional")] == ([] if has_own else names)
