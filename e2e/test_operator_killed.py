"""The operator is killed after each of its first 30 writes in turn, in one small loop; the end is the same every time.

Each run has names of its own, so that all of them are fresh; at the end what was made is compared with the names taken out.
"""

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

from e2e import kube
from e2e.bad_input import dataset, resource
from e2e.local_operator import LocalOperator, deployed_operator_rests
from e2e.story import Story
from e2e.test_bad_input import GOOD_ROWS

WRITES = 30
KINDS = (
    "fwds",
    "fwexp",
    "fwmodel",
    "fwver",
    "fwsvc",
    "deployments",
    "services",
    "jobs",
    "poddisruptionbudgets",
    "networkpolicies",
)


def loop(story: Story, run: str, uri: str) -> None:
    """Apply one small loop whose resources carry the run's name."""
    experiment = {
        "dataset": f"rows-{run}",
        "trainer": {"sklearn": {"estimators": [{"name": "LogisticRegression"}]}},
        "register": f"late-{run}",
    }
    story.apply(
        dataset(f"rows-{run}", uri),
        resource("Experiment", f"late-{run}", experiment),
        resource("InferenceService", f"late-{run}", {"model": f"late-{run}", "auth": {"none": {}}}),
    )


def end_state(story: Story, run: str) -> dict[str, Any]:
    """What exists of a run and is true of it, without names, uids, times and measured numbers."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        for each in kube.listed(kind, story.namespace):
            if f"-{run}" not in each["metadata"]["name"]:
                continue
            name = re.sub(r"-[0-9a-f]{8}$", "-uid", each["metadata"]["name"].replace(f"-{run}", ""))
            condition = kube.condition(each)
            found[f"{kind}/{name}"] = (
                condition.get("status"),
                condition.get("reason"),
                sorted(each["metadata"].get("labels", {})),
            )
    return found


def test_the_end_is_the_same_after_every_kill(story: Story, tmp_path: Path) -> None:
    uri = story.put("rows.csv", GOOD_ROWS)
    with deployed_operator_rests() as settings:
        calm = run_to_the_end(story, settings, tmp_path, "calm", uri, None)
        ends = {n: run_to_the_end(story, settings, tmp_path, f"k{n}", uri, n) for n in range(1, WRITES + 1)}

    assert {n: end for n, end in ends.items() if end != calm} == {}


def run_to_the_end(
    story: Story, settings: dict[str, str], folder: Path, run: str, uri: str, dies_after: int | None
) -> dict[str, Any]:
    """One loop from nothing to served; the first operator dies after its n-th write, and a second one goes on."""
    loop(story, run, uri)
    if dies_after is not None:
        first = LocalOperator(
            settings, folder / f"{run}-first.log", f"{run}-first", 18081, FLYWHEEL_DIE_AFTER_WRITES=str(dies_after)
        )
        try:
            kube.until(lambda: first.process.poll() is not None, 120, first.words)
        finally:
            first.end()
        print(run, [line for line in first.words().splitlines() if "write " in line][-1:])
        release_lease()
    second = LocalOperator(settings, folder / f"{run}-second.log", f"{run}-second", 18081)
    try:
        story.wait("fwsvc", f"late-{run}", seconds=180)
        story.wait("fwmodel", f"late-{run}", seconds=30)
        story.wait("fwexp", f"late-{run}", seconds=30)
        time.sleep(1)
        state = end_state(story, run)
    finally:
        second.signal(signal.SIGTERM)
        second.process.wait(20)
    story.kubectl("delete", "fwsvc", f"late-{run}")
    return state


def release_lease() -> None:
    """A dead leader's Lease runs out after 15 s; thirty times that is a long story, so it is ended by hand."""
    patch = json.dumps({"spec": {"holderIdentity": ""}})
    kube.kubectl(
        "patch", "lease", "flywheel-operator", "--namespace", "flywheel-system", "--type", "merge", "--patch", patch
    )
