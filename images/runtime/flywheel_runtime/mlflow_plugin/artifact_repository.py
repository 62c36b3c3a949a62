"""Files of runs: `flywheel:/artifacts/…` is the folder outputs/artifacts of the step, which collect stores with what was tracked."""

from typing import Any
from urllib.parse import unquote, urlsplit

from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from flywheel_runtime import run as helper


class FlywheelArtifactRepository(LocalArtifactRepository):  # type: ignore[misc]  # mlflow is not installed where types are checked
    """A folder. Links are followed when a file is logged, since collect stores files alone."""

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        parts: Any = urlsplit(artifact_uri)
        folder = helper.root().absolute() / "outputs" / unquote(parts.path).lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder.as_uri(), tracking_uri, registry_uri)
