"""The causes and effects of each kind, from its spec and status."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flywheel.cli.fields import drop_empty, get_field, list_objects, pick_fields
from flywheel.core.resource.api import Manifest

Found = Iterator["Node | Edge"]
# Places and contents of stores, which are no objects of the cluster, so none can be missing.
EXTERNAL_KINDS = ("Source", "PreparedData")
MAX_SQL_CHARACTERS = 200  # of a query in the graph


@dataclass(frozen=True)
class Node:
    """Something with a name. `gone`: it is named by others, and not in the cluster."""

    kind: str
    name: str
    digest: str | None = None
    detail: str = ""
    gone: bool = False

    @property
    def id(self) -> str:
        """`modelversion/flight-delay-3f9a1c2e`."""
        return f"{self.kind.lower()}/{self.name}"

    def to_json(self) -> dict[str, Any]:
        """Returns the node as JSON."""
        return drop_empty({"id": self.id, **vars(self), "gone": self.gone or None})


@dataclass(frozen=True, order=True)
class Edge:
    """From a cause to its effect, both by id."""

    cause: str
    effect: str
    how: str = ""


def dataset_edges(dataset: Manifest) -> Found:
    """Yields its source and its versions."""
    here = Node("Dataset", dataset["metadata"]["name"])
    yield here
    source = get_field(dataset, "spec", "source")
    place = get_field(source, "s3", "uri") or get_field(source, "http", "url") or _claim(source)
    if place:
        yield Node("Source", place)
        yield Edge(f"source/{place}", here.id)
    for version in list_objects(dataset, "status", "versions"):
        detail = f"{version['rows']:,} rows" if isinstance(version.get("rows"), int) else ""
        node = Node("DatasetVersion", str(version.get("name")), version.get("digest"), detail)
        yield node
        yield Edge(here.id, node.id)


def feature_set_edges(feature_set: Manifest) -> Found:
    """Yields the FeatureSet, and the versions of Datasets that it was checked against."""
    status = feature_set.get("status")
    here = Node("FeatureSet", feature_set["metadata"]["name"], get_field(status, "digest"))
    yield here
    for data in list_objects(status, "datasets"):
        yield from _caused_by(
            "DatasetVersion", data.get("version"), here, data.get("digest"), how="was checked against it"
        )


def pipeline_edges(pipeline: Manifest) -> Found:
    """Yields the pipeline, which has no causes."""
    yield Node("TrainingPipeline", pipeline["metadata"]["name"])


def run_edges(run: Manifest) -> Found:
    """Yields its pipeline, its input data, the monitor that found why it started, and the run that it reproduces."""
    revision = get_field(run, "status", "revision")
    here = Node("TrainingRun", run["metadata"]["name"], detail=f"revision {revision}" if revision else "")
    yield here
    yield from _caused_by("TrainingPipeline", get_field(run, "spec", "pipeline"), here)
    yield from _caused_by("TrainingRun", get_field(run, "spec", "reproduceOf"), here, how="reproduces it")
    monitor = get_field(run, "spec", "cause", "monitor")
    yield from _caused_by("ModelMonitor", monitor, here, how=f"found {get_field(run, 'spec', 'cause', 'finding')}")
    for data in list_objects(run, "status", "inputs"):
        if data.get("run"):
            output = f"its output '{data.get('output')}' of step '{data.get('step')}' is input '{data.get('name')}'"
            yield from _caused_by("TrainingRun", data["run"], here, how=output)
        else:
            yield from _caused_by("DatasetVersion", data.get("version"), here, data.get("digest"))


def experiment_edges(experiment: Manifest) -> Found:
    """Yields its data, and the run whose step it is. What a run prepared is no version of a Dataset."""
    metadata, status = experiment["metadata"], experiment.get("status")
    best, metric = get_field(status, "best"), get_field(status, "metric")
    detail = f"best {metric} {get_field(best, 'value')} (trial {get_field(best, 'trial')})" if best and metric else ""
    here = Node("Experiment", metadata["name"], detail=detail)
    yield here
    data = get_field(status, "data", "version") or get_field(experiment, "spec", "datasetVersion")
    prepared = get_field(experiment, "spec", "artifact") is not None
    kind = "PreparedData" if prepared else "DatasetVersion"
    joined = list_objects(get_field(status, "data"), "featureSets")
    yield from _caused_by(kind, data, here, None if joined else get_field(status, "data", "digest"))
    yield from _feature_sets(joined, here)
    for owner in list_objects(metadata, "ownerReferences"):
        yield from _caused_by(str(owner.get("kind")), owner.get("name"), here)
        if prepared and isinstance(data, str):
            yield Edge(f"{str(owner.get('kind')).lower()}/{owner.get('name')}", f"prepareddata/{data}")


def version_edges(version: Manifest) -> Found:
    """Yields what its lineage names; its Experiment names the data."""
    lineage = get_field(version, "spec", "lineage")
    digest, format_ = get_field(version, "status", "digest"), get_field(version, "spec", "format")
    here = Node("ModelVersion", version["metadata"]["name"], digest, str(format_ or ""))
    yield here
    yield from _made_by(lineage, here)
    yield from _feature_sets(list_objects(lineage, "featureSets"), here)
    source = get_field(version, "spec", "source")
    yield from _caused_by("Source", get_field(source, "s3", "uri") or get_field(source, "http", "url"), here)
    yield Edge(here.id, f"model/{get_field(version, 'spec', 'model')}")
    yield Node("Model", str(get_field(version, "spec", "model")), gone=True)


def _made_by(lineage: Any, version: Node) -> Found:
    """Yields the data, the run and the search, as far as there were any, and also where they are gone."""
    trial, experiment, run = (get_field(lineage, name) for name in ("trial", "experiment", "run"))
    first = version
    yield from _caused_by("Experiment", experiment, version, how=f"trial {trial}" if trial is not None else "")
    if isinstance(experiment, str):
        first = Node("Experiment", experiment, gone=True)
    yield from _caused_by("TrainingRun", run, first)
    if isinstance(run, str):
        first = Node("TrainingRun", run, gone=True)
        yield from _caused_by("TrainingPipeline", get_field(lineage, "pipeline"), first)
    # A run may have prepared other data from that version, or features were added, and the digest is then of that.
    is_made = isinstance(run, str) or bool(list_objects(lineage, "featureSets"))
    digest = None if is_made else get_field(lineage, "datasetDigest")
    kind = "DatasetVersion" if get_field(lineage, "dataset") else "PreparedData"
    yield from _caused_by(kind, get_field(lineage, "datasetVersion"), first, digest)
    yield from _prepared(lineage, first, version)


def _feature_sets(pins: Iterable[Mapping[str, Any]], effect: Node) -> Found:
    """Yields the FeatureSets whose features were added to the data."""
    for pin in pins:
        yield from _caused_by("FeatureSet", pin.get("name"), effect, pin.get("digest"), how="has its features")


def _prepared(lineage: Any, run: Node, version: Node) -> Found:
    """Yields the data that a run prepared and the tables behind it, each with its query, by the names that Experiments give them."""
    step, digest = get_field(lineage, "prepared", "step"), get_field(lineage, "datasetDigest")
    if not isinstance(step, str) or not isinstance(digest, str):
        return
    node = _prepared_node(step, digest, get_field(lineage, "prepared", "sql"))
    yield node
    yield Edge(run.id, node.id)
    yield Edge(node.id, version.id, "trained on it")
    for table in list_objects(lineage, "prepared", "from"):
        version_name, name, made = table.get("version"), str(table.get("name")), str(table.get("digest"))
        if isinstance(version_name, str):
            yield from _caused_by("DatasetVersion", version_name, node, made)
        else:
            yield from (table_node := _prepared_node(name, made, table.get("sql")), Edge(table_node.id, node.id))


def _prepared_node(step: str, digest: str, sql: Any) -> Node:
    query = " ".join(str(sql or "").split())
    return Node("PreparedData", f"{step}-{digest[7:15]}", digest, query[:MAX_SQL_CHARACTERS])


def model_edges(model: Manifest) -> Found:
    """Yields the model with its champion."""
    champion = get_field(model, "status", "champion")
    yield Node("Model", model["metadata"]["name"], detail=f"champion {champion}" if champion else "no champion")


def service_edges(service: Manifest) -> Found:
    """Yields the version that it serves, and its challenger."""
    here = Node("InferenceService", service["metadata"]["name"], detail=str(get_field(service, "status", "url") or ""))
    yield here
    serves, tries = get_field(service, "status", "version"), get_field(service, "status", "rollout", "challenger")
    yield from _caused_by("ModelVersion", serves, here, how="serves it")
    if tries != serves:
        yield from _caused_by("ModelVersion", tries, here, how="tries it")


def monitor_edges(monitor: Manifest) -> Found:
    """Yields the service, or the BatchInference, that it monitors."""
    here = Node("ModelMonitor", monitor["metadata"]["name"], detail=str(get_field(monitor, "status", "summary") or ""))
    yield here
    yield from _caused_by("InferenceService", get_field(monitor, "spec", "inferenceService"), here, how="monitors it")
    yield from _caused_by("BatchInference", get_field(monitor, "spec", "batchInference"), here, how="monitors it")


def batch_edges(batch: Manifest) -> Found:
    """Yields the versions that its runs scored with, and the FeatureSets in which the last one looked up."""
    here = Node("BatchInference", batch["metadata"]["name"])
    yield here
    yield from _feature_sets(list_objects(get_field(batch, "status", "run"), "featureSets"), here)
    runs = [get_field(batch, "status", "run"), *list_objects(batch, "status", "history")]
    for version in sorted({str(get_field(run, "version")) for run in runs if get_field(run, "version")}):
        yield from _caused_by("ModelVersion", version, here, how="scores with it")


def _caused_by(kind: str, name: Any, effect: Node, digest: Any = None, how: str = "") -> Found:
    if not isinstance(name, str):
        return
    cause = Node(kind, name, digest if isinstance(digest, str) else None, gone=kind not in EXTERNAL_KINDS)
    yield cause
    yield Edge(cause.id, effect.id, how)


def _claim(source: Mapping[str, Any] | None) -> str | None:
    claim = pick_fields(get_field(source, "pvc"), "claimName", "path")
    return f"pvc:{claim['claimName']}/{claim.get('path', '')}" if "claimName" in claim else None
