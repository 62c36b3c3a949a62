"""The document feature_sets.json: the FeatureSets whose features the rows of an artifact have, by digest."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import read_json_object, write_json
from flywheel_runtime.datasets.formats.column_names import find_same
from flywheel_runtime.features.feature_sets.definition import Definition
from flywheel_runtime.params import Params

FILE = "feature_sets.json"
INVALID = "FeatureSetInvalid"


class JoinedSet(Params):
    """A FeatureSet: the digest of the artifact with its definition, and the definition."""

    digest: str
    definition: Definition


class JoinedSets(Params):
    """The content of feature_sets.json."""

    v: Literal[1] = 1
    feature_sets: tuple[JoinedSet, ...] = Field(default=())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Those of an artifact; none where it has no feature_sets.json."""
        return cls.parse(read_json_object(folder / FILE), reason="InputInvalid")

    def write(self, folder: Path) -> None:
        """Write feature_sets.json."""
        write_json(folder / FILE, self.model_dump(mode="json", by_alias=True, exclude_none=True))

    @property
    def looked_up(self) -> frozenset[str]:
        """The columns that are features which are looked up."""
        return frozenset(name for each in self.feature_sets for name in each.definition.looked_up)

    def merge_rowwise(self, own: Mapping[str, str], chosen: Collection[str] | None) -> dict[str, str]:
        """The expressions of the sets, those in `chosen` alone where features are chosen, and a training's own.

        Raises Failure FeatureSetInvalid where two have one name.
        """
        found: dict[str, str] = {}
        owners = [(f"FeatureSet '{each.definition.name}'", each.definition.rowwise) for each in self.feature_sets]
        for owner, rowwise in [*owners, ("rowwise of the training", own)]:
            for name in rowwise:
                if same := find_same(name, found):
                    raise Failure(
                        INVALID, f"{owner} makes '{name}', and a FeatureSet makes '{same}'; rename one of them."
                    )
            found |= rowwise
        return {name: sql for name, sql in found.items() if chosen is None or name in chosen or name in own}

    def describe(self, used: Collection[str]) -> list[dict[str, Any]]:
        """What features.json says of each set: the features that are looked up, those of them in `used`, and what callers bring for them."""
        return [
            {
                "name": each.definition.name,
                "digest": each.digest,
                "eventTime": each.definition.event_time,
                "inputs": dict(each.definition.input_types),
                "lookedUp": {name: kind for name, kind in each.definition.looked_up.items() if name in used},
            }
            for each in self.feature_sets
        ]
