"""Which version is champion, and why no other is."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flywheel.core.resource.api import MODEL_VERSION
from flywheel.core.resource.plan import Removal
from flywheel.core.resource.values import Digest
from flywheel.kinds.model.decide import decide
from flywheel.kinds.model.observe import Seen, Version
from flywheel.kinds.model.schema.status import MAX_CANDIDATES, MAX_HISTORY
from flywheel.kinds.modelversion.schema.gate_results import ApprovalStatus
from flywheel.kinds.modelversion.schema.status import MonitoredProblem
from tests.kinds.model.situations import OTHER_TEST, model, plan_for, version
from tests.simulation import NOON

ENOUGH = {"gates": [{"name": "good-enough", "threshold": {"metric": "roc_auc", "min": "0.70", "max": "0.99"}}]}


A, B = version("a", "0.70"), version("b", "0.74")
CHAMPION_A = plan_for(A)


@pytest.mark.parametrize(
    ("challenger", "spec", "champion", "reason", "text"),
    [
        pytest.param(B, {}, "b", "ChampionChosen", "'b' is champion", id="a better one takes over"),
        pytest.param(
            version("b", "0.70"), {}, "a", "NotBetter", "roc_auc 0.7 against 0.7 of champion 'a'", id="an equal one does not"
        ),
        pytest.param(version("b", "0.6931"), {}, "a", "NotBetter", "roc_auc 0.6931 against 0.7 of", id="a worse one does not"),
        pytest.param(
            replace(B, test_digest=OTHER_TEST), {}, "a", "NotComparable", "tested on other data", id="other test data"
        ),
        pytest.param(
            replace(B, test_digest=None), {}, "a", "NotComparable", "tested on other data (unknown)", id="unknown test data"
        ),
        pytest.param(version("b"), {}, "a", "MetricMissing", "the version reports no roc_auc", id="no metric"),
        pytest.param(
            version("b", "0.995"), ENOUGH, "a", "GateFailed", "gate 'good-enough': roc_auc 0.995 is above 0.99", id="too good for a gate"
        ),
        pytest.param(
            version("b"), ENOUGH, "a", "GateFailed", "gate 'good-enough': the version reports no roc_auc", id="a gate without its metric"
        ),
        pytest.param(B, {"objective": None}, "a", "NoObjective", "Name it in spec.champion", id="no objective"),
        pytest.param(replace(B, ready=False, digest=None), {}, "a", "ChampionChosen", "2 versions", id="not verified yet"),
        pytest.param(
            B, {"objective": {"metric": "roc_auc", "direction": "Minimize"}}, "a", "NotBetter", "0.74 against 0.7", id="less is better"
        ),
    ],
)  # fmt: skip
def test_a_challenger(challenger: Version, spec: dict[str, Any], champion: str, reason: str, text: str) -> None:
    plan = plan_for(A, challenger, spec=spec, before=CHAMPION_A)

    assert (plan.ready, plan.status.champion, plan.reason) == (True, champion, reason)  # type: ignore[attr-defined]
    assert text in plan.message


def test_two_versions_of_unknown_test_data_are_not_comparable() -> None:
    champion, challenger = replace(A, test_digest=None), replace(B, test_digest=None)

    plan = plan_for(champion, challenger, before=plan_for(champion))

    assert (plan.status.champion, plan.reason) == ("a", "NotComparable")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("versions", "spec", "reason", "text"),
    [
        pytest.param((), {}, "NoVersion", "spec.register: delay", id="no version at all"),
        pytest.param((replace(A, ready=False, reason="Verifying"),), {}, "WaitingForVersion", "'a': it is not verified (Verifying)", id="none verified"),
        pytest.param((version("a", "0.5"),), ENOUGH, "GateFailed", "roc_auc 0.5 is below 0.70", id="none that passes"),
    ],
)  # fmt: skip
def test_no_version_is_champion(versions: tuple[Version, ...], spec: dict[str, Any], reason: str, text: str) -> None:
    plan = plan_for(*versions, spec=spec)

    assert (plan.ready, plan.stalled, plan.reason, plan.status.champion) == (False, False, reason, None)  # type: ignore[attr-defined]
    assert text in plan.message


def test_the_first_version_is_champion_whatever_it_reports() -> None:
    plan = plan_for(version("a"))

    assert (plan.ready, plan.status.champion, plan.summary) == (True, "a", "champion a, 1 version")  # type: ignore[attr-defined]


def test_the_status_has_the_champion_and_since_when() -> None:
    plan = plan_for(A, B)
    status: Any = plan.status

    assert plan.summary == "champion b, roc_auc 0.74, 2 versions"
    assert (status.champion_digest, status.champion_metric, status.versions) == (B.digest, "0.74", 2)
    assert [(each.version, each.verdict) for each in status.candidates] == [("b", "Champion"), ("a", "NotBetter")]


def test_history_tells_every_change_once() -> None:
    first = plan_for(A)
    second = plan_for(A, B, before=first)
    third = plan_for(A, B, before=second)
    status: Any = third.status

    assert [(each.version, each.reason) for each in status.history] == [("a", "FirstVersion"), ("b", "Better")]
    assert [event.message for event in second.events] == [
        "'b' is champion, after 'a' (Better): roc_auc 0.74 against 0.7 of champion 'a'"
    ]
    assert third.events == ()
    assert third.status == second.status


def test_history_keeps_the_last_fifty() -> None:
    plan = plan_for(A)
    for turn in range(MAX_HISTORY + 5):
        plan = plan_for(A, B, spec={"champion": "ab"[turn % 2]}, before=plan)
    status: Any = plan.status

    assert len(status.history) == MAX_HISTORY
    assert status.history[-1].version == "a"


def test_a_pinned_version_is_champion_though_it_is_worse_and_passes_no_gate() -> None:
    best = plan_for(A, B)

    plan = plan_for(
        A, B, spec={"champion": "a", "gates": [{"name": "g", "threshold": {"metric": "f1", "min": "1"}}]}, before=best
    )

    assert (plan.ready, plan.reason, plan.status.champion) == (True, "Pinned", "a")  # type: ignore[attr-defined]
    assert "pinned by spec.champion" in plan.message


def test_without_the_pin_the_best_takes_over_again() -> None:
    pinned = plan_for(A, B, spec={"champion": "a"}, before=plan_for(A, B))

    assert plan_for(A, B, before=pinned).status.champion == "b"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("versions", "seen", "reason", "text"),
    [
        pytest.param((A,), {}, "ChampionNotFound", "ModelVersion 'b' does not exist in namespace 'default'", id="it does not exist"),
        pytest.param((A,), {"pinned_belongs_to": "fraud"}, "ChampionNotFound", "belongs to Model 'fraud'", id="it is another Model's"),
        pytest.param((A, replace(B, ready=False, reason="Verifying")), {}, "ChampionNotReady", "is not verified (Verifying)", id="it is not verified"),
    ],
)  # fmt: skip
def test_while_the_pinned_champion_is_missing_the_old_one_stays(
    versions: tuple[Version, ...], seen: dict[str, Any], reason: str, text: str
) -> None:
    plan = plan_for(*versions, spec={"champion": "b"}, before=CHAMPION_A, **seen)

    assert (plan.ready, plan.stalled, plan.reason) == (False, False, reason)
    assert text in plan.message
    assert (plan.status.champion, plan.status.champion_digest) == ("a", A.digest)  # type: ignore[attr-defined]


def test_a_pinned_champion_that_was_deleted_stays_in_the_status() -> None:
    pinned = plan_for(A, spec={"champion": "a"})

    plan = plan_for(spec={"champion": "a"}, before=pinned)

    assert (plan.ready, plan.status.champion, plan.status.champion_digest) == (False, "a", A.digest)  # type: ignore[attr-defined]


def test_a_champion_that_fails_a_later_verification_is_served_on() -> None:
    doubtful = replace(B, ready=False, reason="DigestMismatch")

    plan = plan_for(A, doubtful, before=plan_for(A, B))

    assert (plan.ready, plan.reason, plan.status.champion) == (False, "ChampionNotReady", "b")  # type: ignore[attr-defined]
    assert "no longer verified (DigestMismatch) and is served on" in plan.message


def test_after_a_deleted_champion_the_best_of_the_others_succeeds() -> None:
    c = version("c", "0.72")

    plan = plan_for(A, c, before=plan_for(A, B, c))
    status: Any = plan.status

    assert status.champion == "c"
    assert [each.reason for each in status.history] == ["Better", "Better"]


def test_a_lost_status_is_found_again_from_the_versions() -> None:
    c = version("c", "0.72")

    assert plan_for(A, B, c).status.champion == "b"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("versions", "keep", "gone"),
    [
        pytest.param((A, B, version("c", "0.1"), version("d", "0.1")), 2, ["a", "c"], id="the oldest first, never the champion"),
        pytest.param((A, B, version("c", "0.1")), 3, [], id="no more than there may be"),
        pytest.param((replace(A, used=True), B, version("c", "0.1")), 1, ["c"], id="never one that is served"),
        pytest.param((replace(A, registered=False), B, version("c", "0.1")), 1, ["c"], id="never one that a person wrote"),
        pytest.param((A, B), None, [], id="without retention none"),
    ],
)  # fmt: skip
def test_retention(versions: tuple[Version, ...], keep: int | None, gone: list[str]) -> None:
    plan = plan_for(*versions, spec={"retention": {"versions": keep}} if keep else {})

    assert plan.removals == tuple(Removal(MODEL_VERSION, name, f"uid-{name}") for name in gone)


def test_nothing_is_removed_while_the_pinned_champion_is_missing() -> None:
    plan = plan_for(A, B, spec={"retention": {"versions": 1}, "champion": "z"}, before=plan_for(A, B))

    assert plan.removals == ()


def test_the_same_look_later_changes_nothing() -> None:
    plan = plan_for(A, B)

    later = decide(model(before=plan), Seen((A, B), now=NOON + timedelta(days=1)))

    assert later.status == plan.status


ROLLED_BACK = "Challenger 'b' had 4.1 % errors."


def test_a_champion_that_was_rolled_back_goes_and_the_one_before_it_comes_back() -> None:
    second = plan_for(A, B, before=plan_for(A))
    bad = replace(B, rejected=ROLLED_BACK)
    plan = plan_for(A, bad, before=second)
    again: Any = plan_for(A, bad, before=plan).status
    status: Any = plan.status

    assert (plan.ready, plan.reason, status.champion) == (True, "RolledBack", "a")
    assert [(each.version, each.reason) for each in status.history][-1] == ("a", "RolledBack")
    assert "'b' was rolled back: Challenger 'b' had 4.1 % errors." in status.history[-1].message
    assert [(each.version, each.verdict) for each in status.candidates] == [("b", "RolledBack"), ("a", "Champion")]
    assert again == status, "and it is not offered again"


def test_once_its_mark_is_cleared_it_competes_again() -> None:
    gone_back = plan_for(A, replace(B, rejected=ROLLED_BACK), before=plan_for(A, B, before=plan_for(A)))

    assert plan_for(A, B, before=gone_back).status.champion == "b"  # type: ignore[attr-defined]


def test_a_pinned_version_that_was_rolled_back_is_no_champion() -> None:
    pinned = plan_for(A, B, spec={"champion": "b"}, before=plan_for(A))
    plan = plan_for(A, replace(B, rejected=ROLLED_BACK), spec={"champion": "b"}, before=pinned)
    again = plan_for(A, replace(B, rejected=ROLLED_BACK), spec={"champion": "b"}, before=plan)

    assert (again.reason, again.status.champion) == ("PinRolledBack", "a")  # type: ignore[attr-defined]
    assert "spec.champion names 'b', which was rolled back" in again.message
    assert plan_for(A, B, spec={"champion": "b"}, before=again).status.champion == "b"  # type: ignore[attr-defined]


def test_what_a_monitor_found_of_a_champion_that_stays_is_in_the_message() -> None:
    problem = MonitoredProblem(
        monitor="watch",
        kind="LabelledLoss",
        since=NOON,
        at=NOON,
        rolled_back=False,
        reason="Pinned",
        message="ModelMonitor 'watch' found a loss on labelled rows. Champion 'b' is not taken back.",
    )
    plan = plan_for(A, replace(B, problem=problem), before=plan_for(A, B, before=plan_for(A)))
    again: Any = plan_for(A, replace(B, problem=problem), before=plan).status

    assert [(each.number, each.version, each.reason) for each in again.tolerated] == [(1, "b", "Pinned")]
    assert plan.message.endswith("ModelMonitor 'watch' found a loss on labelled rows. Champion 'b' is not taken back.")


def test_a_version_that_was_rolled_back_is_no_champion_of_a_model_without_one() -> None:
    plan = plan_for(replace(B, rejected=ROLLED_BACK))

    assert (plan.reason, plan.status.champion) == ("RolledBack", None)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("policy", "owned", "marked"),
    [
        pytest.param("Delete", False, [("a", True)], id="they go with it"),
        pytest.param("Delete", True, [], id="they are patched once"),
        pytest.param("Retain", True, [("a", False)], id="no more"),
        pytest.param("Retain", False, [], id="they stay"),
    ],
)
def test_versions_go_with_their_model_where_it_says_so(
    policy: str, owned: bool, marked: list[tuple[str, bool]]
) -> None:
    plan = plan_for(replace(A, owned=owned), spec={"deletionPolicy": policy})

    assert [(touch.name, touch.owned) for touch in plan.patches] == marked


@pytest.mark.parametrize(
    ("spec", "approved_by"),
    [
        pytest.param({"promotion": "Approval"}, "jane", id="a promotion that needed her"),
        pytest.param({"promotion": "Auto"}, None, id="a promotion that needed nobody"),
        pytest.param({"promotion": "Approval", "champion": "a"}, None, id="a pin, which needs no approval"),
    ],
)
def test_the_history_names_who_approved_a_promotion_that_needed_approval(
    spec: dict[str, Any], approved_by: str | None
) -> None:
    digest = Digest("sha256:" + "a" * 64)
    approved = version("a", "0.70", approved=ApprovalStatus(by="jane", digest=digest, reason="good", at=NOON))
    status: Any = plan_for(approved, spec=spec).status

    assert (status.champion, status.history[-1].approved_by) == ("a", approved_by)


APPROVAL = {"promotion": "Approval"}
SWAPPED = replace(A, uid="another", digest="sha256:" + "f" * 64)


def approve(candidate: Version) -> Version:
    """The version with an approval of its artifact."""
    approval = ApprovalStatus(by="jane", digest=Digest(str(candidate.digest)), reason="good", at=NOON)
    return replace(candidate, approved=approval)


@pytest.mark.parametrize(
    ("spec", "swapped", "reason", "champion", "digest"),
    [
        pytest.param(APPROVAL, SWAPPED, "AwaitingApproval", None, None, id="without an approval"),
        pytest.param(APPROVAL, replace(SWAPPED, digest=None, ready=False), "WaitingForVersion", None, None, id="before it is verified"),
        pytest.param(APPROVAL, approve(SWAPPED), "ChampionChosen", "a", SWAPPED.digest, id="with an approval"),
        pytest.param({**APPROVAL, "champion": "a"}, SWAPPED, "AwaitingApproval", "a", A.digest, id="pinned, without an approval"),
        pytest.param(
            {**APPROVAL, "champion": "a"}, replace(SWAPPED, digest=None, ready=False), "ChampionNotReady", "a", A.digest,
            id="pinned, before it is verified",
        ),
        pytest.param({**APPROVAL, "champion": "a"}, approve(SWAPPED), "Pinned", "a", SWAPPED.digest, id="pinned, with an approval"),
        pytest.param({}, SWAPPED, "ChampionChosen", "a", SWAPPED.digest, id="the Model asks for no approval"),
    ],
)  # fmt: skip
def test_another_artifact_by_the_champions_name(
    spec: dict[str, Any], swapped: Version, reason: str, champion: str | None, digest: str | None
) -> None:
    before = plan_for(approve(A), spec=spec)
    plan = plan_for(swapped, spec=spec, before=before)
    status: Any = plan_for(swapped, spec=spec, before=plan).status

    assert (plan.reason, status.champion, status.champion_digest) == (reason, champion, digest)
    if spec and champion and digest == SWAPPED.digest:
        assert [each.digest for each in status.history] == [A.digest, SWAPPED.digest]


def test_a_former_champion_with_another_artifact_does_not_come_back_without_an_approval() -> None:
    reigned = plan_for(approve(A), approve(B), spec=APPROVAL, before=plan_for(approve(A), spec=APPROVAL))
    gone = replace(approve(B), archived=True)

    for former, champion in ((approve(A), "a"), (A, "a"), (SWAPPED, None)):
        status: Any = plan_for(former, gone, spec=APPROVAL, before=reigned).status
        assert status.champion == champion


def test_a_champion_whose_status_has_no_digest_yet_stays() -> None:
    before = plan_for(approve(A), spec=APPROVAL)
    old: Any = before.status
    history = tuple(each.model_copy(update={"digest": None}) for each in old.history)
    before = replace(before, status=old.model_copy(update={"champion_digest": None, "history": history}))

    status: Any = plan_for(A, spec=APPROVAL, before=before).status

    assert (status.champion, status.champion_digest) == ("a", A.digest)


def test_nothing_is_announced_again_however_long_the_history_is() -> None:
    plan = plan_for(A)
    for pin in ("b", "a"):
        plan = plan_for(A, B, spec={"champion": pin}, before=plan)

    assert plan.events != ()
    assert plan_for(A, B, spec={"champion": "a"}, before=plan).events == ()


def test_a_version_that_waits_is_listed_whatever_came_after_it() -> None:
    later = [version(f"v{number:02d}", "0.60") for number in range(MAX_CANDIDATES + 5)]

    status = plan_for(A, B, *later, spec={"promotion": "Approval"}, before=CHAMPION_A).status

    listed = {each.version: each.verdict for each in status.candidates}  # type: ignore[attr-defined]
    assert len(listed) == MAX_CANDIDATES
    assert listed["b"] == "AwaitingApproval"
    assert next(iter(listed)) == later[-1].name
