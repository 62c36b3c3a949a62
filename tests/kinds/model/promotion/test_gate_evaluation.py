"""Gates, from what versions say of themselves and from what their gates' Job measured; approval; archive."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.resource.plan import Plan
from flywheel.core.resource.values import Digest
from flywheel.kinds.model.observe import Version
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.modelversion.schema.gate_results import ApprovalStatus, GateEntry, GatesResult
from flywheel.kinds.modelversion.schema.status import Signature
from tests.kinds.model.situations import OBJECTIVE, model, plan_for, version
from tests.simulation import NOON

DATA = "sha256:" + "d" * 64
GAIN: dict[str, Any] = {"gates": [{"name": "better", "champion": {"metric": "roc_auc", "confidence": "95%"}}]}
SLICES: dict[str, Any] = {"gates": [{"name": "slices", "slice": {"by": "origin", "metric": "f1", "min": "0.5"}}]}
A, B = version("a", "0.70", data=DATA), version("b", "0.60", data=DATA, test_digest="sha256:" + "9" * 64)


def measured(
    one: Version, champion: Version | None, spec: dict[str, Any], *failed: str, values: tuple[str, str] | None = None
) -> Version:
    """The version after its gates' Job; `failed` are the gates that did."""
    asked = ModelSpec.model_validate({**OBJECTIVE, **spec})
    names = [str(gate.name) for gate in asked.gates if gate.needs_rows]
    result = GatesResult(
        digest=Digest(str(one.digest)),
        champion=champion.name if champion else None,
        champion_digest=Digest(str(champion.digest)) if champion else None,
        gates=asked.gates_hash(),
        entries=tuple(GateEntry(name=name, passed=name not in failed, message=f"{name} said so") for name in names),
        value=values[0] if values else None,
        champion_value=values[1] if values else None,
        at=NOON,
    )
    return replace(one, gates=result)


def verdicts(plan: Plan) -> dict[str, str]:
    """Version → verdict."""
    status: Any = plan.status
    return {each.version: each.verdict for each in status.candidates}


def test_a_challenger_is_measured_before_it_is_judged() -> None:
    plan = plan_for(A, B, spec=GAIN, before=plan_for(A, spec=GAIN))
    status: Any = plan.status

    assert (plan.ready, status.champion, verdicts(plan)["b"]) == (True, "a", "Measuring")
    assert (status.challenger.version, status.challenger.champion, status.challenger.champion_digest) == (
        "b",
        "a",
        A.digest,
    )
    assert "'b', is not (Measuring): its gates are measured beside champion 'a'" in plan.message


def test_who_passes_a_gate_against_the_champion_on_the_same_rows_takes_over_though_its_test_data_is_another() -> None:
    plan = plan_for(A, measured(B, A, GAIN), spec=GAIN, before=plan_for(A, spec=GAIN))
    status: Any = plan.status

    assert (status.champion, status.challenger) == ("b", None)
    assert status.history[-1].message == "'b' is champion, after 'a' (Better): better said so"


def test_a_version_that_fails_has_the_finding_of_the_gate() -> None:
    plan = plan_for(A, measured(B, A, GAIN, "better"), spec=GAIN, before=plan_for(A, spec=GAIN))

    assert (plan.reason, verdicts(plan)["b"]) == ("GateFailed", "GateFailed")
    assert "gate 'better': better said so" in plan.message


@pytest.mark.parametrize(
    "stale",
    [
        pytest.param(measured(B, version("e", "0.1", data=DATA), GAIN), id="beside another champion"),
        pytest.param(measured(replace(B, digest="sha256:" + "c" * 64), A, GAIN), id="of other bytes"),
        pytest.param(measured(B, A, SLICES), id="by other gates"),
        pytest.param(measured(B, None, GAIN), id="without a champion"),
    ],
)
def test_a_measurement_counts_for_its_own_artifacts_and_gates_alone(stale: Version) -> None:
    mixed = replace(stale, digest=B.digest)

    assert verdicts(plan_for(A, mixed, spec=GAIN, before=plan_for(A, spec=GAIN)))["b"] == "Measuring"


def test_the_first_version_has_nobody_to_beat_and_no_job() -> None:
    plan = plan_for(A, spec=GAIN)

    assert (plan.status.champion, plan.status.challenger) == ("a", None)  # type: ignore[attr-defined]


