"""The container `fetch`, as the contract of images/README.md wants it: it brings inputs by digest, in Jobs and in Deployments."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flywheel.core.pods.pod_spec import container_security_context, literal_env
from flywheel.core.resource.schema import Resources
from flywheel.core.resource.values import parse_quantity
from flywheel.core.settings import Settings

ROOT = "/flywheel"


@dataclass(frozen=True)
class Input:
    """Something that `fetch` brings to `/flywheel/inputs/<name>/`: exactly one of artifact, s3, http, volume.

    `volume` is a path inside the PersistentVolumeClaim `claim`; `secret` holds the credentials of a foreign store.
    """

    name: str
    artifact: str | None = None
    s3: Mapping[str, Any] | None = None
    http: Mapping[str, Any] | None = None
    volume: str | None = None
    claim: str | None = None
    secret: str | None = None
    sha256: str | None = None

    def told(self) -> dict[str, Any]:
        """As `fetch` reads it."""
        source = {"artifact": self.artifact, "s3": self.s3, "http": self.http, "sha256": self.sha256}
        volume = {"volume": {"path": self.volume}} if self.volume is not None else {}
        return {"name": self.name, **{key: value for key, value in source.items() if value is not None}, **volume}


def fetch_limit(resources: Resources, settings: Settings) -> int:
    """How many bytes `fetch` may bring: the pod's own ephemeral-storage limit, else the installation's."""
    return int(parse_quantity(resources.limits.get("ephemeral-storage", settings.fetch_limit)))


def fetch_container(
    inputs: Sequence[Input],
    settings: Settings,
    variables: Mapping[str, str],
    limit: int,
    params: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The init container that brings inputs by digest. Its mount `/flywheel` is the emptyDir `flywheel`."""
    told = {"limitBytes": limit, "inputs": [each.told() for each in inputs]}
    own = {
        **variables,
        "FLYWHEEL_FETCH": json.dumps(told, sort_keys=True),
        "FLYWHEEL_PARAMS": json.dumps(params or {}, sort_keys=True),
    }
    foreign = [{"prefix": "SOURCE_", "secretRef": {"name": each.secret}} for each in inputs if each.secret]
    return {
        "name": "fetch",
        "image": settings.runtime_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "flywheel_runtime", "fetch"],
        "env": literal_env(own),
        "envFrom": [{"secretRef": {"name": settings.store_secret}}, *foreign],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": container_security_context(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "flywheel", "mountPath": ROOT},
            *claim_mounts(inputs),
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def claim_mounts(inputs: Sequence[Input]) -> list[dict[str, Any]]:
    """Users' volumes are read, never written."""
    return [
        {"name": f"claim-{each.name}", "mountPath": f"{ROOT}/volumes/{each.name}", "readOnly": True}
        for each in inputs
        if each.claim
    ]


def claim_volumes(inputs: Sequence[Input]) -> list[dict[str, Any]]:
    """The volumes of `claim_mounts`."""
    return [
        {"name": f"claim-{each.name}", "persistentVolumeClaim": {"claimName": each.claim, "readOnly": True}}
        for each in inputs
        if each.claim
    ]
