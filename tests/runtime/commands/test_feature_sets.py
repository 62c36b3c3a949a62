"""A FeatureSet from its check to a model: features of other rows are columns as of each row's time, and serving's inputs afterwards."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flywheel_runtime.commands import check_features

TREE = {
    "estimator": "HistGradientBoostingClassifier",
    "parameters": {"max_iter": 20},
    "objective": {"metric": "roc_auc"},
    "validation": {"holdout": "Validation"},
}
CONTEXT: dict[str, Any] = {
    "name": "context",
    "inputs": [{"name": "sched", "type": "Timestamp"}, {"name": "origin", "type": "String"}],
    "eventTime": "sched",
    "rowwise": {"crowded": "coalesce(leaving_2h, 0) > 4"},
    "aggregates": [
        {
            "name": "leaving_2h",
            "from": {"dataset": "flights", "time": "sched", "availableAfterSeconds": 600},
            "key": {"origin": "origin"},
            "function": "count",
            "windowSeconds": 7200,
            "everySeconds": 600,
            "ttlSeconds": 7200,
            "missing": "Zero",
        }
    ],
    "lookups": [
        {
            "name": "weather",
            "from": {"dataset": "weather", "time": "seen"},
            "key": {"airport": "origin"},
            "columns": ["wind"],
            "maxAgeSeconds": 21600,
        }
    ],
}
TABLES = {"flights": "table-0", "weather": "table-1"}
FLIGHTS = (
    "WITH raw AS (SELECT x AS id, TIMESTAMP '2024-05-01' + to_seconds((x * 900 + hash(x) % 20000)::BIGINT) AS sched, "
    "['JFK', 'LGA'][1 + (hash(x, 2) % 2)::INTEGER] AS origin, (hash(x, 3) % 900) AS dist FROM range(900) AS t(x)) "
    "SELECT r.*, ((SELECT count(*) FROM raw AS p WHERE p.origin = r.origin AND p.sched < r.sched - INTERVAL 10 MINUTE "
    "AND p.sched >= r.sched - INTERVAL 130 MINUTE) > 4)::INTEGER AS late FROM raw AS r ORDER BY id"
)
WEATHER = "SELECT TIMESTAMP '2024-05-01' + to_hours(x // 2) AS seen, ['JFK', 'LGA'][1 + x % 2] AS airport, x / 7 AS wind FROM range(480) AS t(x)"


def csv(query: str) -> str:
    with duckdb.connect() as connection:
        found = connection.execute(query)
        names = [each[0] for each in found.description or ()]
        lines = [",".join("" if cell is None else str(cell) for cell in row) for row in found.fetchall()]
    return "\n".join([",".join(names), *lines, ""])


@pytest.fixture(scope="module")
def flights_csv() -> str:
    return csv(FLIGHTS)


@pytest.fixture
def flights(checked: Any, flights_csv: str) -> Path:
    return Path(checked({"a.csv": flights_csv}, target="late", keys=["id"], eventTime="sched", split={"by": "Time"}))


@pytest.fixture
def weather(checked: Any) -> Path:
    return Path(checked({"a.csv": csv(WEATHER)}))


@pytest.fixture
def checked_set(run_step: Any, flights: Path, weather: Path) -> Callable[..., Any]:
    """checked_set(**changes) -> Result of the check of CONTEXT with these changes."""

    def check(**changes: Any) -> Any:
        inputs = {"table-0": flights, "table-1": weather}
        return run_step(check_features, inputs, definition=CONTEXT | changes, tables=TABLES)

    return check


def join(run_prepare: Any, definition: Path, data: Path, flights: Path, weather: Path) -> Any:
    sets = [{"name": "context", "digest": "sha256:1", "input": "set-0", "tables": TABLES}]
    tables = {"data": data, "set-0": definition, "table-0": flights, "table-1": weather}
    return run_prepare(tables, None, more={"tables": ["data"], "run": {}, "featureSets": sets})


@pytest.mark.integration
def test_the_definition_has_the_types_of_its_columns(checked_set: Any) -> None:
    result = checked_set()

    assert result.code == 0, result.failure
    document = result.output("definition/feature_set.json")
    assert (document["aggregates"][0]["type"], document["lookups"][0]["types"]) == ("Integer", ["Float"])
    assert result.output("facts.json") == {"lookedUp": 2, "rowwise": 1}
    assert checked_set().output("definition/feature_set.json") == document


@pytest.mark.integration
@pytest.mark.parametrize(
    ("changes", "part"),
    [
        pytest.param({"rowwise": {"crowded": "leaving_3h > 4"}}, "leaving_3h", id="an expression of an unknown column"),
        pytest.param(
            {"rowwise": {"busy": "count(*) OVER (PARTITION BY origin)"}},
            "'busy'",
            id="an expression that reads other rows",
        ),
        pytest.param(
            {"lookups": [{**CONTEXT["lookups"][0], "columns": ["Wind"]}]},
            "lookup 'weather' reads column 'Wind', which Dataset 'weather' lacks; is 'wind' meant?",
            id="a column of another case",
        ),
        pytest.param(
            {"aggregates": [{**CONTEXT["aggregates"][0], "function": "sum", "column": "origin"}]},
            "takes sum of 'origin', which is String; sum takes Integer or Float",
            id="a sum of texts",
        ),
        pytest.param(
            {"aggregates": [{**CONTEXT["aggregates"][0], "key": {"id": "origin"}}]},
            "compares 'id' of Dataset 'flights' (Integer) with input 'origin' (String); keys must have one type",
            id="a key of another type",
        ),
        pytest.param(
            {"aggregates": [{**CONTEXT["aggregates"][0], "from": {"dataset": "flights", "time": "origin"}}]},
            "takes 'origin' of Dataset 'flights' for a time, and it is String; name a Timestamp",
            id="a time that is none",
        ),
        pytest.param(
            {"aggregates": [{**CONTEXT["aggregates"][0], "name": "origin"}]},
            "has 'origin' and 'origin', which are one name in SQL",
            id="a feature with the name of an input",
        ),
    ],
)
def test_a_feature_that_does_not_fit_is_refused_with_its_name(
    checked_set: Any, changes: dict[str, Any], part: str
) -> None:
    result = checked_set(**changes)

    assert result.code == 2
    assert part in result.failure["message"]


@pytest.mark.integration
def test_a_model_learns_from_what_was_known_and_names_what_serving_must_look_up(
    checked_set: Any, run_prepare: Any, run_train: Any, flights: Path, weather: Path
) -> None:
    joined = join(run_prepare, checked_set().root / "outputs/definition", flights, flights, weather)
    assert joined.code == 0, joined.failure
    assert joined.output("facts.json")["warnings"] == []

    result = run_train(joined.data, **TREE)

    assert result.code == 0, result.failure
    inputs = [each["name"] for each in result.output("model/signature.json")["inputs"]]
    assert {"leaving_2h", "weather_wind"} <= {*inputs}
    assert "crowded" not in inputs
    document = result.output("model/features.json")
    assert document["rowwise"] == CONTEXT["rowwise"]
    assert document["featureSets"] == [
        {
            "name": "context",
            "digest": "sha256:1",
            "eventTime": "sched",
            "inputs": {"sched": "Timestamp", "origin": "String"},
            "lookedUp": {"leaving_2h": "Integer", "weather_wind": "Float"},
        }
    ]
    assert result.output("metrics.json")["test_roc_auc"] > 0.9


@pytest.mark.integration
def test_rows_of_the_future_change_no_feature_of_the_past(
    checked: Any, checked_set: Any, run_prepare: Any, flights_csv: str, flights: Path, weather: Path
) -> None:
    definition = checked_set().root / "outputs/definition"
    lines = flights_csv.strip().split("\n")
    until = "2024-05-05"
    past = "\n".join([lines[0], *(line for line in lines[1:] if line.split(",")[1] < until), ""])
    earlier = Path(checked({"a.csv": past}, target="late", keys=["id"], eventTime="sched", split={"by": "Time"}))

    with_all = join(run_prepare, definition, flights, flights, weather)
    with_past = join(run_prepare, definition, flights, earlier, weather)

    before, after = _features(with_all.data, until), _features(with_past.data, until)
    assert len(before) > 300
    assert before == after


def _features(folder: Path, until: str) -> list[Any]:
    query = f"SELECT id, leaving_2h, weather_wind FROM read_parquet('{folder}/*.parquet') WHERE sched <= '{until}' ORDER BY id"
    with duckdb.connect() as connection:
        rows: list[Any] = connection.execute(query).fetchall()
    return rows


@pytest.mark.integration
@pytest.mark.parametrize("other", [True, False])
def test_values_are_shown_only_where_every_dataset_lets_them(
    checked: Any, checked_set: Any, run_prepare: Any, flights_csv: str, weather: Path, other: bool
) -> None:
    definition = checked_set().root / "outputs/definition"
    given: dict[str, Any] = {"target": "late", "keys": ["id"], "eventTime": "sched", "showValues": True}
    flights = Path(checked({"a.csv": flights_csv}, **given))
    seen = Path(checked({"a.csv": csv(WEATHER)}, showValues=True)) if other else weather

    joined = join(run_prepare, definition, flights, flights, seen)

    assert (json.loads((joined.data / "schema.json").read_text()).get("showValues") is True) == other


@pytest.mark.integration
def test_data_without_an_input_is_refused(
    checked: Any, checked_set: Any, run_prepare: Any, flights: Path, weather: Path
) -> None:
    other = Path(
        checked({"a.csv": csv("SELECT x AS id, x % 2 AS late, x % 3 AS dist FROM range(90) AS t(x)")}, target="late")
    )

    result = join(run_prepare, checked_set().root / "outputs/definition", other, flights, weather)

    assert (result.code, result.failure["reason"]) == (2, "FeatureSetInvalid")
    assert "the data has no column 'sched', an input of type Timestamp" in result.failure["message"]


@pytest.mark.integration
def test_an_input_that_is_predicted_is_refused(
    checked_set: Any, run_prepare: Any, flights: Path, weather: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(flights, tmp_path / "flights"))
    document = json.loads((other / "schema.json").read_text())
    (other / "schema.json").write_text(json.dumps({**document, "target": "origin"}))

    result = join(run_prepare, checked_set().root / "outputs/definition", other, flights, weather)

    assert (result.code, result.failure["reason"]) == (2, "FeatureSetInvalid")
    assert "its input 'origin' is the column to be predicted, which no caller has" in result.failure["message"]


@pytest.mark.integration
def test_rows_that_serving_would_refuse_are_left_out_with_a_warning(
    checked_set: Any, run_prepare: Any, flights: Path, weather: Path
) -> None:
    refusing = checked_set(aggregates=[{**CONTEXT["aggregates"][0], "missing": "Refuse"}])

    result = join(run_prepare, refusing.root / "outputs/definition", flights, flights, weather)

    assert result.code == 0, result.failure
    [warning] = result.output("facts.json")["warnings"]
    assert warning.startswith("FeatureMissing: ")
    assert "leaving_2h" in warning
    kept = json.loads((result.data / "schema.json").read_text())["rows"]
    assert sum(kept.values()) < 900
