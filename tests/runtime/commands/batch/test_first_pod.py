"""The first pod of a run does all of a small input, with the output that three pods write."""

from typing import Any

import pytest

from flywheel_runtime.commands.batch import first_pod
from flywheel_runtime.contract.errors import Failure
from tests.runtime.commands.batch.batch_pods import BatchPods

pytestmark = pytest.mark.integration
CSV = "id,month,wind,carrier\n" + "".join(f"f{n},{n % 12 + 1},{n / 7!r},UA\n" for n in range(1, 301))
OUTPUT = {"include": ["id"], "prediction": "Probability"}


def test_a_small_input_has_the_output_of_three_pods(pods: BatchPods) -> None:
    pods.put("in/rows.csv", CSV)
    pods.whole(output=OUTPUT)
    expected, files = pods.document(), pods.written()
    for name in files:
        pods.bucket.delete(f"shop/out/{name}")

    code, told = pods.step("plan-or-run", output=OUTPUT)

    assert code == 0
    assert (told["metrics"]["rows"], told["metrics"]["errors"], told["facts"]["shards"]) == (300.0, 0.0, 1)
    assert told["facts"]["plan"] == pods.planned["facts"]["plan"]
    assert told["facts"]["manifest"].endswith("/out/_manifest.json")
    assert (pods.document(), pods.written()) == (expected, files)


@pytest.mark.parametrize("asked", [{"parallelism": 2, "shards": 2}, {"shards": 2}], ids=["parallel", "shards"])
def test_shards_that_are_asked_for_have_pods_of_their_own(pods: BatchPods, asked: dict[str, Any]) -> None:
    pods.put("in/rows.csv", CSV)

    code, told = pods.step("plan-or-run", output=OUTPUT, **asked)

    assert (code, told["facts"]["shards"], "manifest" in told["facts"]) == (0, 2, False)
    assert pods.written() == []


def test_a_large_input_is_only_planned(pods: BatchPods, monkeypatch: pytest.MonkeyPatch) -> None:
    pods.put("in/rows.csv", CSV)
    monkeypatch.setattr(first_pod, "MAX_BYTES", 100)

    code, told = pods.step("plan-or-run", output=OUTPUT)

    assert (code, "manifest" in told["facts"]) == (0, False)


def test_what_was_scored_before_it_broke_off_is_not_scored_again(
    pods: BatchPods, monkeypatch: pytest.MonkeyPatch
) -> None:
    pods.put("in/rows.csv", CSV)
    with monkeypatch.context() as broken:
        broken.setattr(first_pod, "commit", _break_off)
        code, _ = pods.step("plan-or-run", output=OUTPUT)
    assert code == 1

    code, told = pods.step("plan-or-run", output=OUTPUT)

    assert (code, told["metrics"]["rows"]) == (0, 300.0)
    assert told["metrics"]["seconds"] == 0.0, "the shard was done"


def _break_off(*_: Any) -> Any:
    raise Failure("StoreUnreachable", "the store is away", retry=True)