def test_the_first_version_is_measured_where_gates_ask_for_rows() -> None:
    waits = plan_for(A, spec=SLICES)
    wins = plan_for(measured(A, None, SLICES), spec=SLICES)

    assert (waits.ready, waits.reason, waits.status.challenger.version) == (False, "Measuring", "a")  # type: ignore[attr-defined]
    assert wins.status.champion == "a"  # type: ignore[attr-defined]


def test_one_at_a_time_and_the_oldest_first() -> None:
    c = version("c", "0.9", data=DATA)
    first = plan_for(A, B, c, spec=GAIN, before=plan_for(A, spec=GAIN))
    second = plan_for(A, measured(B, A, GAIN), c, spec=GAIN, before=first)
    third = plan_for(A, measured(B, A, GAIN), measured(c, B, GAIN), spec=GAIN, before=second)

    assert first.status.challenger.version == "b"  # type: ignore[attr-defined]
    assert (second.status.champion, second.status.challenger.version) == ("b", "c")  # type: ignore[attr-defined]
    assert second.status.challenger.champion == "b"  # type: ignore[attr-defined]
    assert third.status.champion == "c"  # type: ignore[attr-defined]


def test_what_is_older_than_the_champion_is_not_measured() -> None:
    plan = plan_for(A, B, spec=GAIN, before=plan_for(A, B, spec={"champion": "b"}))

    assert (verdicts(plan)["a"], plan.status.challenger) == ("NotBetter", None)  # type: ignore[attr-defined]


def test_a_failed_gate_that_costs_nothing_saves_the_job() -> None:
    spec = {"gates": [*GAIN["gates"], {"name": "enough", "threshold": {"metric": "roc_auc", "min": "0.65"}}]}

    plan = plan_for(A, B, spec=spec, before=plan_for(A, spec=spec))

    assert (verdicts(plan)["b"], plan.status.challenger) == ("GateFailed", None)  # type: ignore[attr-defined]


def test_the_message_about_a_version_without_data_names_the_field() -> None:
    plan = plan_for(A, replace(B, data=None), spec=GAIN, before=plan_for(A, spec=GAIN))

    assert verdicts(plan)["b"] == "GateFailed"
    assert "gate 'better' needs test rows, and spec.lineage.datasetDigest of the version is absent" in plan.message


def test_the_objective_is_compared_on_the_same_rows_where_they_were_measured() -> None:
    better = measured(B, A, SLICES, values=("0.74", "0.71"))
    worse = measured(B, A, SLICES, values=("0.71", "0.74"))

    assert (
        plan_for(A, better, spec=SLICES, before=plan_for(measured(A, None, SLICES), spec=SLICES)).status.champion == "b"  # type: ignore[attr-defined]
    )
    plan = plan_for(A, worse, spec=SLICES, before=plan_for(measured(A, None, SLICES), spec=SLICES))
    assert plan.reason == "NotBetter"
    assert "roc_auc 0.71 against 0.74 of champion 'a' on the same rows" in plan.message


SIGNATURE = Signature.model_validate(
    {
        "inputs": [{"name": "month", "datatype": "FP32", "shape": [-1, 1]}],
        "outputs": [{"name": "label", "datatype": "INT64", "shape": [-1]}],
        "classes": ["a", "b"],
    }
)


def signature(**changes: Any) -> Signature:
    return Signature.model_validate({**SIGNATURE.model_dump(by_alias=True), **changes})


@pytest.mark.parametrize(
    ("gate", "challenger", "text"),
    [
        pytest.param({"serving": {"p95": "20ms"}}, {"metrics": {"roc_auc": "0.9", "p95_ms": "21.5"}}, "p95_ms 21.5 ms is above 20ms", id="slow"),
        pytest.param({"serving": {"size": "50Mi"}}, {"metrics": {"roc_auc": "0.9", "size_bytes": "99000000"}}, "size_bytes 9.9e+07 bytes is above 50Mi", id="large"),
        pytest.param({"serving": {"p95": "20ms"}}, {"metrics": {"roc_auc": "0.9"}}, "verification measured no p95_ms", id="not measured"),
        pytest.param({"signature": {}}, {"signature": None}, "the signature of the version is not in its status", id="no signature"),
        pytest.param({"signature": {}}, {"signature": signature(inputs=[])}, "champion 'a' takes 'month' and the other does not", id="an input less"),
        pytest.param({"signature": {}}, {"signature": signature(classes=["b", "a"])}, "its probabilities are of the classes b, a, and of a, b by champion 'a'", id="another order of classes"),
        pytest.param({"signature": {}}, {"signature": signature(outputs=[])}, "it gives no output 'label'", id="an output less"),
        pytest.param({"signature": {}}, {"signature": signature(outputs=[{"name": "label", "datatype": "BYTES", "shape": [-1]}])}, "output 'label' is BYTES [-1], and INT64 [-1] of champion", id="another type"),
    ],
)  # fmt: skip
def test_gates_that_need_no_rows(gate: dict[str, Any], challenger: dict[str, Any], text: str) -> None:
    spec = {"gates": [{"name": "g", **gate}]}
    champion = replace(A, signature=SIGNATURE, metrics={"roc_auc": "0.7", "p95_ms": "1", "size_bytes": "9"})
    facts: dict[str, Any] = {"signature": SIGNATURE, **challenger}

    plan = plan_for(champion, version("b", "0.9", **facts), spec=spec, before=plan_for(champion, spec=spec))

    assert plan.reason == "GateFailed"
    assert f"gate 'g': {text}" in plan.message or text in plan.message
    assert plan.status.challenger is None  # type: ignore[attr-defined]


