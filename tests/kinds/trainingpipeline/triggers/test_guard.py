"""Whatever starts a pipeline, in whatever order, under any clock: no cause starts two runs, none is lost without a word, no tick is left."""

from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flywheel.kinds.trainingpipeline.children import RESUME_ANNOTATION
from tests.examples import examples
from tests.kinds.trainingpipeline.situations import NEW_DATA, NIGHTLY, Loop, pipeline
from tests.simulation.resources import stamp, uid_of

WORSE = {"name": "worse", "monitor": {"name": "watch", "when": "Performance"}}
AFTER = {"name": "after", "run": {"pipeline": "up"}}
TRIGGERS = (NIGHTLY, NEW_DATA, WORSE, AFTER)
GUARDS: list[dict[str, Any]] = [
    {},
    {"cooldown": "30m"},
    {"maxRunsPerDay": 2},
    {"cooldown": "30m", "maxRunsPerDay": 4, "stopAfterFailedChallengers": 2},
]


class Guarding(RuleBasedStateMachine):
    """One pipeline with a schedule, a Dataset, a monitor and another pipeline before it; operators look when they are told to, and some die before they write."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop(pipeline(*TRIGGERS))
        self.successes: set[str] = set()
        self.findings: list[dict[str, str]] = []
        self.ticks: set[str] = set()
        self.versions = 0
        self.runs: dict[str, tuple[str, str]] = {}

    @initialize(guard=st.sampled_from(GUARDS))
    def it_begins(self, guard: dict[str, Any]) -> None:
        self.loop = Loop(pipeline(*TRIGGERS, guard=guard, retention={"succeeded": 1, "failed": 1}))
        self.loop.put_pipeline("up")
        self.loop.serve("m-1")
        self.loop.settle()

    # What clocks, data, runs and people do.

    @rule(late=st.integers(0, 300))
    def a_tick_comes(self, late: int) -> None:
        name = f"tick-{len(self.ticks):03}"
        self.ticks.add(name)
        self.loop.tick(name, scheduled=self.loop.cluster.now - timedelta(minutes=late))

    @rule()
    def new_data_comes(self) -> None:
        self.versions += 1
        self.loop.add_version(f"flights-{self.versions}", 1000 * self.versions)

    @rule()
    def another_pipeline_succeeds(self) -> None:
        name = f"up-{len(self.successes):03}"
        self.successes.add(uid_of("TrainingRun", "default", name))
        self.loop.succeed(name)

    @rule(
        signal=st.sampled_from(["performance", "dataQuality"]),
        version=st.sampled_from(["m-1", "m-2"]),
        minutes=st.integers(0, 300),
    )
    def a_monitor_finds(self, signal: str, version: str, minutes: int) -> None:
        since = stamp(self.loop.cluster.now - timedelta(minutes=minutes))
        self.findings.append({"signal": signal, "subject": "accuracy", "version": version, "since": since})
        self.loop.find(*self.findings[-3:])

    @rule(version=st.sampled_from(["m-1", "m-2"]))
    def another_version_is_served(self, version: str) -> None:
        self.loop.serve(version)

    @rule(minutes=st.sampled_from([1, 29, 31, 700, 1500, -3]))
    def time_passes(self, minutes: int) -> None:
        """Clocks differ, so that another replica's may be behind."""
        self.loop.advance(minutes=minutes)

    @precondition(lambda self: self.loop.runs())
    @rule(result=st.sampled_from(["Succeeded", "Failed", "Cancelled"]), good=st.booleans())
    def runs_end(self, result: str, good: bool) -> None:
        verdict = {"version": "v", "verdict": "Champion" if good else "GateFailed", "message": ""}
        self.loop.end_runs(result=result, **({"challenger": verdict} if result == "Succeeded" else {}))

    @rule(writes=st.sampled_from([True, True, False]))
    def an_operator_looks(self, writes: bool) -> None:
        if writes:
            self.loop.settle()
        else:
            self.loop.reconcile_and_lose_status()

    @rule(held=st.booleans())
    def somebody_suspends_or_resumes(self, held: bool) -> None:
        self.loop.patch_spec(suspend=held)

    @rule(value=st.integers())
    def somebody_closes_the_breaker(self, value: int) -> None:
        self.loop.annotate({RESUME_ANNOTATION: str(value)})

    # What must always be so.

    @invariant()
    def no_cause_starts_two_runs(self) -> None:
        for run in self.loop.runs():
            cause = run["spec"]["cause"]
            self.runs[run["metadata"]["name"]] = (cause["trigger"], cause["key"])
        assert len(set(self.runs.values())) == len(self.runs), self.runs

    @invariant()
    def no_change_of_the_world_starts_two_runs(self) -> None:
        """A finding that began before a run for the same version has started no other."""
        found = [run for run in self.loop.runs() if run["spec"]["cause"].get("finding")]
        for run in found:
            since, version = (run["spec"]["cause"][key] for key in ("since", "version"))
            others = [each for each in found if each is not run and each["spec"]["cause"]["version"] == version]
            assert not [
                each
                for each in others
                if since <= each["metadata"]["creationTimestamp"] < run["metadata"]["creationTimestamp"]
            ]

    @invariant()
    def one_run_at_a_time(self) -> None:
        assert sum(not (run.get("status") or {}).get("result") for run in self.loop.runs()) <= 1

    @invariant()
    def what_is_held_says_why(self) -> None:
        for trigger in self.loop.status.triggers:
            assert trigger.skipped is None or (trigger.skipped.reason and trigger.skipped.message)

    def teardown(self) -> None:
        """Let everything come to rest: every tick is answered, and the newest data was trained on."""
        self.somebody_suspends_or_resumes(held=False)
        for number in range(40):
            self.loop.annotate({RESUME_ANNOTATION: f"end-{number}"})
            self.loop.settle()
            self.no_cause_starts_two_runs()
            self.loop.end_runs()
            self.loop.advance(days=2)
        assert self.ticks <= self.loop.completed_ticks()
        assert {key for trigger, key in self.runs.values() if trigger == "after"} == self.successes
        if self.versions:
            assert any(trigger == "new" for trigger, _ in self.runs.values()), self.loop.status


Guarding.TestCase.settings = settings(max_examples=examples(30, ci=8), stateful_step_count=30, deadline=None)
TestGuarding = Guarding.TestCase
