"""The operator in one process, on a FakeCluster and a simulated clock: the real store, queue and reconciler, without threads or watches.

simulator = Simulator(DATASET_KIND, orders)
simulator.settle()
[check] = simulator.job_names()  # orders-check-1 and eight digits of a digest
simulator.end_job(check, main=oom_killed_state(), failed=True)
assert simulator.settle().reason == "OOMKilled"
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from flywheel.cluster.apply import Writer
from flywheel.core.pods.cron_job import SCHEDULED_ANNOTATION, TICK
from flywheel.core.resource.api import CRON_JOB, EVENT, GROUP, JOB, Manifest, Reference
from flywheel.core.resource.kind import AnyKind, AnyResource, Resource
from flywheel.core.resource.names import MANAGED_BY, STEP_LABEL
from flywheel.core.resource.parse import parse_resource
from flywheel.core.resource.plan import Plan
from flywheel.core.settings import Settings
from flywheel.engine import discover
from flywheel.engine.apply.event_recorder import EventRecorder
from flywheel.engine.cache.store import Store
from flywheel.engine.queue import Queue
from flywheel.engine.reconcile import Reconciler
from tests.simulation.cluster import Change, FakeCluster
from tests.simulation.fake_client import FakeClient
from tests.simulation.pods import pod
from tests.simulation.resources import job

MAX_RECONCILES = 1_000  # before `settle` gives up
MAX_ROUNDS = 500  # before `run` gives up


class Killed(BaseException):
    """The operator's process was killed. No `except Exception` of the operator may catch it."""


