"""The configuration of the log: its JSON, the sample, and rules that do not fit the model."""

import json
from typing import Any

import duckdb
import pytest

from flywheel_serving.model.signature import Signature, TensorSpec
from flywheel_serving.prediction_log import config
from flywheel_serving.prediction_log.config import LogConfig
from flywheel_serving.prediction_log.schema import Field, row_schema

GOOD: dict[str, Any] = {"sample": 0.1, "service": "delay", "namespace": "shop"}
SIGNATURE = Signature(
    (TensorSpec("month", "FP32", (-1, 1)), TensorSpec("carrier", "BYTES", (-1, 1)), TensorSpec("x", "FP32", (-1, 3))),
    (TensorSpec("label", "INT64", (-1,)),),
)


def parse_config(**changed: Any) -> LogConfig:
    return config.parse_log_config(json.dumps(GOOD | changed))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("{", "is not JSON", id="no JSON"),
        pytest.param("[]", "must be a JSON object", id="no object"),
        pytest.param('{"sample": 1, "service": "a"}', "namespace is missing", id="a field is missing"),
        pytest.param(json.dumps(GOOD | {"sample": 1.5}), "between 0 and 1", id="more than all"),
        pytest.param(json.dumps(GOOD | {"sample": "much"}), "sample", id="a sample that is no number"),
        pytest.param(json.dumps(GOOD | {"columns": [{"name": "a"}]}), "columns", id="a column without an action"),
        pytest.param(json.dumps(GOOD | {"columns": 7}), "columns", id="columns that are no list"),
        pytest.param(json.dumps(GOOD | {"columns": [{"name": "a", "action": "Hide"}]}), "none of Drop, Hmac, Bucket", id="an unknown action"),
        pytest.param(json.dumps(GOOD | {"columns": [{"name": "a", "action": "Bucket"}]}), "width must be above 0", id="a bucket without a width"),
        pytest.param(json.dumps(GOOD | {"columns": [{"name": "a", "action": "Hmac"}]}), "needs hmac_file", id="a hash without a key"),
    ],
)  # fmt: skip
def test_an_invalid_config_is_refused_with_its_field(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        config.parse_log_config(text)


def test_fields_of_a_newer_operator_are_ignored() -> None:
    assert parse_config(colour="blue") == parse_config()


def test_a_config_parses_its_own_json() -> None:
    given = parse_config(columns=[{"name": "a", "action": "Bucket", "width": 2.5}], key="flight_id")

    assert config.parse_log_config(given.to_json()) == given


def test_sql_finds_the_sample_from_the_ids() -> None:
    ids = ["", "request-1", "Zürich → 東京", "🛫" * 50, "'; DROP TABLE", *(str(number) for number in range(100))]
    query = "SELECT ('0x' || substr(sha256(id), 1, 16))::UBIGINT FROM unnest($1::VARCHAR[]) AS t(id)"
    places = [position for (position,) in duckdb.connect().execute(query, [ids]).fetchall()]

    assert [int.from_bytes(config.sample_position(each)[:8], "big") for each in ids] == places


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_sample_has_about_its_share_of_ids(share: float) -> None:
    below = config.sample_threshold(share)

    chosen = sum(config.sample_position(f"request-{number}") < below for number in range(20_000))

    assert chosen == pytest.approx(20_000 * share, abs=20_000 * 0.015)
    assert (chosen == 20_000) is (share == 1.0)


def test_a_larger_sample_includes_a_smaller_one() -> None:
    ids = [f"request-{number}" for number in range(2_000)]
    small, large = (
        {each for each in ids if config.sample_position(each) < config.sample_threshold(share)} for share in (0.05, 0.2)
    )

    assert small < large


def test_a_dropped_input_has_no_column() -> None:
    found = row_schema(SIGNATURE, parse_config(columns=[{"name": "carrier", "action": "Drop"}]))

    assert found.features == (Field("month", "FP32", single=True), Field("x", "FP32", single=False))
    assert found.outputs == (Field("label", "INT64", single=True),)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        pytest.param({"name": "passenger", "action": "Drop"}, "'passenger' is no input or output", id="a name with a slip"),
        pytest.param({"name": "carrier", "action": "Bucket", "width": 1}, "'carrier' is no number", id="buckets of text"),
        pytest.param({"name": "flight_id", "action": "Bucket", "width": 1}, "'flight_id' is no number", id="buckets of the key"),
    ],
)  # fmt: skip
def test_a_config_that_does_not_fit_the_model_is_refused(column: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        row_schema(SIGNATURE, parse_config(key="flight_id", columns=[column]))


def test_a_tensor_of_any_rank_is_logged_as_a_list() -> None:
    signature = Signature((TensorSpec("x", "FP32", (-1,), any_rank=True),), (TensorSpec("y", "FP32", (-1,)),))

    schema = row_schema(signature, parse_config())

    assert (schema.features, schema.outputs) == ((Field("x", "FP32", False),), (Field("y", "FP32", True),))
