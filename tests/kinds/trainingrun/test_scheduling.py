"""Whatever happens to a run of any graph, in whatever order: no deadlock, no step twice or too early, and always a sentence."""

from collections.abc import Mapping
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flywheel.core.resource import names
from flywheel.core.resource.api import Manifest
from flywheel.core.resource.plan import Plan
from tests.examples import examples
from tests.kinds.trainingrun.situations import Runs, container, run

ENDS: dict[str, Mapping[str, Any]] = {
    "well": {},
    "with other bytes": {"bytes": "other"},
    "by its own code": {"exit": 1},
    "as it never can work": {"exit": 2},
    "out of memory": {"exit": 137, "oom": True},
    "with its node": {"exit": 137, "lost": True},
    "without its input": {"exit": 1, "missing": True},
}
HARMLESS = ("well", "with other bytes")
which = st.integers(0, 30)


@st.composite
def graphs(draw: st.DrawFn) -> list[dict[str, Any]]:
    return [
        container(f"s{n}", *(f"s{m}" for m in range(n) if draw(st.booleans())), retry={"user": draw(st.integers(0, 2))})
        for n in range(draw(st.integers(1, 6)))
    ]


class Scheduling(RuleBasedStateMachine):
    """One run; each thing that happens is followed by as many looks as it takes to come to rest."""

    @initialize(steps=graphs())
    def it_begins(self, steps: list[dict[str, Any]]) -> None:
        self.needs = {each["name"]: {i["from"] for i in each["container"]["inputs"]} for each in steps}
        self.runs = Runs({"steps": steps})
        self.runs.add(run())
        self.ended: str | None = None
        self.known: set[str] = set()
        self.harmed = False
        self.look()

    # What Jobs, nodes, people and clocks do.

    @precondition(lambda self: self.jobs())
    @rule(which=which, how=st.sampled_from(sorted(ENDS)))
    def a_job_ends(self, which: int, how: str) -> None:
        jobs = self.jobs()
        self.runs.ends = lambda _step, _attempt: ENDS[how]
        self.runs.end(jobs[which % len(jobs)])
        self.harmed = self.harmed or how not in HARMLESS
        self.look()

    @rule(writes=st.integers(1, 4))
    def the_operator_dies_soon(self, writes: int) -> None:
        self.runs.crash_after = len(self.runs.writes) + writes

    @rule(minutes=st.sampled_from([1, 10, 600]))
    def time_passes(self, minutes: int) -> None:
        self.runs.advance(minutes=minutes)
        self.look()

    @rule(held=st.booleans())
    def somebody_suspends_or_resumes(self, held: bool) -> None:
        self.change(suspend=held)

    @precondition(lambda self: len(self.runs.created) > 4)
    @rule()
    def somebody_cancels(self) -> None:
        self.harmed = True
        self.change(cancel=True)

    # What must always be so.

    @invariant()
    def nothing_starts_before_what_it_needs(self) -> None:
        """What runs already goes on though an output that it took was lost, and is made again."""
        states = {each.name: each.state for each in self.runs.status.steps}
        started = {job["metadata"]["name"]: job["metadata"]["labels"][names.STEP_LABEL] for job in self.jobs()}
        for job in started.keys() - self.known:
            assert {states[need] for need in self.needs[started[job]]} <= {"Succeeded"}, (job, states)
        self.known |= started.keys()

    @invariant()
    def no_attempt_is_made_twice_and_no_step_runs_twice(self) -> None:
        assert len(self.runs.created) == len(set(self.runs.created))
        running = [job["metadata"]["labels"][names.STEP_LABEL] for job in self.jobs()]
        assert len(running) == len(set(running))

    @invariant()
    def nothing_fails_by_itself(self) -> None:
        assert self.harmed or {each.state for each in self.runs.status.steps} <= {"Waiting", "Running", "Succeeded"}

    @invariant()
    def an_end_is_an_end(self) -> None:
        if self.ended is not None:
            assert self.runs.status.result == self.ended
            assert not self.jobs()
        self.ended = self.runs.status.result

    def teardown(self) -> None:
        """Whatever happened, the run comes to its end when nobody holds it up."""
        if not hasattr(self, "runs"):
            return
        self.runs.crash_after = None
        self.runs.ends = lambda _step, _attempt: {}
        self.runs.patch_spec(suspend=False)
        self.runs.finish()
        assert all(each.state not in ("Waiting", "Running") for each in self.runs.status.steps)
        assert self.harmed or self.runs.status.result == "Succeeded"

    def change(self, **spec: Any) -> None:
        self.runs.patch_spec(**spec)
        made = len(self.runs.created)
        self.look()
        assert not spec.get("suspend") or len(self.runs.created) == made, "a suspended run starts nothing"

    def jobs(self) -> list[Manifest]:
        return self.runs.running()

    def look(self) -> Plan:
        """Says what it does, whatever it met."""
        plan = self.runs.settle()
        assert plan.reason
        assert plan.message
        return plan


Scheduling.TestCase.settings = settings(max_examples=examples(60, ci=10), stateful_step_count=30, deadline=None)
TestScheduling = Scheduling.TestCase
