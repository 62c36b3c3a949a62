"""Models of an MLflow server as manifests: a ModelVersion by its file's SHA-256, with the run's metrics and parameters."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flywheel.cli.errors import CommandError
from flywheel.cli.fields import drop_empty
from flywheel.cli.manifest_files import declare_metrics, new_manifest
from flywheel.core.resource.api import MODEL, MODEL_VERSION
from flywheel.core.resource.values import MetricName

IMPORTED_ANNOTATION = "flywheel.ml/imported-from"
MAX_PARAMETERS, MAX_PARAMETER_CHARACTERS = 64, 256  # of spec.lineage
MAX_NAME = 40  # characters of a Model's name here, so that its versions' names fit into labels


@dataclass(frozen=True)
class FoundModel:
    """A version of a registered model. `place` is the URI of its ONNX file on the server; `is_alone` says that the file needs no other."""

    name: str
    version: str
    file: str
    sha256: str
    place: str
    is_alone: bool
    server: str = ""
    run_id: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"version {self.version} of '{self.name}'"

    @property
    def object_name(self) -> str:
        """The name of its Model: MLflow's, in lower case, with a dash for each other character."""
        return object_name(self.name)


@dataclass(frozen=True)
class Destination:
    """Where pods will find the files: a folder of a bucket, or None for where the server has them."""

    folder: str | None = None
    secret: str | None = None
    endpoint: str | None = None
    namespace: str | None = None


def confine_file(folder: Path, name: str, model: str) -> Path:
    """Returns the file of a model's folder that its MLmodel names.

    Raises:
        CommandError: the name leads out of the folder, or to no file.
    """
    found = (folder / name).resolve()
    if not found.is_relative_to(folder.resolve()) or not found.is_file():
        raise CommandError(
            f"the MLmodel of '{model}' names the file {name!r}, which is none of the model's; nothing was read from it"
        )
    return found


def object_name(name: str) -> str:
    """Returns a name of Kubernetes for a registered model."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:MAX_NAME].strip("-") or "model"


def refuse_equal_names(models: Iterable[FoundModel]) -> None:
    """Raises CommandError if two registered models would become the same Model."""
    names: dict[str, str] = {}
    for model in models:
        other = names.setdefault(model.object_name, model.name)
        if other != model.name:
            raise CommandError(
                f"the registered models '{other}' and '{model.name}' would both be Model '{model.object_name}'; rename one of them in MLflow, or import the experiments of one with --experiment"
            )


def source_of(model: FoundModel, destination: Destination) -> dict[str, Any] | None:
    """Returns spec.source of the version, or None where pods cannot read the file."""
    s3 = {"endpoint": destination.endpoint, "secretName": destination.secret}
    if destination.folder is not None:
        return {"s3": drop_empty({"uri": destination.folder + model.file, **s3}), "sha256": model.sha256}
    if not model.is_alone:
        return None
    match urlsplit(model.place).scheme:
        case "s3":
            return {"s3": drop_empty({"uri": model.place, **s3}), "sha256": model.sha256}
        case "http" | "https":
            return {"http": {"url": without_credentials(model.place)}, "sha256": model.sha256}
    return None


def version_manifest(model: FoundModel, source: Mapping[str, Any], namespace: str | None) -> dict[str, Any]:
    """Returns the ModelVersion."""
    metrics = {name: value for name, value in model.metrics.items() if _is_metric_name(name)}
    spec = {
        "model": model.object_name,
        "format": "ONNX",
        "source": dict(source),
        "metrics": declare_metrics(metrics),
        "lineage": _lineage(model),
    }
    version = object_name(model.version)
    where = f"{without_credentials(model.server)} models:/{model.name}/{model.version}"
    annotations = {IMPORTED_ANNOTATION: f"{where} run {model.run_id}" if model.run_id else where}
    return new_manifest(MODEL_VERSION, f"{model.object_name}-{version}", namespace, spec, annotations)


def model_manifest(model: FoundModel, namespace: str | None) -> dict[str, Any]:
    """Returns the Model. It waits for an approval, since nobody has declared by which metric its versions are compared."""
    return new_manifest(MODEL, model.object_name, namespace, {"promotion": "Approval"}, {})


def without_credentials(text: str) -> str:
    """Returns the text without the user name and the password of each URI in it."""
    return re.sub(r"://[^/@\s]*@", "://", text)


def _lineage(model: FoundModel) -> dict[str, Any]:
    short = {name: value[:MAX_PARAMETER_CHARACTERS] for name, value in sorted(model.params.items())}
    return drop_empty(
        {
            "gitRevision": model.tags.get("mlflow.source.git.commit", "")[:64],
            "gitRepository": without_credentials(model.tags.get("mlflow.source.git.repoURL", ""))[:512],
            "parameters": dict(list(short.items())[:MAX_PARAMETERS]),
        }
    )


def _is_metric_name(name: str) -> bool:
    try:
        MetricName.parse(name)
    except ValueError:
        return False
    return True
