"""A batch with FeatureSets: each row has the features that training gives it, bit for bit, and what does not fit has a reason."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from flywheel_runtime.contract.step import write_json
from flywheel_runtime.datasets.split import SPLITS
from flywheel_runtime.features.feature_sets.binding import bind
from flywheel_runtime.features.feature_sets.definition import ColumnType, FeatureSetSpec
from tests.runtime.commands.batch.batch_pods import DIGEST, BatchPods
from tests.runtime.commands.batch.departures import CONTEXT, DEFINITION, FEATURES, TYPES, asking, departures
from tests.runtime.features.feature_sets.joined_rows import joined_features, write_source
from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration
ROWS, DEPARTURES = asking(700), departures(300)
SET_DIGEST, TABLE_DIGEST = "sha256:" + "a" * 64, "sha256:" + "b" * 64
MODEL_INPUTS = {"dist": "Float", "left_2h": "Integer", "last_delay": "Float"}


def on_time() -> bytes:
    """sigmoid(dist / 1000 + left_2h / 10 + last_delay), 0 where that is missing: elementwise, in FP64 as models with features are."""
    nodes = [
        helper.make_node("Mul", ["dist", "per_dist"], ["a"]),
        helper.make_node("Mul", ["left_2h", "per_left"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["ab"]),
        helper.make_node("IsNaN", ["last_delay"], ["is_missing"]),
        helper.make_node("Where", ["is_missing", "zero", "last_delay"], ["delay"]),
        helper.make_node("Add", ["ab", "delay"], ["abc"]),
        helper.make_node("Sigmoid", ["abc"], ["prediction"]),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.DOUBLE, [None, 1]) for name in MODEL_INPUTS]
    outputs = [helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, [None, 1])]
    constants = [
        numpy_helper.from_array(np.array([value]), name)
        for name, value in (("per_dist", 0.001), ("per_left", 0.1), ("zero", 0.0))
    ]
    graph = helper.make_graph(nodes, "on_time", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("on_time")
    (folder / "model.onnx").write_bytes(on_time())
    tensors = [{"name": name, "datatype": "FP64", "shape": [-1, 1]} for name in MODEL_INPUTS]
    answer = {"name": "prediction", "datatype": "FP64", "shape": [-1, 1]}
    (folder / "signature.json").write_text(
        json.dumps({"v": 1, "task": "Regression", "inputs": tensors, "outputs": [answer]})
    )
    looked_up = {name: MODEL_INPUTS[name] for name in ("left_2h", "last_delay")}
    pinned = {"name": "context", "digest": SET_DIGEST, "eventTime": "sched", "inputs": {}, "lookedUp": looked_up}
    write_json(folder / "features.json", {"v": 1, "featureSets": [pinned]})
    return folder


@pytest.fixture(scope="module")
def served(model: Path) -> Any:
    with LocalServer(model, "--name", "late") as server:
        yield server.http


def text(rows: list[dict[str, Any]], *, stamp: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    """As JSON lines."""
    return "".join(json.dumps({**row, "sched": f"{row['sched']:{stamp}}"}) + "\n" for row in rows)


def csv(rows: list[dict[str, Any]]) -> str:
    lines = [",".join("" if value is None else str(value) for value in row.values()) for row in rows]
    return "\n".join([",".join(rows[0]), *lines, ""])


@pytest.fixture
def pods(tmp_path: Path, env: dict[str, str], bucket: str, model: Path, served: str) -> BatchPods:
    """A batch that looks up in FeatureSet `context`."""
    inputs = tmp_path / "looked up"
    DEFINITION.write(_folder(inputs / "set-0"))
    write_dataset(inputs / "table-0")
    version = {"name": "departures", "version": "departures-1", "digest": TABLE_DIGEST}
    looked_up = {"name": "context", "digest": SET_DIGEST, "input": "set-0", "tables": {"departures": "table-0"}}
    params = {
        "input": {"s3": {"uri": f"s3://{bucket}/shop/in/"}},
        "output": {"s3": {"uri": f"s3://{bucket}/shop/out/"}, "format": "Parquet", "include": ["id", *FEATURES]},
        "model": {"name": "late", "version": "late-1", "digest": DIGEST},
        "featureSets": [{**looked_up, "datasets": [version]}],
    }
    return BatchPods(tmp_path, env, model, served, params, {each.name: each for each in sorted(inputs.iterdir())})


def write_dataset(folder: Path, types: Mapping[str, ColumnType] = TYPES) -> None:
    write_source(folder, DEPARTURES, TYPES)
    write_json(folder / "schema.json", {"columns": [{"name": name, "type": kind} for name, kind in types.items()]})
    assert {f"{split}.parquet" for split in SPLITS} <= {each.name for each in folder.iterdir()}


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def expected(rows: list[dict[str, Any]], folder: Path) -> dict[str, tuple[str, ...]]:
    """What the join of a training gives each row, as text that tells every bit."""
    found = joined_features(DEFINITION, rows, {"departures": write_source(folder, DEPARTURES, TYPES)})
    return {row["id"]: tuple(repr(each[name]) for name in FEATURES) for row, each in zip(rows, found, strict=True)}


def scored(pods: BatchPods) -> dict[str, tuple[str, ...]]:
    parts = []
    for number, each in enumerate(pods.document()["files"]):
        path = pods.folder / f"{number}.parquet"
        path.write_bytes(pods.get("out/" + each["path"]))
        parts.append(str(path))
    named = ", ".join(FEATURES)
    rows = duckdb.sql(f"SELECT id, {named} FROM read_parquet({parts!r})").fetchall()
    return {row[0]: tuple(map(repr, row[1:])) for row in rows}


def parquet(pods: BatchPods, rows: list[dict[str, Any]]) -> bytes:
    source, path = pods.folder / "rows.jsonl", pods.folder / "rows.parquet"
    source.write_text(text(rows))
    columns = "{id: 'VARCHAR', sched: 'TIMESTAMP', origin: 'VARCHAR', gate: 'BIGINT', dist: 'DOUBLE'}"
    query = f"SELECT * FROM read_json('{source}', columns = {columns})"
    duckdb.sql(f"COPY ({query}) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 200)")
    return path.read_bytes()


FORMATS: dict[str, Callable[[BatchPods], bytes | str]] = {
    "rows.jsonl": lambda _pods: text(ROWS),
    "rows.csv": lambda _pods: csv([{**row, "sched": f"{row['sched']:%Y-%m-%d %H:%M:%S}"} for row in ROWS]),
    "rows.parquet": lambda pods: parquet(pods, ROWS),
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_features_are_those_of_the_training_bit_for_bit(pods: BatchPods, name: str, tmp_path: Path) -> None:
    pods.put(f"in/{name}", FORMATS[name](pods))

    told = pods.whole(shards=3)

    assert told["metrics"] == {"rows": 700.0, "errors": 0.0}
    assert scored(pods) == expected(ROWS, tmp_path / "training")
    assert len({row[0] for row in scored(pods).values()}) > 5
    assert pods.document()["featureSets"] == [
        {
            "name": "context",
            "digest": SET_DIGEST,
            "datasets": [{"name": "departures", "version": "departures-1", "digest": TABLE_DIGEST}],
        }
    ]


def test_a_row_has_the_same_features_beside_other_rows(pods: BatchPods, tmp_path: Path) -> None:
    reversed_rows = ROWS[::-1]
    pods.put("in/a.jsonl", text(reversed_rows[:10]))
    pods.put("in/b.jsonl", text(reversed_rows[10:]))

    pods.whole(shards=1)

    assert scored(pods) == expected(ROWS, tmp_path / "training")


def test_a_cell_that_is_no_input_fails_its_row_alone(pods: BatchPods) -> None:
    lines = text(ROWS[:20]).splitlines()
    lines[3] = json.dumps({**json.loads(lines[3]), "sched": "yesterday"})
    lines[4] = json.dumps({**json.loads(lines[4]), "gate": "A7"})
    pods.put("in/rows.jsonl", "\n".join(lines) + "\n")

    told = pods.whole()

    assert told["metrics"] == {"rows": 18.0, "errors": 2.0}
    assert [(each["row"], each["reason"]) for each in errors(pods)] == [(4, "BadValue"), (5, "BadValue")]
    assert "column 'sched': 'yesterday' is no timestamp" in errors(pods)[0]["message"]
    assert "column 'gate': 'A7' is no number" in errors(pods)[1]["message"]


def errors(pods: BatchPods) -> list[dict[str, Any]]:
    parts = [pods.get("out/" + each["path"]).decode() for each in pods.document()["errorFiles"]]
    return [json.loads(line) for part in parts for line in part.splitlines()]


def refusing(pods: BatchPods) -> None:
    """The FeatureSet refuses rows without `last`."""
    spec = {**CONTEXT, "lookups": [{**CONTEXT["lookups"][0], "missing": "Refuse"}]}
    bind(FeatureSetSpec.model_validate(spec), {"departures": TYPES}).write(pods.looked_up["set-0"])


def test_rows_without_a_feature_are_errors_where_the_set_refuses_them(pods: BatchPods, tmp_path: Path) -> None:
    refusing(pods)
    pods.put("in/rows.jsonl", text(ROWS))

    pods.whole(output={"include": ["id", "last_delay"]})

    without = {key for key, row in expected(ROWS, tmp_path / "training").items() if row[2] == "None"}
    found = errors(pods)
    assert {f"f{each['row'] - 1}" for each in found} == without
    assert {each["reason"] for each in found} == {"FeatureMissing"}
    assert "FeatureSet 'context' has no value of 'last_delay'" in found[0]["message"]


def test_refused_rows_count_against_max_row_errors(pods: BatchPods) -> None:
    refusing(pods)
    pods.put("in/rows.jsonl", text(ROWS))
    pods.plan(maxRowErrors=3)

    code, told = pods.step("score", maxRowErrors=3)

    assert (code, told["reason"]) == (2, "TooManyRowErrors")
    assert "(FeatureMissing)" in told["message"]


def without_definition(pods: BatchPods) -> None:
    (pods.looked_up["set-0"] / "feature_set.json").unlink()


def with_other_types(pods: BatchPods) -> None:
    types: dict[str, ColumnType] = {**TYPES, "delay": "Integer"}
    columns = [{"name": name, "type": kind} for name, kind in types.items()]
    write_json(pods.looked_up["table-0"] / "schema.json", {"columns": columns})


def without_a_column(pods: BatchPods) -> None:
    columns = [{"name": name, "type": kind} for name, kind in TYPES.items() if name != "gate"]
    write_json(pods.looked_up["table-0"] / "schema.json", {"columns": columns})


def of_another_model(pods: BatchPods) -> None:
    (pods.folder / "brought").mkdir()
    for file in ("model.onnx", "signature.json"):
        (pods.folder / "brought" / file).write_bytes((pods.model / file).read_bytes())
    pods.model = pods.folder / "brought"


def of_another_digest(pods: BatchPods) -> None:
    pods.params["featureSets"][0]["digest"] = TABLE_DIGEST


def without_its_dataset(pods: BatchPods) -> None:
    pods.params["featureSets"][0] |= {"tables": {}, "datasets": []}


@pytest.mark.parametrize(
    ("spoil", "reason", "part"),
    [
        pytest.param(
            without_definition, "FeatureSetMissing",
            f"the definition of FeatureSet 'context' ({SET_DIGEST}), which version 'late-1' pins, is not in the store; restore it",
            id="the definition is gone",
        ),
        pytest.param(
            with_other_types, "FeatureSetInvalid",
            "columns of its Datasets have other types than when it was checked; give them their types back, or train",
            id="a Dataset has another type now",
        ),
        pytest.param(
            without_a_column, "FeatureSetInvalid", "reads column 'gate', which Dataset 'departures' lacks", id="a Dataset lost a column"
        ),
        pytest.param(
            of_another_model, "FeatureSetNotPinned",
            "pins FeatureSet 'context' by sha256:aaaa", id="the artifact pins none",
        ),
        pytest.param(of_another_digest, "FeatureSetNotPinned", "features.json of its artifact pins sha256:aaaa", id="it pins another one"),
        pytest.param(without_its_dataset, "FeatureSetNotPinned", "does not name Dataset 'departures'", id="a lineage without the Dataset"),
    ],
)  # fmt: skip
def test_a_set_that_cannot_be_looked_up_is_refused(
    pods: BatchPods, spoil: Callable[[BatchPods], None], reason: str, part: str
) -> None:
    spoil(pods)
    pods.put("in/rows.jsonl", text(ROWS))

    code, told = pods.step("plan")

    assert (code, told["reason"]) == (2, reason)
    assert part in told["message"]


def typed(sched: str) -> str:
    return f"SELECT 'f' AS id, {sched} AS sched, 'JFK' AS origin, 1 AS gate, 2.0 AS dist"


@pytest.mark.parametrize(
    ("query", "part"),
    [
        pytest.param("SELECT 'f' AS id, 'JFK' AS origin, 1 AS gate, 2.0 AS dist", "it has no column 'sched', an input of type Timestamp; add it", id="no time"),
        pytest.param("SELECT 'f' AS id, now() AS sched, 'JFK' AS Origin, 1 AS gate, 2.0 AS dist", "it has no column 'origin', an input of type String; is 'Origin' meant?", id="another case"),
        pytest.param(typed("true"), "column 'sched' is BOOLEAN, and the input Timestamp; write it as Timestamp", id="a Boolean for a time"),
        pytest.param(typed("[now()]"), "column 'sched' is TIMESTAMP WITH TIME ZONE[], and the input Timestamp", id="a list"),
        pytest.param(typed("now()") + ", 7 AS left_2h", "column 'left_2h' has the name of a feature; add it to spec.input.ignore", id="a column with the name of a feature"),
    ],
)  # fmt: skip
def test_an_input_that_does_not_fit_is_refused_with_file_and_column(pods: BatchPods, query: str, part: str) -> None:
    path = pods.folder / "rows.parquet"
    duckdb.sql(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    pods.put("in/rows.parquet", path.read_bytes())

    code, told = pods.step("plan")

    assert (code, told["reason"]) == (2, "FeatureSetInvalid")
    assert "file 'rows.parquet' does not fit FeatureSet 'context': " in told["message"]
    assert part in told["message"]


def test_without_features_the_message_says_where_the_columns_are(pods: BatchPods) -> None:
    pods.put("in/rows.jsonl", text(ROWS))

    code, told = pods.step("plan", featureSets=[], output={"include": ["id"]})

    assert (code, told["reason"]) == (2, "ColumnsMissing")
    assert (
        "'left_2h', 'last_delay' can be looked up in FeatureSet 'context'; set spec.features to {from: context}"
        in told["message"]
    )


def test_a_set_of_which_the_model_takes_nothing_is_told(pods: BatchPods, tmp_path: Path) -> None:
    other = Path(shutil.copytree(pods.model, tmp_path / "model"))
    pinned = json.loads((other / "features.json").read_text())["featureSets"][0]
    write_json(other / "features.json", {"v": 1, "featureSets": [{**pinned, "lookedUp": {}}]})
    pods.model = other
    pods.put(
        "in/rows.jsonl", "".join(json.dumps({"dist": 1, "left_2h": at, "last_delay": 2}) + "\n" for at in range(9))
    )

    facts = pods.plan(output={"include": []})["facts"]

    assert (
        facts["warning"]
        == "spec.features looks up nothing in FeatureSet 'context': the model takes none of the features that are looked up there."
    )


def test_other_data_in_which_features_are_looked_up_is_another_plan(pods: BatchPods) -> None:
    pods.put("in/rows.jsonl", text(ROWS))
    first = pods.plan()["facts"]["id"]
    pods.params["featureSets"][0]["datasets"][0]["digest"] = SET_DIGEST

    code, told = pods.step("score")

    assert (code, told["reason"]) == (2, "PlanOutdated")
    assert pods.plan()["facts"]["id"] != first
