"""Where nobody chose features, a trial learns from the hour, the weekday and the month of a time, and the model makes them itself."""

from pathlib import Path
from typing import Any

import duckdb
import pytest

from flywheel_runtime.datasets.features import open_data
from flywheel_runtime.models.golden_rows import run_model
from flywheel_runtime.models.rowwise.calendar_features import find_calendar_features

TREE = {"estimator": "HistGradientBoostingClassifier", "parameters": {"max_iter": 20}}


def rows(step: str, count: int = 600, extra: str = "0") -> str:
    """CSV with `seen`, a time for each row that is `step` after the one before; rows of the evening are late."""
    query = (
        f"SELECT x AS id, TIMESTAMP '2022-05-02 00:30' + (x * INTERVAL '{step}') AS seen, hash(x) % 10 AS noise, {extra} AS seen_hour, "
        f"(hour(seen) BETWEEN 17 AND 20)::INTEGER AS late FROM range({count}) AS t(x)"
    )
    with duckdb.connect() as connection:
        found = connection.execute(query).fetchall()
    lines = [",".join(map(str, row)) for row in found]
    return "id,seen,noise,seen_hour,late\n" + "\n".join(lines) + "\n"


@pytest.fixture
def dataset(checked: Any) -> Any:
    def build(step: str, **spec: Any) -> Path:
        content = rows(step, extra=spec.pop("extra", "0"))
        return Path(checked({"a.csv": content}, target="late", keys=["id"], **spec))

    return build


@pytest.mark.parametrize(
    ("step", "parts"),
    [
        pytest.param("1 minute", [], id="ten hours have no second day"),
        pytest.param("47 minutes", ["hour", "weekday"], id="three weeks"),
        pytest.param("31 hours", ["hour", "weekday", "month"], id="two years"),
        pytest.param("7 days", ["month"], id="always the same hour of the same weekday"),
    ],
)
def test_a_part_is_learnt_where_its_cycle_has_passed_twice(checked: Any, step: str, parts: list[str]) -> None:
    data = Path(checked({"a.csv": rows(step)}, target="noise", keys=["id"], ignore=["seen_hour", "late"]))

    assert list(find_calendar_features(data)) == [f"seen_{part}" for part in parts]


def test_a_time_that_is_no_feature_and_a_name_that_is_taken_make_none(dataset: Any) -> None:
    taken = dataset("47 minutes", extra="x % 3")

    assert find_calendar_features(taken) == {"seen_weekday": 'isodow("seen")'}
    assert find_calendar_features(dataset("47 minutes", eventTime="seen")) == {}


@pytest.mark.integration
def test_a_trial_learns_what_comes_back_and_its_model_takes_the_time_alone(run_train: Any, dataset: Any) -> None:
    data = dataset("47 minutes", ignore=["seen_hour"], split={"by": "Random"})

    result = run_train(data, **TREE)

    assert result.code == 0, result.failure
    assert result.output("model/run.json")["features"] == ["seen", "noise", "seen_hour", "seen_weekday"]
    assert [each["name"] for each in result.output("model/signature.json")["inputs"]] == ["seen", "noise"]
    assert result.output("model/features.json")["rowwise"] == {
        "seen_hour": 'hour("seen")',
        "seen_weekday": 'isodow("seen")',
    }
    assert result.output("metrics.json")["test_roc_auc"] > 0.99
    raw = open_data(data, None).raw("test", 5)
    assert run_model((result.root / "outputs/model/model.onnx").read_bytes(), raw)["label"].shape == (5,)


@pytest.mark.integration
@pytest.mark.parametrize(
    "given",
    [{"features": {"numeric": ["seen", "noise"]}}, {"rowwise": {"double": "noise * 2"}}],
    ids=["chosen", "made"],
)
def test_who_chooses_or_makes_features_makes_those_of_the_calendar(run_train: Any, dataset: Any, given: Any) -> None:
    result = run_train(dataset("47 minutes", ignore=["seen_hour"]), **TREE, **given)

    assert "seen_hour" not in result.output("model/run.json")["features"]
