"""The inputs of a step that joins the features of FeatureSets: their definitions, and the versions of the Datasets in which they look up."""

from collections.abc import Sequence
from typing import Any

from flywheel.core.pods.fetch import Input
from flywheel.kinds.featureset.schema.pins import DatasetPin, FeatureSetPin


def definition_inputs(pins: Sequence[FeatureSetPin], *, optional: bool = False) -> tuple[Input, ...]:
    """The definitions, `set-0`, `set-1`, …; `optional` where main itself says what is missing."""
    return tuple(Input(f"set-{place}", artifact=str(pin.digest), optional=optional) for place, pin in enumerate(pins))


def table_inputs(pins: Sequence[FeatureSetPin], files: tuple[str, ...] = ()) -> tuple[Input, ...]:
    """The versions of Datasets, `table-0`, `table-1`, …, each artifact once: these of its files, or all."""
    return tuple(Input(name, artifact=digest, files=files) for digest, name in _names(pins).items())


def feature_set_params(pins: Sequence[FeatureSetPin]) -> list[dict[str, Any]]:
    """The FeatureSets in `params.json`: each with the inputs of its definition and of its Datasets."""
    names = _names(pins)
    return [
        {
            "name": str(pin.name),
            "digest": str(pin.digest),
            "input": f"set-{place}",
            "tables": {str(each.name): names[str(each.digest)] for each in pin.datasets},
        }
        for place, pin in enumerate(pins)
    ]


def _names(pins: Sequence[FeatureSetPin]) -> dict[str, str]:
    """The input of each artifact by its digest."""
    versions: list[DatasetPin] = list({str(each.digest): each for pin in pins for each in pin.datasets}.values())
    return {str(each.digest): f"table-{place}" for place, each in enumerate(versions)}
