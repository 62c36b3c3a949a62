"""The container `fetch`, which downloads inputs by digest, in Jobs and in Deployments. images/README.md specifies it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flywheel.core.pods.pod_spec import runtime_container
from flywheel.core.pods.step_config.fetched import FetchConfig
from flywheel.core.pods.store_secret import foreign_env, foreign_mount, foreign_volume, store_env, store_mount
from flywheel.core.resource.schema import Resources
from flywheel.core.resource.values import parse_quantity
from flywheel.core.settings import Settings

ROOT = "/flywheel"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Of fetch and collect. Four uploads of the largest part (1 TiB in 9,000 parts) fit.
SIDECAR_RESOURCES = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
# All that our own server reads of an artifact (images/README.md, "A model artifact").
SERVED_FILES = ("baseline.json", "golden.json", "model.onnx", "signature.json")


@dataclass(frozen=True)
class Input:
    """What `fetch` downloads to `/flywheel/inputs/<name>/`: exactly one of artifact, s3, http, sql, volume, folder.

    `folder` is a folder of the namespace in the installation's store; of its `parts` some may have no objects. `optional`: an artifact
    or objects that the store has lost are no failure. `files` are the only files of an artifact that are downloaded; without them all are. `volume` is a path inside the PersistentVolumeClaim `claim`; `secret` holds the credentials of a foreign store or of a database.
    """

    name: str
    artifact: str | None = None
    s3: Mapping[str, Any] | None = None
    http: Mapping[str, Any] | None = None
    sql: Mapping[str, Any] | None = None
    volume: str | None = None
    folder: Mapping[str, Any] | None = None
    claim: str | None = None
    secret: str | None = None
    sha256: str | None = None
    files: tuple[str, ...] = ()
    optional: bool = False

    def config(self) -> dict[str, Any]:
        """Returns the input as an element of FLYWHEEL_FETCH."""
        volume = {"path": self.volume} if self.volume is not None else None
        places = {"s3": self.s3, "http": self.http, "sql": self.sql, "volume": volume, "folder": self.folder}
        given = {
            "artifact": self.artifact,
            **places,
            "sha256": self.sha256,
            "files": list(self.files) or None,
            "optional": self.optional or None,
        }
        return {"name": self.name, **{key: value for key, value in given.items() if value is not None}}


def hour_folders(start: datetime, until: datetime) -> list[str]:
    """Returns the folders of the prediction log of the hours from `start` until before `until`, in UTC. A day that is in that time as a whole is
    one folder."""
    first, end = start.astimezone(UTC), until.astimezone(UTC)
    hour, found = first.replace(minute=0, second=0, microsecond=0), []
    while hour < end:
        is_whole_day = hour.hour == 0 and hour + DAY <= end
        found.append(f"{hour:dt=%Y-%m-%d/}" if is_whole_day else f"{hour:dt=%Y-%m-%d/hour=%H/}")
        hour += DAY if is_whole_day else HOUR
    return found


def fetch_limit(resources: Resources, settings: Settings) -> int:
    """Returns how many bytes `fetch` may download: the pod's own ephemeral-storage limit, else the installation's."""
    return int(parse_quantity(resources.limits.get("ephemeral-storage", settings.fetch_limit)))


def fetch_container(
    inputs: Sequence[Input],
    settings: Settings,
    variables: Mapping[str, str],
    limit: int,
    params: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the init container that downloads inputs. Its mount `/flywheel` is the emptyDir `flywheel`, `store` is
    `store_volume`, and the others are `secret_volumes` and `claim_volumes`."""
    config = FetchConfig.model_validate({"limitBytes": limit, "inputs": [each.config() for each in inputs]})
    env = {
        **variables,
        **store_env(settings),
        "FLYWHEEL_FETCH": config.to_json(),
        "FLYWHEEL_PARAMS": json.dumps(params or {}, sort_keys=True),
    }
    is_foreign = bool(secret_volumes(inputs))
    return {
        **runtime_container("fetch", settings, {**env, **(foreign_env("source") if is_foreign else {})}),
        "resources": SIDECAR_RESOURCES,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "flywheel", "mountPath": ROOT},
            store_mount(),
            *([foreign_mount("source")] if is_foreign else []),
            *claim_mounts(inputs),
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def secret_volumes(inputs: Sequence[Input]) -> list[dict[str, Any]]:
    """Returns the volume of the credentials of a foreign store or of a database. At most one input of a step has them."""
    return [foreign_volume("source", each.secret) for each in inputs if each.secret][:1]


def claim_mounts(inputs: Sequence[Input]) -> list[dict[str, Any]]:
    """Returns the mounts of users' volumes, which are read and never written."""
    return [
        {"name": f"claim-{each.name}", "mountPath": f"{ROOT}/volumes/{each.name}", "readOnly": True}
        for each in inputs
        if each.claim
    ]


def claim_volumes(inputs: Sequence[Input]) -> list[dict[str, Any]]:
    """Returns the volumes of `claim_mounts`."""
    return [
        {"name": f"claim-{each.name}", "persistentVolumeClaim": {"claimName": each.claim, "readOnly": True}}
        for each in inputs
        if each.claim
    ]
