"""A column may have any name: that of an alias, a table or a pseudo-column in our SQL, too."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flywheel_runtime
from tests.examples import examples

SOURCE = Path(flywheel_runtime.__file__).parent
ALIAS = re.compile(r"""\bAS\s+\\?["']?([#=\w]+)|(?:WITH|,)\s+(\w+)\s+AS\s+\(SELECT|["'](#\w+)""")
PSEUDO = (
    "rowid",
    "raw",
    "data",
    "splits",
    "joined",
    "result",
    "checks",
    "true",
    "from",
    'a"b',
    "a'b",
    "a\\1b",
    "=x",
    "#row",
    "ÅÄ",
)


def our_names() -> list[str]:
    """All names that our SQL gives to something, and what DuckDB itself has names for."""
    texts = [
        path.read_text() for folder in ("datasets", "commands") for path in sorted((SOURCE / folder).rglob("*.py"))
    ]
    found = {name for text in texts for match in ALIAS.finditer(text) for name in match.groups() if name}
    return sorted(found | {f"={name}" for name in found} | set(PSEUDO))


NAMES = st.lists(st.sampled_from(our_names()), min_size=5, max_size=5, unique_by=str.casefold)
ROLES = st.sampled_from(["keys", "eventTime", "group", "stratify", "plain"])


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def table(names: list[str]) -> str:
    """A number, a category, a time, a key and a target of two classes."""
    header = ",".join(map(quoted, names)) + "\n"
    return header + "".join(
        f"{n * 7 % 50}.5,c{n % 3},2026-01-01T00:{n % 60:02},{n},{n * 3 % 5 % 2}\n" for n in range(60)
    )


def write(names: list[str], format_: str, folder: Path) -> dict[str, str | bytes]:
    """The same rows as a file of a format."""
    if format_ == "csv":
        return {"a.csv": table(names)}
    path = folder / f"a.{format_}"
    cells = (
        "(range * 7 % 50 + 0.5)::DOUBLE", "'c' || range % 3", "TIMESTAMP '2026-01-01' + to_minutes(range % 60)",
        "range", "range * 3 % 5 % 2",
    )  # fmt: skip
    columns = ", ".join(f"{cell} AS {quoted(name)}" for cell, name in zip(cells, names, strict=True))
    if format_ == "jsonl":
        rows = duckdb.sql(f"SELECT {columns} FROM range(60)").fetchall()
        content = "".join(json.dumps(dict(zip(names, map(as_json, row), strict=True))) + "\n" for row in rows)
        return {path.name: content}
    duckdb.sql(f"COPY (SELECT {columns} FROM range(60)) TO '{path}'")
    return {path.name: path.read_bytes()}


def as_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def with_role(role: str, names: list[str]) -> dict[str, Any]:
    """The fields of a Dataset in which a column has this role."""
    _, category, time, key, target = names
    few = f"SELECT data.{quoted(key)} FROM data WHERE {quoted(key)} > 100"
    fields: dict[str, dict[str, Any]] = {
        "keys": {"keys": [key]},
        "eventTime": {"eventTime": time, "split": {"by": "Time"}},
        "group": {"split": {"by": "Group", "group": category, "validation": "30%", "test": "30%"}},
        "stratify": {"split": {"by": "Random", "stratify": category}},
        "plain": {"checks": [{"name": "few", "sql": few}]},
    }
    return {"target": target, **fields[role]}


def test_the_names_of_our_sql_are_found() -> None:
    assert {"value", "hash", "size", "middle", "#split", "#row", "rowid", "stratum", "place"} <= set(our_names())


@settings(max_examples=examples(12, ci=3), deadline=None)
@given(names=NAMES, role=ROLES, format_=st.sampled_from(["csv", "jsonl", "parquet"]))
def test_any_name_passes_the_check(
    checked: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
    names: list[str],
    role: str,
    format_: str,
) -> None:
    folder = checked(write(names, format_, tmp_path_factory.mktemp("names")), **with_role(role, names))

    files = [str(folder / f"{split}.parquet") for split in ("train", "validation", "test")]
    found = duckdb.sql(f"SELECT * FROM read_parquet({files})")
    assert found.columns == names
    wanted = {(n * 7 % 50 + 0.5, f"c{n % 3}", n, n * 3 % 5 % 2) for n in range(60)}
    assert {(row[0], row[1], row[3], row[4]) for row in found.fetchall()} == wanted


@pytest.mark.parametrize("name", ["#file", "value", "#result", "rowid"])
def test_prepare_takes_any_name(checked: Callable[..., Path], run_prepare: Callable[..., Any], name: str) -> None:
    folder = checked({"a.csv": table([name, "kind", "at", "id", "late"])}, target="late", keys=["id"])

    result = run_prepare({"orders": folder}, f"SELECT * FROM orders WHERE {quoted(name)} > 1", {"sample": 0.5})

    assert result.code == 0, result.failure


@pytest.mark.integration
@pytest.mark.parametrize("name", ["label", "prediction", "probabilities", "value", "#features"])
@pytest.mark.parametrize(("estimator", "target"), [("LogisticRegression", "late"), ("Ridge", "wind")])
def test_any_name_is_a_feature(
    checked: Callable[..., Path], run_train: Callable[..., Any], name: str, estimator: str, target: str
) -> None:
    rows = "".join(f"{n % 9},c{n % 3},{n * 7 % 50 / 2},{n * 3 % 5 % 2}\n" for n in range(200))
    folder = checked({"a.csv": f"{name},kind,wind,late\n" + rows}, target=target)
    objective = {"metric": "roc_auc" if target == "late" else "rmse"}

    result = run_train(folder, estimator=estimator, objective=objective)

    assert result.code == 0, result.failure
    model = onnxruntime.InferenceSession(str(next(result.root.glob("outputs/*/model.onnx"))))
    inputs, outputs = ({each.name for each in ends} for ends in (model.get_inputs(), model.get_outputs()))
    assert name in inputs
    assert not inputs & outputs


def test_a_group_in_a_column_called_size(run_check: Callable[..., Any]) -> None:
    rows = "".join(f"v{n},{n % 7},{n % 11},{n},{n * 3 % 5 % 2}\n" for n in range(200))

    result = run_check(
        {"a.csv": "value,middle,size,x,late\n" + rows}, target="late", split={"by": "Group", "group": "size"}
    )

    assert result.code == 0, result.failure
