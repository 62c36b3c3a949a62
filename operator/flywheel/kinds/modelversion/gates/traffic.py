"""What gates on traffic read: the logs of the services that serve the Model, and the labels of their monitors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import ValidationError

from flywheel.core.pods.fetch import Input, hour_folders
from flywheel.core.resource.api import DATASET, INFERENCE_SERVICE, MODEL, MODEL_MONITOR, Manifest, Reference
from flywheel.core.resource.kind import Cluster
from flywheel.core.resource.values import Digest, format_time
from flywheel.kinds.inferenceservice.schema import InferenceServiceSpec
from flywheel.kinds.model.schema.gates import Gate
from flywheel.kinds.modelmonitor.schema.ground_truth import GroundTruth
from flywheel.kinds.modelmonitor.schema.spec import ModelMonitorSpec
from flywheel.kinds.modelversion.children import ModelVersion

SPLIT_FILES = ("train.parquet", "validation.parquet", "test.parquet")  # of a Dataset's artifact
FILE_PERIOD = timedelta(minutes=2)  # a file is in the folder of its first row, and has a minute of rows
UNKNOWN_SAMPLE = "an unknown share"  # of another server, which leaves rows as it likes


@dataclass(frozen=True)
class LoggedService:
    """A service that serves the Model. `sample` is None where it logs no rows; `protected` are the actions of columns in its log."""

    name: str
    sample: str | None = None
    protected: Mapping[str, str] = field(default_factory=dict)

    def config(self) -> dict[str, Any]:
        """Returns the service as params.json has it."""
        given = {"sample": self.sample, "protected": dict(self.protected) or None}
        return {"name": self.name, **{key: value for key, value in given.items() if value is not None}}


@dataclass(frozen=True)
class LabelSource:
    """Where the labels of a gate come from, or the `problem` why from nowhere. `dataset` is the artifact of the monitor's Dataset."""

    gate: str
    monitor: str = ""
    service: str = ""
    truth: GroundTruth | None = None
    dataset: Digest | None = None
    problem: str | None = None

    def config(self) -> dict[str, Any]:
        """Returns the source as params.json has it."""
        if self.truth is None:
            return {"gate": self.gate, "problem": self.problem}
        truth = self.truth
        columns = {"key": truth.key, "column": truth.column, "probability": truth.probability}
        given = {name: value for name, value in columns.items() if value is not None}
        delay = {"maxDelaySeconds": truth.delay.max.seconds}
        found = {"gate": self.gate, "monitor": self.monitor, "service": self.service, **given, **delay}
        return {**found, **(truth.guards.config() if truth.guards is not None else {})}


@dataclass(frozen=True)
class Traffic:
    """The logs that gates read, over the longest of their windows before `until`."""

    until: datetime
    window: timedelta
    services: tuple[LoggedService, ...] = ()
    labels: tuple[LabelSource, ...] = ()

    def config(self) -> dict[str, Any]:
        """Returns what params.json has."""
        return {
            "until": format_time(self.until),
            "services": [each.config() for each in self.services],
            "labels": [each.config() for each in self.labels],
        }

    def inputs(self) -> Iterator[Input]:
        """Returns the files of the rows, and those of the labels, of which each source is read once."""
        parts = hour_folders(self.until - self.window - FILE_PERIOD, self.until)
        for service in self.services:
            if service.sample is not None:
                folder = {"path": f"predictions/{service.name}/rows/", "parts": parts}
                yield Input(f"rows-{service.name}", folder=folder)
        for source in {each.monitor: each for each in self.labels if each.truth is not None}.values():
            name = f"labels-{source.monitor}"
            if source.dataset is not None:
                yield Input(name, artifact=str(source.dataset), files=SPLIT_FILES, optional=True)
            else:
                yield Input(name, folder={"path": f"predictions/{source.service}/labels/", "parts": parts})


def observe_traffic(version: ModelVersion, gates: Sequence[Gate], cluster: Cluster) -> Traffic | None:
    """Read the services of the version's Model and their monitors; None where no gate needs them."""
    windows = [gate.traffic_window.timedelta for gate in gates if gate.traffic_window is not None]
    if not windows:
        return None
    model = Reference(MODEL, version.namespace, version.spec.model)
    services = tuple(_service(each) for each in cluster.referrers(INFERENCE_SERVICE, model))
    names = [each.name for each in services]
    labels = tuple(
        _label_source(str(gate.name), gate.labelled.monitor, names, version.namespace, cluster)
        for gate in gates
        if gate.labelled is not None
    )
    return Traffic(cluster.now, max(windows), services, labels)


def _service(manifest: Manifest) -> LoggedService:
    name = manifest["metadata"]["name"]
    try:
        spec = InferenceServiceSpec.model_validate(manifest["spec"])
    except ValidationError:
        return LoggedService(name)  # of another release, which may log otherwise
    if spec.runtime is not None and spec.runtime.flywheel is None:
        return LoggedService(name, UNKNOWN_SAMPLE)
    if spec.logging is None or not spec.logging.sample.fraction:
        return LoggedService(name)
    protected: dict[str, Literal["Drop", "Hmac", "Bucket"]] = {each.name: each.action for each in spec.logging.columns}
    return LoggedService(name, str(spec.logging.sample), protected)


def _label_source(
    gate: str, wanted: str | None, services: Sequence[str], namespace: str, cluster: Cluster
) -> LabelSource:
    """The monitor that the gate names, else the only one with labels."""
    found = _monitors_with_labels(services, namespace, cluster)
    listed = ", ".join(f"'{each}'" for each in services) or "that serves the Model"
    if wanted is None and len(found) != 1:
        which = f"{len(found)} ModelMonitors ({', '.join(sorted(found))})" if found else "no ModelMonitor"
        finding = f"{which} of InferenceService {listed} have spec.groundTruth, which says where labels come from"
        advice = "name one in labelled.monitor" if found else "create one"
        return LabelSource(gate, problem=f"{finding}; {advice}")
    name = wanted or next(iter(found))
    if name not in found:
        finding = (
            f"ModelMonitor '{name}' does not exist, has no spec.groundTruth, or is not of InferenceService {listed}"
        )
        return LabelSource(gate, problem=f"{finding}; correct labelled.monitor, or the monitor")
    service, truth = found[name]
    if truth.dataset is None:
        return LabelSource(gate, name, service, truth)
    dataset = cluster.get(Reference(DATASET, namespace, truth.dataset)) or {}
    digest = (dataset.get("status") or {}).get("digest")
    if not digest:
        finding = f"Dataset '{truth.dataset}', which has the labels of ModelMonitor '{name}', has no version"
        return LabelSource(gate, problem=f"{finding}; create it, or see its condition Ready")
    return LabelSource(gate, name, service, truth, Digest(digest))


def _monitors_with_labels(
    services: Sequence[str], namespace: str, cluster: Cluster
) -> dict[str, tuple[str, GroundTruth]]:
    """The monitors of these services that have labels, by name, each with its service."""
    found = {}
    for service in services:
        for manifest in cluster.referrers(MODEL_MONITOR, Reference(INFERENCE_SERVICE, namespace, service)):
            try:
                truth = ModelMonitorSpec.model_validate(manifest["spec"]).ground_truth
            except ValidationError:
                continue  # of another release
            if truth is not None:
                found[manifest["metadata"]["name"]] = (service, truth)
    return found
