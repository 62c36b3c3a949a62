"""Tables as people bring them to a batch, each with the value that is right for it (cases/): what a Dataset takes, a batch takes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from onnx import TensorProto, helper

from tests.runtime.commands.batch.batch_pods import DIGEST, BatchPods
from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration
CASES = Path(__file__).parent / "cases"


@pytest.fixture(scope="module")
def doubling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A model with the only input x (rows, 1) and the output y = x + x, served once for all cases."""
    info = helper.make_tensor_value_info
    x, y = info("x", TensorProto.FLOAT, [None, 1]), info("y", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "made", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    folder = tmp_path_factory.mktemp("doubling")
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with LocalServer(folder, "--name", "m") as server:
        yield folder, server.http


@pytest.fixture
def pods(tmp_path: Path, env: dict[str, str], bucket: str, doubling: tuple[Path, str]) -> BatchPods:
    params = {
        "input": {"s3": {"uri": f"s3://{bucket}/shop/in/"}},
        "output": {"s3": {"uri": f"s3://{bucket}/shop/out/"}, "format": "JSONL"},
        "model": {"name": "m", "version": "m-1", "digest": DIGEST},
    }
    return BatchPods(tmp_path, env, *doubling, params)


def put(pods: BatchPods, case: str) -> None:
    path = CASES / case
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            pods.put(f"in/{file.relative_to(CASES).as_posix()}", file.read_bytes())


def part(pods: BatchPods) -> Path:
    (only,) = pods.document()["files"]
    path = pods.folder / "part"
    path.write_bytes(pods.get("out/" + only["path"]))
    return path


def scored(pods: BatchPods) -> list[dict[str, Any]]:
    return [json.loads(line) for line in part(pods).read_text().splitlines()]


@pytest.mark.parametrize(
    ("case", "column", "include", "rows", "some"),
    [
        pytest.param(
            "features_ignored.csv", "temperature", [], 2, [{"y": 20}, {"y": 40}], id="a feature of another name"
        ),
        pytest.param(
            "stray_quotes_4.csv", "x", ["size"], 4,
            [{"size": '5" disk', "y": 2}, {"size": "ok", "y": 4}, {"size": '6" disk', "y": 6}, {"size": "ok", "y": 8}],
            id="stray quotes",
        ),
        pytest.param("cr_line_ends.csv", "x", [], 40, [{"y": 0}, {"y": 2}], id="CR line ends"),
        pytest.param(
            "yes_no.csv", "c", ["c"], 400, [{"c": "no", "y": 0}, {"c": "yes", "y": 2}], id="yes and no are 1 and 0"
        ),
        pytest.param("hive", "dt", ["n", "dt"], None, [{"n": "0", "dt": "1", "y": 2}], id="a column of the folders"),
    ],
)  # fmt: skip
def test_a_table_is_scored(
    pods: BatchPods, case: str, column: str, include: list[str], rows: int | None, some: list[dict[str, Any]]
) -> None:
    put(pods, case)

    told = pods.whole(input={"features": [column]}, output={"include": include})

    found = scored(pods)
    assert told["metrics"] == {"rows": float(rows or len(found)), "errors": 0.0}
    assert [{name: str(row[name]) if case == "hive" and name != "y" else row[name] for name in row} for row in found][
        : len(some)
    ] == some


def test_a_key_in_the_last_line_alone_is_a_column(pods: BatchPods) -> None:
    put(pods, "sparse.jsonl")

    told = pods.whole(input={"features": ["b"]}, output={"include": ["a"]})

    assert told["metrics"] == {"rows": 1.0, "errors": 150.0}  # the model has no finite answer for a missing value
    assert scored(pods) == [{"a": 1, "y": 4}]


def test_lines_without_the_only_wanted_key_have_no_value(pods: BatchPods) -> None:
    pods.put("in/a.jsonl", "{}\n" * 3 + '{"x": 2}\n')

    told = pods.whole()

    assert told["metrics"] == {"rows": 1.0, "errors": 3.0}
    assert scored(pods) == [{"y": 4}]


@pytest.mark.parametrize("case", ["timestamptz.parquet", "blob_included.parquet"])
def test_included_columns_keep_their_values(pods: BatchPods, case: str) -> None:
    put(pods, case)
    column = {"timestamptz.parquet": "ts", "blob_included.parquet": "raw"}[case]
    with duckdb.connect() as connection:
        source = connection.read_parquet(str(CASES / case))
        feature = next(name for name in source.columns if name != column)

        pods.whole(input={"features": [feature]}, output={"include": [column], "format": "Parquet"})

        before = connection.execute(f"SELECT typeof({column}), {column}::VARCHAR FROM read_parquet('{CASES / case}')")
        wanted = before.fetchall()
        after = connection.execute(f"SELECT typeof({column}), {column}::VARCHAR FROM read_parquet('{part(pods)}')")
        assert after.fetchall() == wanted


@pytest.mark.parametrize("name", ["file_row_number", "#row", "rowid", "answers", "part", "v", "size (cm, m)"])
def test_a_column_may_have_any_name(pods: BatchPods, name: str) -> None:
    path = pods.folder / "a.parquet"
    duckdb.sql(
        f"COPY (SELECT range AS \"{name}\", range % 7 AS kind FROM range(5000)) TO '{path}' (ROW_GROUP_SIZE 2048)"
    )
    pods.put("in/a.parquet", path.read_bytes())

    pods.whole(input={"features": [name]}, output={"include": [name]}, shards=1)

    assert [(row[name], row["y"]) for row in scored(pods)] == [(n, 2 * n) for n in range(5000)]


def test_a_large_row_group_is_scored_in_chunks(pods: BatchPods) -> None:
    path = pods.folder / "a.parquet"
    duckdb.sql(f"COPY (SELECT range AS x FROM range(70000)) TO '{path}' (ROW_GROUP_SIZE 100000)")
    pods.put("in/a.parquet", path.read_bytes())

    pods.whole(output={"include": ["x"]}, shards=1)

    assert [(row["x"], row["y"]) for row in scored(pods)] == [(n, 2 * n) for n in range(70_000)]


def test_a_folder_that_says_otherwise_is_refused(pods: BatchPods) -> None:
    pods.put("in/x=1/a.csv", "x\n1\n2\n")

    pods.plan()
    code, told = pods.step("score")

    assert (code, told["reason"]) == (2, "FolderColumnDiffers")
    assert "'x'" in told["message"]


@pytest.mark.parametrize(
    ("files", "warning"),
    [
        pytest.param({"a.csv": "x,note\n1,a\n"}, None, id="CSV"),
        pytest.param({"a.jsonl": '{"x": 1}\n{"x": 2, "note": "a"}\n'}, None, id="JSON lines"),
        pytest.param({"note=a/a.csv": "x\n1\n"}, None, id="a folder"),
        pytest.param(
            {"a.csv": "x,Note\n1,a\n"},
            "spec.input.ignore names column 'note', which the files do not have; is 'Note' meant? Correct or remove the name.",
            id="another case",
        ),
    ],
)
def test_a_name_in_ignore_that_no_file_has_is_a_warning(
    pods: BatchPods, files: dict[str, str], warning: str | None
) -> None:
    for name, content in files.items():
        pods.put(f"in/{name}", content)

    assert pods.plan(input={"ignore": ["note"]})["facts"].get("warning") == warning


def test_the_spec_says_how_csv_is_written_and_what_is_left_out(pods: BatchPods) -> None:
    pods.put("in/a.csv", "x;X;id\n1.000,5;a;?\n?;b;7\n2;c;8\n")

    pods.whole(
        input={"csv": {"decimal": ",", "thousands": ".", "missing": ["?"]}, "ignore": ["X"]}, output={"include": ["id"]}
    )

    assert scored(pods) == [{"id": "?", "y": 2001}, {"id": "8", "y": 4}]
