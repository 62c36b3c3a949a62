"""The operator is killed after each of its first 30 writes, in one small loop; the end is the same every time, and nothing is made twice.

Thirty loops with one death each, and one loop whose operators die after every single write, thirty in turn (about ten minutes).
`KILLS="2 14 each" make e2e K=operator_killed` picks some. Each loop has a namespace, a Lease and operators of its own, so that four of
them run side by side; the installed operator rests.
"""

import os
import re
import signal
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from e2e import audit, kube
from e2e.bad_input import dataset, resource
from e2e.local_operator import LocalOperator, free_lease, installed_operator_paused
from e2e.manifests import GOOD_ROWS
from e2e.namespace import Namespace
from e2e.waiting import wait_until

pytestmark = pytest.mark.operator_rests

WRITES = 30
# How many writes each operator of a loop may make before it dies; the one after the last lives.
DEATHS: dict[str, Sequence[int]] = {"each": (1,) * WRITES, **{str(n): (n,) for n in range(1, WRITES + 1)}}
KILLS = os.environ.get("KILLS", " ".join(DEATHS)).split()
CALM = "none"
AT_ONCE = 4
OURS = ("fwds", "fwexp", "fwmodel", "fwver", "fwsvc")
CHILDREN = ("deployments", "services", "serviceaccounts", "jobs", "networkpolicies", "poddisruptionbudgets")


class Run:
    """One loop from nothing to served, with a death after each of these numbers of writes."""

    def __init__(self, name: str, settings: dict[str, str], folder: Path, port: int) -> None:
        self.name = name
        self.deaths = DEATHS.get(name, ())
        self.namespace = Namespace(f"killed-{name}")
        self.folder = folder
        self.port = port
        self.settings = {
            **settings,
            "FLYWHEEL_NAMESPACES": self.namespace.name,
            "FLYWHEEL_LEASE_NAMESPACE": self.namespace.name,
        }

    def end(self) -> dict[str, Any]:
        """What exists at the end and is true of it, and what was done on the way; the namespace goes if all went well."""
        self.namespace.create()
        began = datetime.now(UTC)
        experiment = {
            "dataset": "rows",
            "trainer": {"sklearn": {"estimators": [{"name": "LogisticRegression"}]}},
            "register": "late",
        }
        self.namespace.apply(
            dataset("rows", self.namespace.upload("rows.csv", GOOD_ROWS)),
            resource("Experiment", "late", experiment),
            resource("InferenceService", "late", {"model": "late", "auth": {"none": {}}}),
        )
        for number, writes in enumerate(self.deaths, start=1):
            if not self.is_served():
                self.die(number, writes)
        survivor = self.operator("survivor")
        try:
            for kind, name in (("fwds", "rows"), ("fwexp", "late"), ("fwmodel", "late"), ("fwsvc", "late")):
                self.namespace.wait(kind, name, seconds=240)
            wait_until(lambda: not kube.list_objects("jobs", self.namespace.name), 30, "Jobs are left over")
            found = {"state": self.state(), **self.done(began)}
        finally:
            survivor.signal(signal.SIGTERM)
            survivor.process.wait(30)
        self.namespace.delete()
        return found

    def die(self, number: int, writes: int) -> None:
        """One operator, up to its last write, which is printed."""
        mortal = self.operator(f"mortal-{number}", FLYWHEEL_DIE_AFTER_WRITES=str(writes))
        try:
            # Operators that die before they tell of it in an event write less, so there may be fewer deaths than asked for.
            wait_until(lambda: mortal.process.poll() is not None or self.is_served(), 240, mortal.log_text)
        finally:
            mortal.kill()
        print([line for line in mortal.log_text().splitlines() if ": write " in line][-1:])
        free_lease(self.namespace)

    def is_served(self) -> bool:
        """Whether the last of the loop is Ready."""
        return kube.condition(kube.get("fwsvc", "late", self.namespace.name)).get("status") == "True"

    def operator(self, name: str, **more: str) -> LocalOperator:
        """One operator process of this loop."""
        return LocalOperator(
            self.settings, self.folder / f"{self.name}-{name}.log", f"{name}-{self.name}", self.port, **more
        )

    def state(self) -> dict[str, Any]:
        """Kind, name without digests, Ready and its reason, and labels without uids."""
        found: dict[str, Any] = {}
        for kind in (*OURS, *CHILDREN):
            for each in kube.list_objects(kind, self.namespace.name):
                condition = kube.condition(each) if kind in OURS else {}
                labels = sorted(each["metadata"].get("labels", {}))
                found.setdefault(f"{kind}/{without_digests(each['metadata']['name'])}", []).append(
                    [condition.get("status"), condition.get("reason"), labels]
                )
        return found

    def done(self, began: datetime) -> dict[str, Any]:
        """What the operators made and how often, and what the API server refused because it was there or had changed.

        A name that is not the same for the same thing shows in the first, an operator that does not know its own writes in the second.
        """
        made: Counter[str] = Counter()
        refused: list[str] = []
        for entry in audit.writes(began):
            where, code = entry.get("objectRef", {}), entry["responseStatus"]["code"]
            if where.get("namespace") != self.namespace.name or entry["userAgent"] != "flywheel":
                continue
            if code == 201 and where["resource"] != "events":
                made[f"{where['resource']}/{without_digests(where['name'])}"] += 1
            if code == 409:
                refused.append(audit.describe_write(entry))
        return {"made": dict(made), "refused": refused}


def without_digests(name: str) -> str:
    """The same for another uid and another day."""
    return re.sub(r"-[0-9a-f]{8}(?=-|$)", "-digest", name)


def test_the_end_is_the_same_after_every_kill(tmp_path: Path) -> None:
    with installed_operator_paused("none") as settings, ThreadPoolExecutor(AT_ONCE) as threads:
        runs = [Run(name, settings, tmp_path, 18100 + number) for number, name in enumerate((CALM, *KILLS))]
        ends = dict(zip((CALM, *KILLS), threads.map(Run.end, runs), strict=True))

    assert ends[CALM]["refused"] == []
    assert {name: end for name, end in ends.items() if end != ends[CALM]} == {}