def test_an_input_that_takes_64_bits_where_the_champion_takes_32_passes_the_signature_gate() -> None:
    wider = signature(inputs=[{"name": "month", "datatype": "FP64", "shape": [-1, 1]}])
    spec = {"gates": [{"name": "g", "signature": {}}]}
    champion = replace(A, signature=SIGNATURE, metrics={"roc_auc": "0.7"})

    plan = plan_for(champion, version("b", "0.9", signature=wider), spec=spec, before=plan_for(champion, spec=spec))

    assert plan.status.champion == "b"  # type: ignore[attr-defined]


def test_an_input_that_the_version_takes_and_ignores_passes_the_signature_gate() -> None:
    year = {"name": "year", "datatype": "FP32", "shape": [-1, 1]}
    champion = replace(A, signature=signature(inputs=[*SIGNATURE.model_dump()["inputs"], year]))
    spec = {"gates": [{"name": "g", "signature": {}}]}
    before = plan_for(champion, spec=spec)

    plan = plan_for(champion, version("b", "0.9", signature=signature(leftOut=["year"])), spec=spec, before=before)

    assert plan.status.champion == "b"  # type: ignore[attr-defined]


def test_a_champion_whose_classes_are_unknown_is_not_compared_by_them() -> None:
    champion = replace(A, signature=signature(classes=[]))
    spec = {"gates": [{"name": "g", "signature": {}}]}

    plan = plan_for(champion, version("b", "0.9", signature=SIGNATURE), spec=spec, before=plan_for(champion, spec=spec))

    assert plan.status.champion == "b"  # type: ignore[attr-defined]


def test_an_output_more_breaks_nobody() -> None:
    more = signature(outputs=[*SIGNATURE.model_dump()["outputs"], {"name": "why", "datatype": "BYTES", "shape": [-1]}])
    spec = {"gates": [{"name": "g", "signature": {}}]}
    champion = replace(A, signature=SIGNATURE)

    plan = plan_for(champion, version("b", "0.9", signature=more), spec=spec, before=plan_for(champion, spec=spec))

    assert plan.status.champion == "b"  # type: ignore[attr-defined]


APPROVAL = {"promotion": "Approval"}
BETTER = version("b", "0.74")


def approved(one: Version, by: str = "jane") -> Version:
    return replace(one, approved=ApprovalStatus(by=by, digest=Digest(str(one.digest)), reason="ticket 214", at=NOON))


def test_a_better_version_waits_for_approval_and_has_the_command() -> None:
    first = plan_for(approved(A), spec=APPROVAL)
    plan = plan_for(approved(A), BETTER, spec=APPROVAL, before=first)

    assert (plan.ready, plan.reason, plan.status.champion) == (True, "AwaitingApproval", "a")  # type: ignore[attr-defined]
    assert "roc_auc 0.74 against 0.7 of champion 'a'" in plan.message
    assert (
        'kubectl patch fwver b -n default --type merge -p "{\\"spec\\":{\\"approval\\":{\\"by\\":\\"$(kubectl auth whoami'
        in plan.message
    )
    assert str(BETTER.digest) in plan.message


def test_the_first_version_waits_as_well() -> None:
    plan = plan_for(A, spec=APPROVAL)

    assert (plan.ready, plan.reason, plan.status.champion) == (False, "AwaitingApproval", None)  # type: ignore[attr-defined]