class Simulator:
    """Reconciles the resources of one kind; those of all other kinds are there to be referred to.

    `crash_after` kills the operator once, after that many writes; `crash_before` once, before the first write for which it is true.
    A killed operator starts again with an empty cache. `writes` has every write, such as `create Job orders-check-1-c85fb84b`.
    """

    def __init__(
        self,
        kind: AnyKind,
        *objects: Manifest | AnyResource,
        crash_after: int | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.kind = kind
        self._kinds = (kind, *(each for each in discover.kinds() if each.api != kind.api))
        self.cluster = FakeCluster(kinds=self._kinds, settings=settings)
        self.crash_after = crash_after
        self.crash_before: Callable[[str], bool] | None = None
        self.writes: list[str] = []
        self.plans: dict[Reference, Plan] = {}  # the last one of each resource
        self._restart()
        self.put(*objects)
        named = [each.reference for each in objects if isinstance(each, Resource) and each.api == kind.api]
        self._subject = named[0] if named else None

    def restart_with(self, settings: Settings) -> None:
        """Start the operator again with other settings, as an upgrade of the chart does."""
        self.cluster.settings = settings
        self._restart()

    def put(self, *objects: Manifest | AnyResource) -> None:
        """Add or replace objects, as their users or other controllers do."""
        self.cluster.put(*objects)

    @property
    def resource(self) -> Any:
        """The resource with which the simulator was made, as it is now."""
        return self.read(self.subject)

    @property
    def status(self) -> Any:
        """The status of that resource."""
        return self.resource.status

    @property
    def plan(self) -> Plan:
        """The last plan of that resource."""
        return self.plans[self.subject]

    @property
    def subject(self) -> Reference:
        """The address of that resource.

        Raises:
            AssertionError: the simulator was made without one.
        """
        if self._subject is None:
            raise AssertionError("the simulator was made without a resource")
        return self._subject

    def read(self, reference: Reference) -> Any:
        """One of our resources, parsed."""
        return parse_resource(self.kind, self.manifest(reference))

    def manifest(self, reference: Reference) -> Any:
        """An object that must be there.

        Raises:
            AssertionError: it is not.
        """
        found = self.cluster.get(reference)
        if found is None:
            raise AssertionError(f"{reference} does not exist")
        return found

    def patch_spec(self, **changes: Any) -> None:
        """Change top-level fields of the resource's spec, as its user does; None removes one."""
        raw = self.manifest(self.subject)
        spec = {key: value for key, value in {**raw["spec"], **changes}.items() if value is not None}
        generation = raw["metadata"]["generation"] + (spec != raw["spec"])
        self.put({**raw, "spec": spec, "metadata": {**raw["metadata"], "generation": generation}})

    def annotate(self, annotations: Mapping[str, str]) -> None:
        """Replace the annotations of the resource, as its user does."""
        raw = self.manifest(self.subject)
        self.put({**raw, "metadata": {**raw["metadata"], "annotations": dict(annotations)}})

    def wake_all(self) -> None:
        """Let the operator look at every resource, as after a restart; a resource that has not changed causes no write."""
        self._wake(set(self._store.references(self.kind.api)))

    def reconcile(self, reference: Reference | None = None) -> Plan:
        """Reconcile one resource once, and return its plan. An operator that is killed meanwhile starts again, after `while_dead`."""
        key = reference or self.subject
        try:
            self._reconciler(key)
        except Killed:
            self.while_dead()
            self._restart()
        return self.plans[key]

    def reconcile_and_lose_status(self) -> Plan:
        """Reconcile once with an operator that is killed before it writes the status."""
        self.crash_before = lambda write: write.startswith("status ")
        plan = self.reconcile()
        self.crash_before = None
        return plan

    def settle(self) -> Plan:
        """Reconcile what a change woke or is due, until nothing is left to do; return the last plan.

        A killed operator starts again, after `while_dead`, and knows what the cluster knows.

        Raises:
            AssertionError: it never ends.
        """
        for _ in range(MAX_RECONCILES):
            try:
                if not self.reconcile_next():
                    return self.plan
            except Killed:
                self.while_dead()
                self._restart()
        raise AssertionError(f"the operator is still busy after {MAX_RECONCILES} reconciles: {self.writes[-5:]}")

    def run(
        self,
        is_over: Callable[[Plan], bool],
        end: Callable[[Manifest], None],
        choose: Callable[[list[Manifest]], Manifest] = lambda jobs: jobs[0],
    ) -> Plan:
        """Settle and end Jobs in turn, each chosen among those that run; where none runs, let time pass until something is due.

        Raises:
            AssertionError: it never ends.
        """
        for _ in range(MAX_ROUNDS):
            plan = self.settle()
            if is_over(plan):
                return plan
            if running := self.running():
                end(choose(running))
            else:
                self.advance(seconds=self._queue.next_due() or 60.0)
        raise AssertionError(f"it does not end: {plan.reason}: {plan.message}")

    def while_dead(self) -> None:
        """Override it with what happens in the cluster before a killed operator starts again."""

    def advance(self, time: timedelta = timedelta(), **parts: float) -> None:
        """Let time pass: a timedelta, or its parts, such as `minutes=5`."""
        self.cluster.advance(time + timedelta(**parts))

    def jobs(self) -> tuple[Manifest, ...]:
        """The Jobs of the resource, by name."""
        return self.cluster.children(self.resource.uid, JOB)

    def job_names(self) -> list[str]:
        """The names of the resource's Jobs."""
        return [each["metadata"]["name"] for each in self.jobs()]

    def running(self) -> list[Manifest]:
        """Those of its Jobs that have not ended."""
        return [each for each in self.jobs() if not (each.get("status") or {}).get("conditions")]

    def end_job(self, name: str, *, failed: bool = False, lost: bool = False, **pod_fields: Any) -> None:
        """End a Job of one pod. `pod_fields` is what `pod` takes; of a `lost` Job no pod is left."""
        live = self.manifest(Reference(JOB, self._namespace(), name))
        owned_by = next(each["name"] for each in live["metadata"]["ownerReferences"] if each.get("controller"))
        owner = self.read(Reference(self.kind.api, live["metadata"]["namespace"], owned_by))
        ended = job(owner, name, state="Failed" if failed else "Complete", finished=self.cluster.now)
        self.put({**live, "status": ended["status"]})
        if not lost:
            self.put(pod(owner, f"{name}-pod", job=name, **pod_fields))

    def add_tick(self, name: str, scheduled: datetime | None = None, labels: Mapping[str, str] | None = None) -> None:
        """Let a CronJob of the resource make a Job, now or at the time for which it was scheduled. It belongs to the CronJob."""
        annotations = {SCHEDULED_ANNOTATION: (scheduled or self.cluster.now).isoformat()}
        marks = {STEP_LABEL: TICK, **(labels or {})}
        now = self.cluster.now
        made = job(self.resource, name, state="Suspended", labels=marks, annotations=annotations, created=now)
        cron_job = next(iter(self.cluster.objects(CRON_JOB)), None)
        if cron_job is None:
            self.reconcile()
            [cron_job, *_] = self.cluster.objects(CRON_JOB)
        owner = {"kind": "CronJob", **{key: cron_job["metadata"][key] for key in ("name", "uid")}, "controller": True}
        self.put({**made, "metadata": {**made["metadata"], "ownerReferences": [owner]}})

    def completed_ticks(self) -> set[str]:
        """The Jobs of CronJobs that the operator has completed."""
        ticks = (each for each in self.jobs() if each["metadata"]["labels"].get(STEP_LABEL) == TICK)
        return {each["metadata"]["name"] for each in ticks if (each.get("status") or {}).get("completionTime")}

    def events(self) -> list[str]:
        """The reasons of the events that were recorded, in their order."""
        return [each["reason"] for each in sorted(self.cluster.objects(EVENT), key=lambda each: each["eventTime"])]

    def _namespace(self) -> str:
        return self._subject.namespace if self._subject else "default"

    def _restart(self) -> None:
        """Start a process that remembers nothing and lists what is there."""
        self._queue = Queue(lambda: self.cluster.now.timestamp(), lambda: 0.5)
        self._store = Store(self._kinds, self._wake)
        client = FakeClient(self.cluster, self._before_write, self._after_write)
        writer = Writer(client, lambda: True)
        self._reconciler = Reconciler(
            [replace(each, decide=self._recording_plans(each)) for each in self._kinds],
            self._store,
            client,
            writer,
            EventRecorder(writer, "simulator", lambda: self.cluster.now.timestamp()),
            self.cluster.settings,
            lambda: self.cluster.now,
        )
        self.cluster.watch(self._on_change)

    def _recording_plans(self, kind: AnyKind) -> Callable[[AnyResource, Any], Plan]:
        def decide(resource: AnyResource, seen: Any) -> Plan:
            plan = self.plans[resource.reference] = kind.decide(resource, seen)
            if kind.decide(resource, seen) != plan:
                pytest.fail(
                    f"{resource.reference}: decide returned two plans for one Seen"
                )  # the engine catches others
            return plan

        return decide

    def _on_change(self, change: Change, reference: Reference, manifest: Manifest) -> None:
        """What the informer does: it watches our kinds, and what carries our label."""
        if change == "DELETED":
            self._store.delete_watched(reference.api, manifest)
        elif reference.api.group == GROUP or (manifest["metadata"].get("labels") or {}).get(MANAGED_BY) == "flywheel":
            self._store.update_watched(reference.api, manifest)

    def _wake(self, keys: set[Reference]) -> None:
        for key in sorted(keys):
            if key.api == self.kind.api:
                self._queue.add(key)

    def reconcile_next(self) -> bool:
        """Reconcile the next resource of the queue, if one is due."""
        taken = self._queue.take()
        if taken is None:
            return False
        self._queue.finish(taken[0], self._reconciler(taken[0]))
        return True

    def _before_write(self, write: str) -> None:
        if self.crash_before is not None and self.crash_before(write):
            self.crash_before = None
            raise Killed

    def _after_write(self, write: str) -> None:
        self.writes.append(write)
        if len(self.writes) == self.crash_after:
            raise Killed
