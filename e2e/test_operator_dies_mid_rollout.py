"""Operators die after every single write of a canary, one after the other; the rollout ends as if nothing had been, nothing is judged or
made twice, and no request fails."""

import re
import signal
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from e2e import kube, rollouts
from e2e.local_operator import LocalOperator, free_lease, installed_operator_paused
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.rollouts import NAME, ROW
from e2e.traffic import Traffic
from e2e.waiting import wait_until

pytestmark = pytest.mark.operator_rests

DEATHS = 60  # more than a rollout has writes
PORT = 18090
ROLLOUT = {
    "canary": {
        "steps": [{"percent": 20, "duration": "5s"}, {"percent": 50, "duration": "5s"}],
        "analysis": {"maxP99Ratio": "1000", "minRequests": 10},
    }
}


def is_promoted(namespace: Namespace) -> bool:
    status = rollouts.rollout_status(namespace)
    return (status.get("phase"), status.get("challenger")) == ("Promoted", "fraud-2")


def is_over(mortal: LocalOperator, namespace: Namespace) -> bool | None:
    return mortal.process.poll() is not None or is_promoted(namespace) or None


def dies_after_each_write(namespace: Namespace, settings: dict[str, str], folder: Path) -> list[LocalOperator]:
    """One operator after the other, until the challenger is promoted."""
    dead: list[LocalOperator] = []
    while not is_promoted(namespace) and len(dead) < DEATHS:
        name = f"mortal-{len(dead)}"
        mortal = LocalOperator(settings, folder / f"{name}.log", name, PORT, FLYWHEEL_DIE_AFTER_WRITES="1")
        dead.append(mortal)
        try:
            wait_until(partial(is_over, mortal, namespace), 120, mortal.log_text)
        finally:
            mortal.kill()
        free_lease(namespace)
    return dead


def test_the_rollout_ends_as_without_the_deaths(namespace: Namespace, tmp_path: Path) -> None:
    with installed_operator_paused(namespace.name) as settings:
        calm = LocalOperator(settings, tmp_path / "calm.log", "calm", PORT)
        try:
            rollouts.add_versions(namespace, {"fraud-1": linear([1.0, 0.0]), "fraud-2": linear([2.0, 0.0])})
            rollouts.serve_champion(namespace, "fraud-1", ROLLOUT)
        finally:
            calm.signal(signal.SIGTERM)
            calm.process.wait(30)
        before = rollouts.server_uids(namespace)
        with kube.port_forward(f"service/{NAME}", 8080, namespace.name) as port, Traffic(port, NAME, ROW) as traffic:
            rollouts.set_champion(namespace, "fraud-2")
            dead = dies_after_each_write(namespace, settings, tmp_path)

    made = Counter(re.findall(r"write \d+ create (\w+ \S+)", "\n".join(each.log_text() for each in dead)))
    judges = [each for each in made if each.startswith("Job ") and "-judge-" in each]
    assert is_promoted(namespace)
    assert len(dead) > 10
    assert traffic.failures == {}
    assert [each for each, times in made.items() if times > 1 and not each.startswith("Event ")] == []
    assert len(judges) == 2, judges
    assert before.items() <= rollouts.server_uids(namespace).items()
