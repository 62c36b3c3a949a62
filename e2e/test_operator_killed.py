"""The operator is killed after some of its first 30 writes, in one small loop; the end is the same every time.

`KILLS="1 2 3" make e2e K=operator_killed` picks others, `KILLS=all` takes all thirty (about ten minutes). Each run has a namespace, a Lease and operators of its own, so that four of them run side by side; the installed operator rests.
"""

import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from e2e import kube
from e2e.bad_input import dataset, resource
from e2e.local_operator import LocalOperator, deployed_operator_rests
from e2e.story import Story
from e2e.test_bad_input import GOOD_ROWS

KILLS = os.environ.get("KILLS", "2 14 30")  # after the first Job, in the search, at the registration
AT_ONCE = 4
CALM = 0  # the run in which nobody dies
OURS = ("fwds", "fwexp", "fwmodel", "fwver", "fwsvc")
CHILDREN = ("deployments", "services", "serviceaccounts", "jobs", "networkpolicies", "poddisruptionbudgets")


class Run:
    """One loop from nothing to served; the first operator dies after its n-th write, and a second one goes on."""

    def __init__(self, number: int, settings: dict[str, str], folder: Path) -> None:
        self.number = number
        self.story = Story(f"killed-{number}")
        self.folder = folder
        self.settings = {
            **settings,
            "FLYWHEEL_NAMESPACES": self.story.namespace,
            "FLYWHEEL_LEASE_NAMESPACE": self.story.namespace,
        }

    def end(self) -> dict[str, Any]:
        """What exists at the end and is true of it; the namespace goes if all went well."""
        self.story.begin()
        experiment = {
            "dataset": "rows",
            "trainer": {"sklearn": {"estimators": [{"name": "LogisticRegression"}]}},
            "register": "late",
        }
        self.story.apply(
            dataset("rows", self.story.put("rows.csv", GOOD_ROWS)),
            resource("Experiment", "late", experiment),
            resource("InferenceService", "late", {"model": "late", "auth": {"none": {}}}),
        )
        if self.number != CALM:
            self.die()
        survivor = self.operator("second")
        try:
            for kind, name in (("fwds", "rows"), ("fwexp", "late"), ("fwmodel", "late"), ("fwsvc", "late")):
                self.story.wait(kind, name, seconds=240)
            kube.until(lambda: not kube.listed("jobs", self.story.namespace) or None, 30, "Jobs are left over")
            state = self.state()
        finally:
            survivor.signal(signal.SIGTERM)
            survivor.process.wait(30)
        self.story.end()
        return state

    def die(self) -> None:
        """The first operator, up to its last write, which is printed."""
        first = self.operator("first", FLYWHEEL_DIE_AFTER_WRITES=str(self.number))
        try:
            kube.until(lambda: first.process.poll() is not None or None, 240, first.words)
        finally:
            first.end()
        print([line for line in first.words().splitlines() if ": write " in line][-1:])
        # A dead leader's Lease runs out after 15 s; thirty times that is a long story, so it is ended by hand.
        patch = json.dumps({"spec": {"holderIdentity": ""}})
        self.story.kubectl("patch", "lease", "flywheel-operator", "--type", "merge", "--patch", patch)

    def operator(self, name: str, **more: str) -> LocalOperator:
        """One operator process of this run."""
        log = self.folder / f"{self.number}-{name}.log"
        port = 18100 + 2 * self.number + (name == "second")
        return LocalOperator(self.settings, log, f"{name}-{self.number}", port, **more)

    def state(self) -> dict[str, Any]:
        """Kind, name without digests, Ready and its reason, and labels without uids."""
        found: dict[str, Any] = {}
        for kind in (*OURS, *CHILDREN):
            for each in kube.listed(kind, self.story.namespace):
                name = re.sub(r"-[0-9a-f]{8}$", "-digest", each["metadata"]["name"])
                condition = kube.condition(each) if kind in OURS else {}
                labels = sorted(each["metadata"].get("labels", {}))
                found.setdefault(f"{kind}/{name}", []).append(
                    [condition.get("status"), condition.get("reason"), labels]
                )
        return found


def test_the_end_is_the_same_after_every_kill(tmp_path: Path) -> None:
    with deployed_operator_rests() as settings, ThreadPoolExecutor(AT_ONCE) as threads:
        kills = range(1, 31) if KILLS == "all" else [int(number) for number in KILLS.split()]
        runs = [Run(number, settings, tmp_path) for number in (CALM, *kills)]
        ends = dict(zip((CALM, *kills), threads.map(lambda run: run.end(), runs), strict=True))

    assert {number: end for number, end in ends.items() if end != ends[CALM]} == {}
