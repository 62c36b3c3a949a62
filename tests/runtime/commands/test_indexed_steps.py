"""A step in several pods, as fetch and collect see it: which parameters, which results, whose turn it is to speak."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands.collect.main import collect
from flywheel_runtime.commands.collect.main_observer import Stop
from flywheel_runtime.commands.fetch import peers
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.paths import Attempt, Paths
from flywheel_runtime.store.artifacts import Store
from tests.runtime.pods import Pod

OF_GROUP = {"timeoutSeconds": None, "outputs": [{"name": "model", "required": True}], "leader": 0}
OWNER = {"FLYWHEEL_NAMESPACE": "shop", "FLYWHEEL_UID": "1234", "FLYWHEEL_STEP": "trial-7", "FLYWHEEL_ATTEMPT": "2"}


@pytest.mark.parametrize(
    ("more", "key"),
    [
        pytest.param({}, "results/1234/trial-7/2.json", id="one pod"),
        pytest.param({"FLYWHEEL_INDEX": "1"}, "results/1234/trial-7/2/1.json", id="a rank of a group"),
        pytest.param(
            {"FLYWHEEL_INDEX": "1", "FLYWHEEL_ITEMS": "[3, 7]"},
            "results/1234/trial-7/2/7.json",
            id="an item of many, by its own number",
        ),
        pytest.param({"FLYWHEEL_JOB": "77aa"}, "results/1234/trial-7/2/77aa.json", id="one pod of a Job"),
        pytest.param(
            {"FLYWHEEL_JOB": "77aa", "FLYWHEEL_INDEX": "1"}, "results/1234/trial-7/2/77aa/1.json", id="a rank of a Job"
        ),
    ],
)
def test_every_pod_has_a_result_of_its_own(more: dict[str, str], key: str) -> None:
    assert Attempt.from_env(OWNER | more).result_key == key


@pytest.mark.integration
def test_an_item_finds_the_steps_parameters_and_its_own(pod: Pod) -> None:
    each = json.dumps([{"month": 1}, {"month": 2, "rate": 0.5}])

    assert pod.fetch(FLYWHEEL_EACH=each, FLYWHEEL_INDEX="1") == 0

    assert json.loads((pod.root / "params.json").read_text()) == {"month": 2, "rate": 0.5}


def test_fetch_ends_when_every_rank_has_an_address() -> None:
    asked, there = list[str](), {"a": 0, "b": 2}

    def found(name: str) -> bool:
        asked.append(name)
        return asked.count(name) > there[name]

    peers.wait_for_peers(["a", "b"], found=found, sleep=lambda _: None)

    assert asked == ["a", "b", "b", "b"]


def test_a_group_that_never_comes_together_gives_its_place_to_another() -> None:
    clock = iter(range(0, 10_000, 60))

    with pytest.raises(Failure, match="1 of 2 pods of the group have not started") as failed:
        peers.wait_for_peers(
            ["a", "b"], found=lambda name: name == "a", clock=lambda: float(next(clock)), sleep=lambda _: None
        )

    assert (failed.value.reason, failed.value.retry) == ("PeersMissing", True)


def test_this_machine_has_an_address_and_a_name_nobody_gave_has_none() -> None:
    assert peers.resolve("localhost")
    assert not peers.resolve("rank-1.nowhere.invalid")


def report(pod: dict[str, str], config: dict[str, Any], **more: str) -> dict[str, Any]:
    env = {**pod, "FLYWHEEL_COLLECT": json.dumps(config), **more}
    return collect(env, Paths.from_env(env), Stop(at=time.monotonic()))


@pytest.mark.integration
def test_rank_0_keeps_the_outputs(finished: dict[str, str]) -> None:
    told = report(finished, OF_GROUP, FLYWHEEL_INDEX="0")

    assert told["complete"]
    assert told["metrics"] == {"loss": 0.4}
    assert "model" in told["outputs"]


@pytest.mark.integration
def test_another_rank_needs_none_and_keeps_none(finished: dict[str, str], store: Store) -> None:
    """No result either: a queue may take the group back and start it again, and then this rank must take part again."""
    root = Path(finished["FLYWHEEL_ROOT"])
    (root / "outputs" / "metrics.json").unlink()

    told = report(finished, OF_GROUP, FLYWHEEL_INDEX="1")

    assert (told["complete"], told["outputs"], told["metrics"]) == (True, {}, {})
    assert store.result(Attempt.from_env(finished | {"FLYWHEEL_INDEX": "1"}).result_key) is None


@pytest.mark.integration
def test_each_item_keeps_its_own_result(finished: dict[str, str], store: Store) -> None:
    config = {"timeoutSeconds": None, "outputs": [{"name": "model", "required": True}]}

    for index in ("0", "1"):
        assert report(finished, config, FLYWHEEL_INDEX=index, FLYWHEEL_ITEMS="[3, 7]")["complete"]

    assert [store.result(f"results/1234/trial-7/1/{item}.json") is not None for item in (0, 3, 7)] == [
        False,
        True,
        True,
    ]
