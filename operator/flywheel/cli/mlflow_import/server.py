"""What is read from an MLflow server, with MLflow's own client."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import onnx
import yaml
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from mlflow.tracking import MlflowClient

from flywheel.cli.errors import CommandError
from flywheel.cli.mlflow_import.model_manifests import FoundModel, confine_file, object_name, without_credentials
from flywheel.cli.mlflow_import.runs_table import Run

PAGE = 1000  # runs
HTTP_RETRIES = "2"  # MLflow's own 7 take minutes until they say that nobody listens
MAX_FILE_BYTES = 2 << 30  # of a model with all its weights, as protobuf allows


class Server:
    """A tracking server with its model registry. Errors of MLflow are CommandErrors."""

    def __init__(self, tracking_uri: str, registry_uri: str | None = None) -> None:
        self._tracking_uri = tracking_uri
        self._registry_uri = registry_uri or tracking_uri
        # `models:/` is looked up in the default registry whatever a call names, so that the server is made the default.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", HTTP_RETRIES)
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(self._registry_uri)
        with failures_of(tracking_uri):
            self._client: Any = MlflowClient(tracking_uri, self._registry_uri)

    def experiments(self, names: Sequence[str]) -> dict[str, str]:
        """Returns names of experiments by id: those that are named, or all."""
        with failures_of(self._tracking_uri):
            found = {each.experiment_id: each.name for each in self._pages("search_experiments")}
        if unknown := set(names) - set(found.values()):
            raise CommandError(
                f"MLflow at '{without_credentials(self._tracking_uri)}' has no experiment '{min(unknown)}'; it has {', '.join(map(repr, sorted(found.values())))}"
            )
        return {key: name for key, name in found.items() if not names or name in names}

    def runs(self, experiments: dict[str, str]) -> Iterator[Run]:
        """Yields the runs of these experiments, the newest first."""
        with failures_of(self._tracking_uri):
            for run in self._pages("search_runs", list(experiments), max_results=PAGE):
                info = run.info
                yield {
                    "experiment": experiments[info.experiment_id],
                    "run_id": info.run_id,
                    "name": info.run_name,
                    "status": info.status,
                    "start_time": _time(info.start_time),
                    "end_time": _time(info.end_time),
                    **{f"metrics.{name}": value for name, value in run.data.metrics.items()},
                    **{f"params.{name}": value for name, value in run.data.params.items()},
                    **{f"tags.{name}": value for name, value in run.data.tags.items()},
                }

    def onnx_models(self, experiments: dict[str, str] | None, folder: Path) -> list[FoundModel]:
        """Writes each registered ONNX model into the folder as one file. With `experiments`, only those whose run is of one of them."""
        with failures_of(self._registry_uri):
            versions = self._pages("search_model_versions")
            found = [self._onnx_model(version, experiments, folder) for version in versions]
        return sorted(filter(None, found), key=lambda each: (each.name, each.version.rjust(9)))

    def _onnx_model(self, version: Any, experiments: dict[str, str] | None, folder: Path) -> FoundModel | None:
        run = self._client.get_run(version.run_id) if version.run_id else None
        if experiments is not None and (run is None or run.info.experiment_id not in experiments):
            return None
        files = ModelsArtifactRepository(
            f"models:/{version.name}/{version.version}", self._tracking_uri, self._registry_uri
        )
        with tempfile.TemporaryDirectory() as temporary:
            description = yaml.safe_load(Path(files.download_artifacts("MLmodel", temporary)).read_text())
            flavor = description.get("flavors", {}).get("onnx")
            if flavor is None:
                return None
            name = str(flavor.get("data", "model.onnx"))
            downloaded = confine_file(Path(files.download_artifacts("", temporary)), name, version.name)
            target = folder / f"{object_name(version.name)}-{object_name(str(version.version))}.onnx"
            is_alone = _write_alone(downloaded, target)
        return FoundModel(
            name=version.name,
            version=str(version.version),
            file=target.name,
            sha256=hashlib.sha256(target.read_bytes()).hexdigest(),
            place=f"{files.repo.artifact_uri.rstrip('/')}/{name}",
            is_alone=is_alone,
            server=self._tracking_uri,
            run_id=version.run_id or None,
            metrics=run.data.metrics if run else {},
            params=run.data.params if run else {},
            tags=run.data.tags if run else {},
        )

    def _pages(self, method: str, *arguments: Any, **named: Any) -> Iterator[Any]:
        token: str | None = None
        while True:
            page = getattr(self._client, method)(*arguments, **named, page_token=token)
            yield from page
            token = page.token
            if not token:
                return


def _write_alone(source: Path, target: Path) -> bool:
    """Writes the model with all its weights as one file. Returns whether it was one already."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # The weights of a model are loaded with it, so that none is in another file when it is saved.
    bare = onnx.load(str(source), load_external_data=False)
    is_alone = all(tensor.data_location != onnx.TensorProto.EXTERNAL for tensor in bare.graph.initializer)
    if is_alone:
        shutil.copyfile(source, target)
        return True
    size = sum(file.stat().st_size for file in source.parent.iterdir() if file.is_file())
    if size > MAX_FILE_BYTES:
        raise CommandError(f"'{target.name}' would have {size} bytes, and an ONNX file may have {MAX_FILE_BYTES}")
    onnx.save(onnx.load(str(source)), str(target))
    return False


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@contextmanager
def failures_of(uri: str) -> Iterator[None]:
    """Makes an error of MLflow, or of a library by which it reads a store, a CommandError."""
    try:
        yield
    except CommandError:
        raise
    except Exception as error:  # noqa: BLE001  a server's store has its own client, with its own errors
        text = without_credentials(" ".join(str(error).split())[:500]) or type(error).__name__
        raise CommandError(f"MLflow at '{without_credentials(uri)}' was not read: {text}") from None
