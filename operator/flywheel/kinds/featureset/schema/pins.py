"""How a training names the FeatureSets that it took: by the digests of the definition and of its Datasets' versions."""

from typing import Any

from pydantic import Field

from flywheel.core.resource.schema import NameText, Schema, named_list, rule
from flywheel.core.resource.values import Digest, ObjectName

# Names have no rule here: a status of 200 steps repeats them, and the cost of rules counts for each.
MAX_SETS = 8  # of one training
MAX_DATASETS = 16  # of one FeatureSet


class DatasetPin(Schema):
    """A version of a Dataset in which features are looked up."""

    name: NameText = Field(description="The Dataset.")
    version: NameText = Field(description="Its version.")
    digest: Digest = Field(description="Digest of the artifact of that version.")


class FeatureSetPin(Schema):
    """A FeatureSet as a training took it."""

    name: NameText = Field(description="The FeatureSet.")
    digest: Digest = Field(description="Digest of its definition, the artifact with feature_set.json.")
    datasets: tuple[DatasetPin, ...] = named_list(
        MAX_DATASETS, "The versions of the Datasets in which its features were looked up."
    )

    def document(self) -> dict[str, Any]:
        """The FeatureSet as a lineage and the spec of an Experiment name it."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def feature_sets_field() -> tuple[ObjectName, ...]:
    """The field `featureSets` of a training."""
    field: tuple[ObjectName, ...] = Field(
        (),
        max_length=MAX_SETS,
        description="FeatureSets in the same namespace. Their features are added to each row as of its time, as serving would look them up, and the version pins their definitions. Of trainer sklearn.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    return field


def feature_sets_rule() -> dict[str, Any]:
    """The rule of a training that they are for trainer sklearn alone."""
    return rule(
        "!(has(self.trainer.container) && has(self.featureSets) && self.featureSets.size() > 0)",
        "featureSets requires trainer.sklearn; a container computes its features itself",
    )


def pins_field(description: str) -> tuple[FeatureSetPin, ...]:
    """A field with the FeatureSets of a training, by name."""
    field: tuple[FeatureSetPin, ...] = named_list(MAX_SETS, description)
    return field
