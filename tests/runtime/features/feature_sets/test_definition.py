"""feature_set.json, which training and serving share: golden bytes of the contract."""

import json
from pathlib import Path

import pytest

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.features.feature_sets.binding import bind, check_binding
from flywheel_runtime.features.feature_sets.definition import FILE, ColumnType, Definition, FeatureSetSpec

CONTRACTS = Path(__file__).parents[3] / "contracts"
SPEC = FeatureSetSpec.model_validate(json.loads((CONTRACTS / "config/check_features.json").read_text())["definition"])
FLIGHTS: dict[str, ColumnType] = {"origin": "String", "time_hour": "Timestamp"}
WEATHER: dict[str, ColumnType] = {
    "origin": "String",
    "seen": "Timestamp",
    "stored": "Timestamp",
    "temp": "Float",
    "wind": "Integer",
}


def test_the_definition_has_the_bytes_of_the_contract(tmp_path: Path) -> None:
    bind(SPEC, {"flights": FLIGHTS, "weather": WEATHER}).write(tmp_path)

    assert (tmp_path / FILE).read_bytes() == (CONTRACTS / "features" / FILE).read_bytes()


def test_the_definition_is_read_as_it_was_written() -> None:
    found = Definition.read(CONTRACTS / "features")

    assert found == bind(SPEC, {"flights": FLIGHTS, "weather": WEATHER})
    assert found.looked_up == {"leaving_1h": "Integer", "weather_temp": "Float", "weather_wind": "Integer"}
    assert found.datasets == ("flights", "weather")


def test_columns_of_other_types_than_at_the_check_are_refused() -> None:
    found = Definition.read(CONTRACTS / "features")

    with pytest.raises(
        Failure, match="columns of its Datasets have other types than when it was checked; train again\\."
    ):
        check_binding(found, {"flights": FLIGHTS, "weather": {**WEATHER, "wind": "Float"}}, "train again.")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="no file"),
        pytest.param("{", id="no JSON"),
        pytest.param('{"v": 2}', id="another version"),
    ],
)
def test_an_artifact_that_is_no_definition_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / FILE).write_text(content)

    with pytest.raises(Failure, match="that this release reads"):
        Definition.read(tmp_path)
