"""Typed objects to apply: one class for each kind, with the spec's own class.

The classes of specs are those that the CRDs are generated from, so what is typed here is what the API server takes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import ValidationError

from flywheel.client.display import DisplayFields
from flywheel.client.errors import FlywheelError
from flywheel.core.resource import api as apis
from flywheel.core.resource.api import Api
from flywheel.core.resource.schema import Schema
from flywheel.kinds.batchinference.schema.spec import BatchInferenceSpec
from flywheel.kinds.dataset.schema.spec import DatasetSpec
from flywheel.kinds.experiment.schema.spec import ExperimentSpec
from flywheel.kinds.featureset.schema.spec import FeatureSetSpec
from flywheel.kinds.inferenceservice.schema.spec import InferenceServiceSpec
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.modelmonitor.schema.spec import ModelMonitorSpec
from flywheel.kinds.modelversion.schema.spec import ModelVersionSpec
from flywheel.kinds.trainingpipeline.schema.spec import TrainingPipelineSpec
from flywheel.kinds.trainingrun.schema.spec import TrainingRunSpec

S = TypeVar("S", bound=Schema)


@dataclass(frozen=True, repr=False)
class TypedObject(DisplayFields, Generic[S]):
    """An object to apply. `spec` is the kind's class of specs, or the same as a mapping, whose fields have the names of YAML or of Python."""

    name: str
    spec: S | Mapping[str, Any]
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    api: ClassVar[Api]
    spec_type: ClassVar[type[Schema]]

    def __post_init__(self) -> None:
        if not isinstance(self.spec, self.spec_type):
            object.__setattr__(self, "spec", self._parse(self.spec))

    def to_manifest(self) -> dict[str, Any]:
        """Returns the manifest with the fields that were set, and no defaults."""
        metadata = {"namespace": self.namespace, "labels": dict(self.labels), "annotations": dict(self.annotations)}
        given = {key: value for key, value in metadata.items() if value}
        spec = (
            self.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
            if isinstance(self.spec, Schema)
            else {}
        )
        return self.api.manifest(self.name, metadata=given, spec=spec)

    def _display_fields(self) -> Mapping[str, Any]:
        manifest = self.to_manifest()
        spec = {f"spec.{name}": json.dumps(value, ensure_ascii=False) for name, value in manifest["spec"].items()}
        return {**manifest["metadata"], **spec}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def _parse(self, spec: Any) -> Schema:
        try:
            return self.spec_type.model_validate(spec, extra="forbid")
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(each) for each in ("spec", *first["loc"]))
            raise FlywheelError(
                f"{self.api.kind} '{self.name}': {place}: {first['msg']}; correct {place}", reason="Invalid"
            ) from None


class BatchInference(TypedObject[BatchInferenceSpec]):
    """A BatchInference: predictions of the rows of a table."""

    api, spec_type = apis.BATCH_INFERENCE, BatchInferenceSpec


class Dataset(TypedObject[DatasetSpec]):
    """A Dataset: data that is checked and versioned."""

    api, spec_type = apis.DATASET, DatasetSpec


class Experiment(TypedObject[ExperimentSpec]):
    """An Experiment: a search for the best model."""

    api, spec_type = apis.EXPERIMENT, ExperimentSpec


class FeatureSet(TypedObject[FeatureSetSpec]):
    """A FeatureSet: features that training and serving compute alike."""

    api, spec_type = apis.FEATURE_SET, FeatureSetSpec


class InferenceService(TypedObject[InferenceServiceSpec]):
    """An InferenceService: servers of a model."""

    api, spec_type = apis.INFERENCE_SERVICE, InferenceServiceSpec


class Model(TypedObject[ModelSpec]):
    """A Model: a name whose champion is chosen among its versions."""

    api, spec_type = apis.MODEL, ModelSpec


class ModelMonitor(TypedObject[ModelMonitorSpec]):
    """A ModelMonitor: whether traffic is still what the model was trained for."""

    api, spec_type = apis.MODEL_MONITOR, ModelMonitorSpec


class ModelVersion(TypedObject[ModelVersionSpec]):
    """A ModelVersion: one verified model."""

    api, spec_type = apis.MODEL_VERSION, ModelVersionSpec


class TrainingPipeline(TypedObject[TrainingPipelineSpec]):
    """A TrainingPipeline: steps from data to a model."""

    api, spec_type = apis.TRAINING_PIPELINE, TrainingPipelineSpec


class TrainingRun(TypedObject[TrainingRunSpec]):
    """A TrainingRun: one run of a TrainingPipeline."""

    api, spec_type = apis.TRAINING_RUN, TrainingRunSpec
