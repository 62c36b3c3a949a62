"""Two runs are equal, within tolerance, or different, and the facts name the differences."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands import compare
from tests.runtime.commands.flights import FEATURES, flights

pytestmark = pytest.mark.integration
METRICS = {"roc_auc": 0.75, "test_roc_auc": 0.7}


@pytest.fixture
def artifact(run_train: Any, checked: Any) -> Callable[..., Path]:
    """A model's artifact, trained anew each time."""
    data = checked({"a.csv": flights()}, target="late", keys=["id"])

    def build(**params: Any) -> Path:
        done = run_train(data, features=FEATURES, **params)
        assert done.code == 0
        return Path(done.root / "outputs/model")

    return build


@pytest.fixture
def verdict(run_step: Any) -> Any:
    def run(left: Path, right: Path, mine: Any = METRICS, theirs: Any = METRICS, **params: Any) -> Any:
        done = run_step(compare, {"left": left, "right": right}, leftMetrics=mine, rightMetrics=theirs, **params)
        assert done.code == 0
        return done.output("facts.json")

    return run


def names(facts: Any) -> list[str]:
    return [each.get("file") or each.get("metric") for each in facts["differs"]]


def copied(artifact: Path, to: Path) -> Path:
    shutil.copytree(artifact, to)
    return to


def test_the_same_training_is_equal_although_it_took_another_time(verdict: Any, artifact: Any) -> None:
    one, two = artifact(), artifact()

    assert (one / "run.json").read_bytes() != (two / "run.json").read_bytes()
    assert verdict(one, two) == {"verdict": "Equal", "differs": []}


def test_another_seed_is_different_and_it_is_told_where(verdict: Any, artifact: Any) -> None:
    forest = {"estimator": "RandomForestClassifier", "parameters": {"n_estimators": 10}}

    facts = verdict(artifact(**forest), artifact(**forest, seed=8))

    assert facts["verdict"] == "Different"
    assert {"model.onnx", "golden.json", "run.json"} <= set(names(facts))


def test_weights_that_differ_in_their_last_digits_are_within_tolerance(
    verdict: Any, artifact: Any, tmp_path: Path
) -> None:
    one = artifact()
    two = copied(one, tmp_path / "two")
    nudge(two / "model.onnx", 1e-6)

    facts = verdict(one, two, METRICS, {"roc_auc": 0.750001, "test_roc_auc": 0.7})

    assert facts["verdict"] == "WithinTolerance"
    assert names(facts) == ["model.onnx", "roc_auc"]


def test_weights_that_differ_by_more_are_different(verdict: Any, artifact: Any, tmp_path: Path) -> None:
    one = artifact()
    two = copied(one, tmp_path / "two")
    nudge(two / "model.onnx", 0.5)

    assert verdict(one, two)["verdict"] == "Different"


def nudge(path: Path, by: float) -> None:
    """Move the linear model's coefficients by that share."""
    import onnx

    model = onnx.load(path)
    weights = next(
        attribute for node in model.graph.node for attribute in node.attribute if attribute.name == "coefficients"
    )
    weights.floats[:] = [value * (1 + by) for value in weights.floats]
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        pytest.param(lambda folder: (folder / "model.onnx").unlink(), ["model.onnx"], id="no model"),
        pytest.param(lambda folder: (folder / "more.txt").write_text("x"), ["more.txt"], id="one file more"),
        pytest.param(
            lambda folder: (folder / "signature.json").write_text("{}"), ["signature.json"], id="another signature"
        ),
        pytest.param(lambda folder: (folder / "model.onnx").write_bytes(b"x"), ["model.onnx"], id="no model any more"),
        pytest.param(
            lambda folder: (folder / "run.json").write_text('{"seed": 9, "usage": 1}'),
            ["run.json"],
            id="another record",
        ),
    ],
)
def test_another_file_is_different(
    verdict: Any, artifact: Any, tmp_path: Path, change: Callable[[Path], Any], differs: list[str]
) -> None:
    one = artifact()
    two = copied(one, tmp_path / "two")
    change(two)

    facts = verdict(one, two)

    assert (facts["verdict"] if differs != ["run.json"] else "Different", names(facts)) == ("Different", differs)


@pytest.mark.parametrize(
    ("theirs", "tolerance", "expected"),
    [
        pytest.param({"roc_auc": 0.75}, None, "Equal", id="the same"),
        pytest.param({"roc_auc": 0.75 + 1e-10}, None, "WithinTolerance", id="the last digit"),
        pytest.param({"roc_auc": 0.7501}, None, "Different", id="another value"),
        pytest.param({"roc_auc": 0.7501}, 1e-3, "WithinTolerance", id="another value that is allowed"),
        pytest.param({}, None, "Different", id="one less"),
        pytest.param({"roc_auc": 0.75, "f1": 0.5}, None, "Different", id="one more"),
        pytest.param({"roc_auc": 0.75, "p50_ms": 3.0}, None, "Equal", id="a time that was measured"),
    ],
)
def test_metrics(verdict: Any, tmp_path: Path, theirs: Any, tolerance: Any, expected: str) -> None:
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "data.bin").write_bytes(b"x")

    given = {} if tolerance is None else {"tolerance": tolerance}
    facts = verdict(tmp_path / "left", tmp_path / "right", {"roc_auc": 0.75}, theirs, **given)

    assert facts["verdict"] == expected
    assert bool(facts["differs"]) == (expected != "Equal")


def test_many_differences_have_room(verdict: Any, tmp_path: Path) -> None:
    for side in ("left", "right"):
        for number in range(60):
            path = tmp_path / side / ("deep/" * 5) / f"{'long' * 20}-{number}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(side)

    facts = verdict(tmp_path / "left", tmp_path / "right")

    assert facts["verdict"] == "Different"
    assert len(facts["differs"]) + facts["more"] == 60
    assert len(json.dumps(facts).encode()) < 4000


@pytest.mark.parametrize("params", [{"tolerance": 2}, {"leftMetrics": {"a": "b"}}, {"rightMetrics": [1]}])
def test_params_that_cannot_be(run_step: Any, tmp_path: Path, params: dict[str, Any]) -> None:
    result = run_step(compare, {"left": tmp_path, "right": tmp_path}, **params)

    assert (result.code, result.failure["reason"]) == (2, "ParamsInvalid")
