"""What a compiled model takes and returns, and how expressions are refused."""

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from flywheel_runtime.features.compiler import compile_features
from flywheel_runtime.features.errors import ExpressionRefused, FeaturesRefused

COLUMNS = {"sched": "TIMESTAMP", "dist": "DOUBLE", "seats": "INTEGER", "origin": "VARCHAR", "price": "DECIMAL(10,2)"}
HOUR = 3_600_000_000.0


def predict(expressions: dict[str, str], **columns: list[float] | list[str]) -> NDArray[np.float32]:
    """The features of rows: a list for each column."""
    model = compile_features(COLUMNS, expressions).model
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = {
        name: np.array(values, dtype=object if isinstance(values[0], str) else np.float64).reshape(-1, 1)
        for name, values in columns.items()
    }
    (features,) = session.run(None, inputs)
    return np.asarray(features)


def refusal(sql: str) -> str:
    with pytest.raises(FeaturesRefused) as refused:
        compile_features(COLUMNS, {"feature": sql})
    return refused.value.reasons["feature"]


def test_the_model_takes_only_the_columns_that_the_features_read() -> None:
    model = compile_features(COLUMNS, {"long": "dist > 1500", "hour": "hour(sched)"}).model

    assert [each.name for each in model.graph.input] == ["dist", "sched"]
    assert [each.name for each in model.graph.output] == ["features"]


def test_features_are_in_the_order_in_which_they_are_written() -> None:
    expressions = {"early": "hour(sched) < 6", "distance": "dist", "ten": "seats * 10", "text": "origin = 'JFK'"}

    features = predict(expressions, sched=[5 * HOUR], dist=[2.5], seats=[3.0], origin=["JFK"])

    assert features.tolist() == [[1.0, 2.5, 30.0, 1.0]]


@pytest.mark.parametrize(
    ("sql", "column", "value"),
    [
        ("dist * 2", "dist", float("inf")),
        ("seats + 1", "seats", float("nan")),
        ("seats + 1", "seats", 1e300),
        ("seats + 1", "seats", 2.0**31),
        ("hour(sched)", "sched", -1e30),
        ("price * 2", "price", 1e9),
        ("length(origin)", "origin", ""),
        ("2147483647 + seats * 2147483647", "seats", 2147483647.0),
        ("100 // seats", "seats", 0.0),
    ],
)
def test_what_is_no_value_of_the_column_and_what_duckdb_refuses_is_nan(
    sql: str, column: str, value: float | str
) -> None:
    assert np.isnan(predict({"feature": sql}, **{column: [value, value]})).all()  # type: ignore[arg-type]


def test_a_branch_without_a_column_has_a_value_for_each_row() -> None:
    assert predict({"one": "CASE WHEN dist > 1 THEN 1 ELSE 1 END"}, dist=[0.0, 1.0, 2.0]).tolist() == [[1.0]] * 3


def test_a_function_of_a_small_domain_is_a_table_and_exact() -> None:
    compiled = compile_features(COLUMNS, {"sine": "sin(2 * pi() * hour(sched) / 24)", "logarithm": "ln(dist)"})

    assert compiled.features["sine"].is_exact
    assert compiled.features["logarithm"].inexact == ("ln",)
    assert "Sin" not in {node.op_type for node in compiled.model.graph.node}


def test_equal_parts_of_features_are_computed_once() -> None:
    model = compile_features(COLUMNS, {"hour": "hour(sched)", "night": "hour(sched) < 6"}).model

    assert [node.op_type for node in model.graph.node].count("Mod") == 1


@pytest.mark.parametrize(
    "sql",
    [
        "(dist - 32) * 5 / 9",
        "round(dist) / nullif(dist, 0)",
        "CASE WHEN dist > 2000 AND dist < 3000 THEN 2 WHEN dist <= 500 THEN 1 ELSE 0 END",
        "coalesce(dist, 0)",
        "dist IS NULL",
    ],
)
def test_a_number_that_is_nan_where_it_is_null_needs_no_masks(sql: str) -> None:
    model = compile_features(COLUMNS, {"feature": sql}).model

    assert {node.op_type for node in model.graph.node}.isdisjoint({"Not", "Or"})


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("asin(dist)", "the function 'asin' cannot be compiled: onnxruntime computes it in FP32 alone"),
        ("random() * dist", "it has another value each time"),
        ("dayname(sched) = 'Monday'", "the function 'dayname' cannot be compiled"),
        ("origin < 'K'", "ONNX has no order of texts"),
        ("origin", "the feature is a text"),
        ("sched", "the feature is a TIMESTAMP"),
        ("unknown + 1", 'Referenced column "unknown" not found'),
        ("unknown(dist)", "Scalar Function with name unknown does not exist"),
        ("dist +", "DuckDB: syntax error"),
        ("dist, seats", "the function 'row' cannot be compiled"),
        ("1 + 1", "the expression reads no column"),
        ("avg(dist)", "the expression aggregates rows"),
        ("lag(dist) OVER (ORDER BY sched)", "the expression looks at other rows by a window"),
        ("(SELECT max(dist) FROM inputs)", "by a subquery, a join or a table function"),
        ("unnest([dist])", "the expression changes the number of rows"),
        ("dist) FROM inputs WHERE (true", "DuckDB: "),
        ("dist) FROM inputs; SELECT (1", "write one expression"),
        ("dist) AS one, (seats", "this is more than one expression"),
        ("dist) FROM read_csv('/etc/hostname') --", "DuckDB: "),
        ("dist) FROM (VALUES (1.5)) AS other(dist) --", "DuckDB: "),
    ],
)
def test_what_cannot_be_compiled_is_refused_by_name(sql: str, reason: str) -> None:
    assert reason in refusal(sql)


def test_all_features_that_cannot_be_compiled_are_named_at_once() -> None:
    with pytest.raises(FeaturesRefused, match=r"feature 'one': .*'trim'.*; feature 'three': .*'now'"):
        compile_features(COLUMNS, {"one": "trim(origin) = 'a'", "two": "dist", "three": "now() > sched"})


@pytest.mark.parametrize("column_type", ["HUGEINT", "DECIMAL(38,2)", "DECIMAL", "INTERVAL", "LIST", "DOUBLE, b DOUBLE"])
def test_a_column_of_another_type_is_refused(column_type: str) -> None:
    with pytest.raises(ExpressionRefused, match="cast"):
        compile_features({"a": column_type}, {"feature": "a IS NULL"})
