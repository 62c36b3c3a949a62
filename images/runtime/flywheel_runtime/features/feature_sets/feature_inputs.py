"""The inputs of a step that joins features: for each FeatureSet its definition, and the versions of the Datasets that it reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import read_json_object
from flywheel_runtime.datasets.schema import Column
from flywheel_runtime.features.feature_sets.binding import Types, check_binding
from flywheel_runtime.features.feature_sets.definition import Definition
from flywheel_runtime.features.feature_sets.point_in_time import FeatureSource
from flywheel_runtime.features.feature_sets.source_rows import SourceTable
from flywheel_runtime.params import Params


class FeatureSetInput(Params):
    """A FeatureSet: its name, the digest of its definition, the input that has it, and the inputs with its Datasets."""

    name: str
    digest: str
    input: str
    tables: dict[str, str]


def read_source(inputs: Path, wanted: FeatureSetInput, cure: str) -> FeatureSource:
    """The definition and its tables below the folder of the step's inputs.

    Raises Failure FeatureSetInvalid with this cure where they do not fit one another, DefinitionInvalid, InputInvalid.
    """
    definition = Definition.read(inputs / wanted.input)
    tables = {name: SourceTable.read(name, inputs / given) for name, given in wanted.tables.items()}
    check_binding(definition, {name: table.types for name, table in tables.items()}, cure)
    return FeatureSource(definition, tables)


def read_types(tables: Mapping[str, str], inputs: Path) -> dict[str, Types]:
    """The types of the columns of each Dataset, by the schema.json of its input. Raises Failure InputInvalid."""
    return {name: _read_types(name, inputs / given) for name, given in tables.items()}


def _read_types(name: str, folder: Path) -> Types:
    schema = read_json_object(folder / "schema.json")
    try:
        found: dict[str, Any] = {column.name: column.type for column in map(Column.model_validate, schema["columns"])}
    except (KeyError, TypeError, ValueError) as error:
        message = (
            f"The schema.json of Dataset '{name}' cannot be read ({type(error).__name__}); check the Dataset again."
        )
        raise Failure("InputInvalid", message) from error
    return found
