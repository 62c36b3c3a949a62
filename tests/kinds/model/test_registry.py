"""Whatever happens to a Model's versions, in whatever order: somebody decides, nobody waits for ever, and the rules of promotion hold."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flywheel.core.resource.values import Digest
from flywheel.kinds.model.children import Model
from flywheel.kinds.model.decide import decide
from flywheel.kinds.model.kind import KIND
from flywheel.kinds.model.observe import Seen, Version
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.model.schema.status import MAX_HISTORY, ModelStatus
from flywheel.kinds.modelversion.schema.gate_results import ApprovalStatus, GateEntry, GatesResult
from tests.examples import examples
from tests.simulation import NOON, resource

GATES = {
    "none": [],
    "gain": [{"name": "better", "champion": {"metric": "roc_auc", "confidence": "95%"}}],
    "slices": [{"name": "slices", "slice": {"by": "origin", "metric": "f1", "min": "0.5"}}],
    "enough": [{"name": "enough", "threshold": {"metric": "roc_auc", "min": "0.3"}}],
}
VERDICTS = {
    "Champion", "Better", "NotBetter", "NotComparable", "GateFailed", "NoObjective", "MetricMissing", "NotReady",
    "Measuring", "AwaitingApproval", "Archived", "RolledBack",
}  # fmt: skip
names = st.integers(0, 30)
mostly = st.sampled_from([True, True, True, False])
values = st.sampled_from(["0.2", "0.5", "0.7", "0.9", None])
gates = st.sampled_from(sorted(GATES))
promotions = st.sampled_from(["Auto", "Auto", "Approval"])


class Registry(RuleBasedStateMachine):
    """A Model in a world that changes: each change is followed by as many looks as it takes to come to rest."""

    def __init__(self) -> None:
        super().__init__()
        self.spec: dict[str, Any] = {"objective": {"metric": "roc_auc"}}
        self.versions: list[Version] = []
        self.made = 0
        self.status = ModelStatus()
        self.now = NOON

    # What people, Jobs and clocks do.

    @initialize(gates=gates, promotion=promotions, some=st.lists(values, min_size=1, max_size=4))
    def it_begins(self, gates: str, promotion: str, some: list[str | None]) -> None:
        self.somebody_changes_the_rules(gates, promotion)
        for value in some:
            self.make(value, ready=True, data=True, same_test=True)

    @rule(value=values, ready=st.sampled_from([True, True, False]), data=mostly, same_test=mostly)
    def somebody_makes_a_version(self, value: str | None, ready: bool, data: bool, same_test: bool) -> None:
        self.make(value, ready, data, same_test)

    @rule(which=names, ready=st.booleans())
    def verification_ends(self, which: int, ready: bool) -> None:
        self.change(which, ready=ready)

    @rule(which=names, archived=st.booleans())
    def somebody_archives(self, which: int, archived: bool) -> None:
        self.change(which, archived=archived)

    @rule(which=names, finding=st.sampled_from([None, "4 % errors"]))
    def a_rollout_finds_it_bad_or_is_cleared(self, which: int, finding: str | None) -> None:
        self.change(which, rejected=finding)

    @rule(which=names)
    def somebody_approves(self, which: int) -> None:
        if self.versions:
            one = self.versions[which % len(self.versions)]
            self.change(
                which, approved=ApprovalStatus(by="jane", digest=Digest(str(one.digest)), reason="good", at=self.now)
            )

    @precondition(lambda self: len(self.versions) > 3)
    @rule(which=names)
    def somebody_deletes_a_version(self, which: int) -> None:
        del self.versions[which % len(self.versions)]

    @rule(gates=gates, promotion=promotions)
    def somebody_changes_the_rules(self, gates: str, promotion: str) -> None:
        self.spec |= {"gates": GATES[gates], "promotion": promotion}

    @rule(which=st.none() | names)
    def somebody_pins_or_unpins(self, which: int | None) -> None:
        self.spec.pop("champion", None)
        if which is not None and self.versions:
            self.spec["champion"] = self.versions[which % len(self.versions)].name

    @precondition(lambda self: self.status.challenger is not None)
    @rule(passes=st.booleans(), values=st.booleans())
    def the_gates_job_ends(self, passes: bool, values: bool) -> None:
        self.measure(passes, values)

    @precondition(lambda self: self.versions)
    @rule()
    def a_status_is_lost(self) -> None:
        self.status = ModelStatus()

    # What must always be so.

    @invariant()
    def it_is_decided_and_comes_to_rest(self) -> None:
        before = self.status
        for _ in range(len(self.versions) + 3):
            status = self.look()
            if status == self.status:
                break
            assert (
                self.status.history in ((), status.history[: len(self.status.history)])
                or len(status.history) == MAX_HISTORY
            ), "history is only added to"
            self.status = status
        assert self.look() == self.status, "it never comes to rest"
        self.promotions_follow_the_rules(before)
        self.verdicts_are_known()

    @invariant()
    def nobody_waits_to_be_measured_in_vain(self) -> None:
        waiting = [each.version for each in self.status.candidates if each.verdict == "Measuring"]
        assert bool(waiting) == (self.status.challenger is not None)
        if self.status.challenger is not None:
            assert self.status.challenger.version == min(waiting)

    def teardown(self) -> None:
        """If from now on every Job ends, nobody is left waiting."""
        for passes in (True, False) * (len(self.versions) + 1):
            if self.status.challenger is None:
                break
            asked = self.status.challenger
            self.measure(passes, values=True)
            self.it_is_decided_and_comes_to_rest()
            assert self.status.challenger != asked, "an answer is asked for again"
        assert self.status.challenger is None

    # Help.

    def make(self, value: str | None, ready: bool, data: bool, same_test: bool) -> None:
        self.made += 1
        digest = f"sha256:{self.made:064x}"
        self.versions.append(
            Version(
                name=f"v{self.made:03d}",
                uid=str(self.made),
                created=f"2026-01-01T00:{self.made // 60:02d}:{self.made % 60:02d}Z",
                ready=ready,
                digest=digest,
                metrics={"roc_auc": value} if value else {},
                test_digest="sha256:" + "1" * 64 if same_test else digest,
                registered=True,
                data="sha256:" + "d" * 64 if data else None,
            )
        )

    def promotions_follow_the_rules(self, before: ModelStatus) -> None:
        """Who became champion by its own merit has passed all that was asked."""
        named = {each.name: each for each in self.versions}
        for reign in self.status.history[len(before.history) :]:
            winner = named.get(reign.version)
            if reign.reason in ("Pinned", "RolledBack", "Archived") or winner is None:
                continue
            assert winner.ready
            assert not winner.barred
            assert self.spec.get("promotion") != "Approval" or winner.approved is not None
        champion = named.get(self.status.champion or "")
        assert champion is None or not champion.barred or self.pinned_is_waited_for()

    def pinned_is_waited_for(self) -> bool:
        """While a pin waits for its version the old champion stays, whatever it is."""
        pinned = next((each for each in self.versions if each.name == self.spec.get("champion")), None)
        return "champion" in self.spec and (pinned is None or not pinned.ready)

    def verdicts_are_known(self) -> None:
        assert {each.verdict for each in self.status.candidates} <= VERDICTS
        assert all(len(each.message) <= 512 for each in self.status.candidates)

    def look(self) -> ModelStatus:
        model: Model = resource(KIND, "delay", self.spec)
        self.now += timedelta(seconds=1)
        plan = decide(replace(model, status=self.status), Seen(tuple(self.versions), now=self.now))
        assert isinstance(plan.status, ModelStatus)
        assert plan.message
        return plan.status

    def change(self, which: int, **fields: Any) -> None:
        if self.versions:
            at = which % len(self.versions)
            self.versions[at] = replace(self.versions[at], **fields)

    def measure(self, passes: bool, values: bool) -> None:
        challenger, spec = self.status.challenger, ModelSpec.model_validate(self.spec)
        assert challenger is not None
        at = next((n for n, each in enumerate(self.versions) if each.name == challenger.version), None)
        if at is None:
            return
        asked = [str(gate.name) for gate in spec.gates if gate.needs_rows]
        result = GatesResult(
            digest=Digest(str(self.versions[at].digest)),
            champion=challenger.champion,
            champion_digest=challenger.champion_digest,
            gates=challenger.gates,
            entries=tuple(GateEntry(name=name, passed=passes, message="numbers") for name in asked),
            value="0.6" if values else None,
            champion_value="0.5" if values and challenger.champion else None,
            at=self.now,
        )
        self.versions[at] = replace(self.versions[at], gates=result)


TestRegistry = Registry.TestCase
TestRegistry.settings = settings(max_examples=examples(60, ci=15), stateful_step_count=30, deadline=None)
