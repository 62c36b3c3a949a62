"""Models and their versions: the champion, predictions by a service, and the model's verified bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from flywheel.client.display import DisplayTable
from flywheel.client.downloads import RemoteFile, list_files, read_verified, save_files
from flywheel.client.errors import FlywheelError, MissingExtra, describe_condition
from flywheel.client.objects.live_resource import LiveResource
from flywheel.client.predictor import Predictor, Rows
from flywheel.client.transport.model_services import find_service
from flywheel.core.resource.api import INFERENCE_SERVICE, MODEL, MODEL_VERSION, Manifest

if TYPE_CHECKING:
    import onnxruntime
    import pandas as pd

MODEL_FILE = "model.onnx"
IMPORTANCE_FILE = "permutation_importance.json"
PARTIAL_DEPENDENCE_FILE = "partial_dependence.json"


@dataclass(frozen=True, repr=False)
class LiveModel(LiveResource):
    """A Model, read anew by each method."""

    api = MODEL
    shown_status: ClassVar[Mapping[str, str]] = {
        "champion": "champion",
        "metric": "championMetric",
        "versions": "versions",
    }

    def champion(self) -> "LiveModelVersion":
        """Returns the version that is champion now.

        Raises:
            FlywheelError: there is none; the error has the Model's condition.
        """
        name = self.status_field("champion", "champion", "no version has passed its gates", "NoChampion")
        return LiveModelVersion(self.session, name)

    def version(self, version: str) -> "LiveModelVersion":
        """Returns a version by its name, or by the name's end: `3f9a1c2e` is `<model>-3f9a1c2e`.

        Raises:
            FlywheelError: this Model has no such version.
        """
        for name in (version, f"{self.name}-{version}"):
            found = self.session.get(MODEL_VERSION, name)
            if found is not None and found["spec"].get("model") == self.name:
                return LiveModelVersion(self.session, name)
        raise FlywheelError(
            f"Model '{self.name}' has no version '{version}' in namespace '{self.session.namespace}'; .versions() lists what it has",
            reason="NotFound",
            status=404,
        )

    def versions(self) -> DisplayTable:
        """Returns the versions, newest first, with their metrics."""
        champion = (self.manifest.get("status") or {}).get("champion")
        found = [each for each in self.session.list_objects(MODEL_VERSION) if each["spec"].get("model") == self.name]
        found.sort(key=lambda each: str(each["metadata"].get("creationTimestamp", "")), reverse=True)
        return DisplayTable(
            [_version_row(each, champion) for each in found], caption=f"versions of Model '{self.name}'"
        )

    def predict(
        self, rows: "Rows | pd.DataFrame", *, service: str | None = None
    ) -> "list[Mapping[str, Any]] | pd.DataFrame":
        """Returns the predictions of the service that serves the champion; `service` names it where several do."""
        return self.predictor(service=service).predict(rows)

    def predictor(self, *, service: str | None = None) -> Predictor:
        """Returns the service that serves the champion, as what predicts; `service` names it where several do.

        Raises:
            FlywheelError: there is no such Model, or no service.
        """
        services = self.session.list_objects(INFERENCE_SERVICE)
        try:
            found = find_service(services, model=self.name, name=service)
        except FlywheelError as error:
            if error.reason == "NotServed" and service is None:
                self.session.require(MODEL, self.name)
            raise
        return self.session.predictor(found, is_named=service is not None)


@dataclass(frozen=True, repr=False)
class LiveModelVersion(LiveResource):
    """A ModelVersion, read anew by each method."""

    api = MODEL_VERSION

    @property
    def digest(self) -> str:
        """The digest of its artifact.

        Raises:
            FlywheelError: it is not verified yet; the error has its condition.
        """
        return self.status_field("digest", "artifact", "its verification has not ended", "NotVerified")

    @property
    def metrics(self) -> dict[str, float]:
        """Its metrics on the test rows, and its size and latency."""
        return {
            name: float(value) for name, value in ((self.manifest.get("status") or {}).get("metrics") or {}).items()
        }

    def predictor(self, *, service: str | None = None) -> Predictor:
        """Returns the service that serves this version, as what predicts; `service` names it where several do."""
        found = find_service(self.session.list_objects(INFERENCE_SERVICE), version=self.name, name=service)
        return self.session.predictor(found, self.name, is_named=service is not None)

    def predict(
        self, rows: "Rows | pd.DataFrame", *, service: str | None = None
    ) -> "list[Mapping[str, Any]] | pd.DataFrame":
        """Returns one prediction for each row by the service that serves this version: a DataFrame for a DataFrame, else a list."""
        return self.predictor(service=service).predict(rows)

    def feature_importance(self) -> DisplayTable:
        """Returns the columns with their permutation importance on test rows and its standard deviation, the most important first.

        Raises:
            FlywheelError: the version has none, such as one that was brought or trained by an earlier release.
        """
        found = json.loads(read_verified(self.session.reader, self._find_file(IMPORTANCE_FILE)))
        caption = f"importance of columns for {found['metric']} on {found['rows']:,} test rows of {self}"
        return DisplayTable(found["features"], ["name", "importance", "deviation"], caption)

    def partial_dependence(self, column: str) -> DisplayTable:
        """Returns the mean prediction of test rows at each of some values of a column. It needs `read-data`.

        `average` is the probability of the second of two classes, or the target; of several classes each has `average.<class>`.

        Raises:
            FlywheelError: the version has none, or the column is none of those with a grid.
        """
        found = json.loads(read_verified(self.session.reader, self._find_file(PARTIAL_DEPENDENCE_FILE)))
        feature = next((each for each in found["features"] if each["name"] == column), None)
        if feature is None:
            known = ", ".join(each["name"] for each in found["features"])
            raise FlywheelError(
                f"{self} has no partial dependence on '{column}'; it has that on {known}", reason="NotFound", status=404
            )
        outputs = found["outputs"]
        names = ["average"] if len(outputs) == 1 else [f"average.{output}" for output in outputs]
        points = zip(feature["gridValues"], *feature["average"], strict=True)
        rows = [dict(zip(["value", *names], point, strict=True)) for point in points]
        return DisplayTable(rows, caption=f"partial dependence on '{column}' of {self}")

    def files(self) -> list[RemoteFile]:
        """Returns the artifact's files. Their list has the digest that the ModelVersion's status states.

        Raises:
            FlywheelError: the list has another digest.
        """
        base = (self.session.namespace, "modelversions", self.name)
        return list_files(self.session.reader, base, self.digest, f"ModelVersion '{self.name}'")

    def load(self, **options: Any) -> "onnxruntime.InferenceSession":
        """Returns an ONNX Runtime session on the model's verified bytes; `options` are those of InferenceSession. It needs `read-data`."""
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtra("onnxruntime", "a session of the model") from None
        content = read_verified(self.session.reader, self._find_file(MODEL_FILE))
        return onnxruntime.InferenceSession(content, **{"providers": ["CPUExecutionProvider"], **options})

    def download(self, folder: str | Path, *, force: bool = False) -> list[Path]:
        """Writes the artifact's files below a folder, verified, and returns their paths. It needs `read-data`."""
        return save_files(self.session.reader, self.files(), Path(folder), force=force)

    def _find_file(self, name: str) -> RemoteFile:
        for each in self.files():
            if each.target == name:
                return each
        raise FlywheelError(
            f"the artifact of ModelVersion '{self.name}' has no {name}; .files() lists what it has",
            reason="NotFound",
        )

    def _display_fields(self) -> Mapping[str, Any]:
        return _version_row(self.manifest, None)


def _version_row(manifest: Manifest, champion: str | None) -> dict[str, Any]:
    status = manifest.get("status") or {}
    return {
        "version": manifest["metadata"]["name"],
        **({"champion": manifest["metadata"]["name"] == champion} if champion else {}),
        "state": describe_condition(manifest).get("reason"),
        "created": manifest["metadata"].get("creationTimestamp"),
        "digest": status.get("digest"),
        **{f"metrics.{name}": float(value) for name, value in (status.get("metrics") or {}).items()},
    }
