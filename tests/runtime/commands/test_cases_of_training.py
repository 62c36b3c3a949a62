"""Tables that people bring, from check to a trained model: each with the right value."""

import json
from typing import Any

import duckdb
import numpy as np
import onnxruntime
import pytest

from tests.runtime.commands.case_files import read_case

# Of case few-distinct, by the build of 22 November 2026.
EARLIER_FEW_DISTINCT = "sha256:eee6afd9e15cd362dce5e483989b46974898afb902407ba110f72ece57ce98ac"
BOOSTING = {"estimator": "HistGradientBoostingClassifier", "parameters": {"max_iter": 20}}


def schema_of(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((result.data / "schema.json").read_text())
    return found


def warnings_of(result: Any, kind: str) -> list[str]:
    anomalies = result.output("data/report.json")["anomalies"]
    return [each["message"] for each in anomalies if each["kind"] == kind]


@pytest.mark.parametrize(("case", "target"), [("target-1-2-float", "late"), ("pq-decimal0-target", "late")])
def test_whole_numbers_of_few_values_are_classes_whatever_type_they_were_written_in(
    run_check: Any, case: str, target: str
) -> None:
    result = run_check(read_case(case), target=target)

    schema = schema_of(result)
    assert (schema["task"], schema["classes"]) == ("Classification", ["0", "1"])


def test_a_type_that_the_spec_states_goes_before_the_values(run_check: Any) -> None:
    result = run_check(read_case("target-1-2-float"), target="late", columns=[{"name": "late", "type": "Float"}])

    assert schema_of(result)["task"] == "Regression"


def test_a_target_of_the_last_version_stays_a_number_where_its_values_become_few(run_check: Any) -> None:
    rows = [f"{i},{i % 40}" for i in range(200)]
    first = run_check({"a.csv": "x,y\n" + "\n".join(rows) + "\n"}, target="y")
    second = run_check({"a.csv": "x,y\n" + "\n".join(f"{i},{i % 5}" for i in range(200)) + "\n"}, first, target="y")

    assert [schema_of(each)["task"] for each in (first, second)] == ["Regression", "Regression"]


def test_the_task_is_frozen_with_the_schema(run_check: Any) -> None:
    first = run_check(read_case("frozen-target-21st-int/first"), target="k")
    second = run_check(read_case("frozen-target-21st-int/second"), previous=first, target="k")

    assert (first.code, schema_of(first)["task"]) == (0, "Classification")
    assert (second.code, second.failure["reason"]) == (2, "TypeMismatch")
    assert all(part in second.failure["message"] for part in ("'k'", "20", "spec.columns", "String", "Float"))


def test_a_new_class_of_a_whole_target_is_a_warning(run_check: Any) -> None:
    first = run_check({"a.csv": "x,y\n" + "".join(f"{i},{i % 2}\n" for i in range(90))}, target="y")
    second = run_check({"a.csv": "x,y\n" + "".join(f"{i},{i % 3}\n" for i in range(90))}, first, target="y")

    assert (schema_of(second)["classes"], len(warnings_of(second, "NewCategory"))) == (["0", "1", "2"], 1)


def test_a_column_that_had_no_value_takes_the_type_of_its_first_values(run_check: Any) -> None:
    first = run_check(read_case("frozen-missing-gets-values/first"), target="late")
    second = run_check(read_case("frozen-missing-gets-values/second"), previous=first, target="late")

    types = [
        {column["name"]: column["type"] for column in schema_of(each)["columns"]}["note"] for each in (first, second)
    ]
    assert types == ["String", "Integer"]


@pytest.mark.integration
def test_a_column_without_a_value_is_left_out_and_the_model_is_trained(run_check: Any, run_train: Any) -> None:
    checked = run_check(read_case("pq-all-nan"), target="late")
    result = run_train(checked.data, **BOOSTING)

    run = result.output("model/run.json")
    assert (result.code, len(warnings_of(checked, "Constant"))) == (0, 1)
    assert list(run["leftOut"].values()) == ["no value"]
    assert not set(run["leftOut"]) & set(run["features"])


@pytest.mark.integration
def test_what_the_train_split_alone_lacks_is_left_out_too(run_check: Any, run_train: Any) -> None:
    rows = [
        f"2026-01-{i // 24 + 1:02d}T{i % 24:02d}:00:00Z,{i},{'' if i < 400 else i},{int(i > 390)},{i % 2}"
        for i in range(500)
    ]
    checked = run_check(
        {"a.csv": "when,x,late_column,one_value,y\n" + "\n".join(rows) + "\n"},
        target="y",
        eventTime="when",
        split={"by": "Time", "validation": "10%", "test": "20%"},
    )
    result = run_train(checked.data, **BOOSTING)

    assert len(warnings_of(checked, "Constant")) == 2
    assert result.output("model/run.json")["leftOut"] == {"late_column": "no value", "one_value": "one value"}
    assert result.output("model/signature.json")["leftOut"] == ["late_column", "one_value"]


@pytest.mark.integration
def test_a_fold_in_which_a_column_has_no_value_is_fitted(run_check: Any, run_train: Any) -> None:
    rows = [f"2026-01-{i // 24 + 1:02d}T{i % 24:02d}:00:00Z,{i},{'' if i < 250 else i},{i % 2}" for i in range(500)]
    checked = run_check(
        {"a.csv": "when,x,later,y\n" + "\n".join(rows) + "\n"}, target="y", eventTime="when", split={"by": "Time"}
    )

    assert run_train(checked.data, **BOOSTING, validation={"folds": 4}).code == 0


@pytest.mark.integration
@pytest.mark.parametrize("case", ["inf", "huge-float"])
@pytest.mark.parametrize(
    "estimator", ["HistGradientBoostingClassifier", "LogisticRegression", "DecisionTreeClassifier"]
)
def test_numbers_that_are_infinite_or_beyond_32_bits_are_missing_everywhere(
    run_check: Any, run_train: Any, case: str, estimator: str
) -> None:
    checked = run_check(read_case(case), target="late")
    result = run_train(checked.data, estimator=estimator)

    assert (checked.code, result.code) == (0, 0)
    assert all("missing" in warning for warning in warnings_of(checked, "NotFinite"))
    assert warnings_of(checked, "NotFinite")
    inputs = result.output("model/signature.json")["inputs"]
    assert {each["datatype"] for each in inputs} == {"FP64"}
    session = onnxruntime.InferenceSession(result.root / "outputs" / "model" / "model.onnx")
    values = np.array([np.inf, -np.inf, 1e300, np.nan])[:, None]
    answers = session.run(["probabilities"], {each["name"]: values for each in inputs})[0]
    assert (answers == answers[3]).all()


def test_splits_have_their_shares_where_few_rows_are_distinct(run_check: Any) -> None:
    result = run_check(read_case("few-distinct"), target="survived")

    rows = result.output("facts.json")["splits"]
    total = sum(rows.values())
    assert rows["validation"] / total == pytest.approx(0.15, abs=0.01)
    assert rows["test"] / total == pytest.approx(0.15, abs=0.01)
    (warning,) = warnings_of(result, "RepeatedRows")
    assert "divided" in warning


def test_divided_copies_are_another_version_than_copies_that_stay_together(run_check: Any) -> None:
    """Releases before divided no copies: a version that names their rows must not come to name others."""
    result = run_check(read_case("few-distinct"), target="survived")

    assert result.output("data/schema.json")["content"] != EARLIER_FEW_DISTINCT


def test_an_unchanged_source_keeps_the_version_and_the_splits_of_an_earlier_release(run_check: Any) -> None:
    earlier = run_check(read_case("few-distinct"), anew=True, target="survived")
    schema = earlier.data / "schema.json"
    schema.write_text(json.dumps(json.loads(schema.read_text()) | {"content": EARLIER_FEW_DISTINCT}))

    result = run_check(read_case("few-distinct"), previous=earlier, target="survived")

    rows = [set(duckdb.read_parquet(str(result.data / f"{name}.parquet")).fetchall()) for name in ("train", "test")]
    assert result.output("data/schema.json")["content"] == EARLIER_FEW_DISTINCT
    assert not rows[0] & rows[1]
    (warning,) = warnings_of(result, "RepeatedRows")
    assert "stay in one split" in warning


def test_a_few_copies_stay_in_one_split(run_check: Any) -> None:
    rows = [f"{i},{i % 2}" for i in range(300)]
    result = run_check({"a.csv": "x,y\n" + "\n".join(rows * 2) + "\n"}, target="y")

    seen = [
        set(duckdb.read_parquet(str(result.data / f"{name}.parquet")).fetchnumpy()["x"].tolist())
        for name in ("train", "validation", "test")
    ]
    assert sum(map(len, seen)) == len(set.union(*seen))
    (warning,) = warnings_of(result, "RepeatedRows")
    assert "stay in one split" in warning


def test_rows_without_a_group_are_one_group_and_that_is_in_the_message(run_check: Any) -> None:
    result = run_check(read_case("group-null"), target="late", split={"by": "Group", "group": "g"})

    found = result.failure["message"] if result.code else " ".join(warnings_of(result, "GroupMissing"))
    assert all(part in found for part in ("'g'", "100 rows", "one group")), found
    assert "more rows" not in found


def test_groups_that_miss_the_shares_are_told(run_check: Any) -> None:
    rows = [f"{i % 2 * 10 + (i % 5 if i % 2 else 0)},{i},{i % 2}" for i in range(400)]
    result = run_check(
        {"a.csv": "g,x,late\n" + "\n".join(rows) + "\n"}, target="late", split={"by": "Group", "group": "g"}
    )

    found = result.failure["message"] if result.code else " ".join(warnings_of(result, "SplitShares"))
    assert "200 rows" in found


def test_an_identifier_that_orders_the_target_is_a_leak(run_check: Any) -> None:
    result = run_check(read_case("id-sorted-iris"), target=target_of("id-sorted-iris"))

    leaks = warnings_of(result, "LabelLeak")
    assert any("numbers the rows" in leak and "spec.keys" in leak for leak in leaks), leaks


def test_an_identifier_in_no_order_is_no_leak(run_check: Any) -> None:
    chance = np.random.default_rng(3)
    rows = [f"{i},{chance.normal():.3f},{chance.integers(2)}" for i in range(500)]

    assert warnings_of(run_check({"a.csv": "id,x,y\n" + "\n".join(rows) + "\n"}, target="y"), "LabelLeak") == []


def target_of(case: str) -> str:
    """The last column of a case's first file."""
    files = read_case(case)
    first = next(iter(files.values()))
    assert isinstance(first, bytes)
    return first.decode().splitlines()[0].split(",")[-1].strip('"')


@pytest.mark.integration
def test_features_that_are_all_left_out_are_named_with_the_reason(run_check: Any, run_train: Any) -> None:
    checked = run_check({"a.csv": "one,y\n" + "\n".join(f"7,{i % 2}" for i in range(200)) + "\n"}, target="y")

    failure = run_train(checked.data, features={"numeric": ["one"], "categorical": []}).failure

    assert failure["reason"] == "NoFeatures"
    assert "'one' (one value); bring rows in which they differ" in failure["message"]