def test_an_approved_version_takes_over_and_history_has_who_and_when() -> None:
    first = plan_for(approved(A), spec=APPROVAL)
    plan = plan_for(approved(A), approved(BETTER), spec=APPROVAL, before=first)
    status: Any = plan.status

    assert status.champion == "b"
    assert (status.history[-1].approved_by, status.history[-1].approved_at) == ("jane", NOON)
    assert "(Better, approved by 'jane' (ticket 214))" in plan.events[0].message


def test_an_approval_of_other_bytes_is_void() -> None:
    plan = plan_for(
        approved(A),
        replace(BETTER, void="sha256:" + "7" * 64),
        spec=APPROVAL,
        before=plan_for(approved(A), spec=APPROVAL),
    )

    assert plan.reason == "AwaitingApproval"
    assert "its approval is void, since it is of sha256:77777777" in plan.message


def test_approval_helps_nobody_who_is_worse() -> None:
    worse = approved(version("b", "0.5"))

    assert (
        plan_for(approved(A), worse, spec=APPROVAL, before=plan_for(approved(A), spec=APPROVAL)).reason == "NotBetter"
    )


def test_an_archived_champion_goes_and_the_one_before_it_comes_back() -> None:
    second = plan_for(A, BETTER, before=plan_for(A))
    plan = plan_for(A, replace(BETTER, archived=True), before=second)
    status: Any = plan.status

    assert (status.champion, verdicts(plan)["b"], status.history[-1].reason) == ("a", "Archived", "Archived")
    assert plan_for(A, BETTER, before=plan).status.champion == "b"  # type: ignore[attr-defined]


def test_a_pin_does_not_offer_what_is_archived() -> None:
    pinned = plan_for(A, BETTER, spec={"champion": "b"}, before=plan_for(A))
    plan = plan_for(A, replace(BETTER, archived=True), spec={"champion": "b"}, before=pinned)
    again = plan_for(A, replace(BETTER, archived=True), spec={"champion": "b"}, before=plan)

    assert (again.reason, again.status.champion) == ("PinArchived", "a")  # type: ignore[attr-defined]
    assert "which is archived; set its spec.archived to false" in again.message


def test_the_version_that_is_measured_is_not_tidied_away() -> None:
    c = version("c", "0.1", data=DATA)
    spec = {**GAIN, "retention": {"versions": 1}}
    first = plan_for(A, B, c, spec=spec, before=plan_for(A, spec=spec))
    second = plan_for(A, B, c, spec=spec, before=first)

    assert [each.name for each in second.removals] == ["c"]


def test_the_same_look_later_changes_nothing() -> None:
    from flywheel.kinds.model.decide import decide
    from flywheel.kinds.model.observe import Seen

    plan = plan_for(A, B, spec=GAIN, before=plan_for(A, spec=GAIN))

    assert decide(model(GAIN, plan), Seen((A, B), now=NOON + timedelta(days=1))).status == plan.status


def test_the_command_is_whole_however_long_the_names_are() -> None:
    name = "b" * 52
    long = replace(BETTER, name=name, namespace="n" * 63, digest=BETTER.digest, void="sha256:" + "7" * 64)
    [found] = [each for each in plan_for(approved(A), long, spec=APPROVAL).status.candidates if each.version == name]  # type: ignore[attr-defined]

    assert len(found.message) <= 512
    assert found.message.endswith('\\"reason\\":\\"REASON\\"}}}"')


def test_the_message_is_about_the_newest_refused_version() -> None:
    old, new = version("a", "0.9", rejected="4 % errors"), version("b", "0.1")
    spec = {"gates": [{"name": "enough", "threshold": {"metric": "roc_auc", "min": "0.5"}}]}

    plan = plan_for(old, new, spec=spec)

    assert (plan.reason, "ModelVersion 'b'" in plan.message) == ("GateFailed", True)


@pytest.mark.parametrize(("failed", "more"), [(("better",), ""), (("better", "slices"), " (and 1 more)")])
def test_the_first_failed_gate_is_named_and_the_others_are_counted(failed: tuple[str, ...], more: str) -> None:
    spec = {"gates": [*GAIN["gates"], *SLICES["gates"]]}

    first = measured(A, None, spec)
    plan = plan_for(first, measured(B, A, spec, *failed), spec=spec, before=plan_for(first, spec=spec))

    assert f"gate 'better': better said so{more}" in plan.message
    assert more or "more" not in plan.message
