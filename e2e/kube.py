"""The cluster as the demo and the end-to-end tests see it: kubectl, port-forwards and the trial store."""

import base64
import json
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster import cluster, paths

Object = dict[str, Any]


class KubectlFailed(Exception):
    """kubectl said no; the message is its words."""


def kubectl(*words: str, stdin: str | None = None) -> str:
    """Run kubectl against the development cluster and return what it prints.

    Raises:
        Refused: it ended with another exit code than 0.
    """
    command = [str(cluster.kubectl_path()), "--kubeconfig", str(cluster.chosen().kubeconfig), *words]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KubectlFailed(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def get(kind: str, name: str, namespace: str) -> Object | None:
    """One object, or None if there is none."""
    text = kubectl("get", kind, name, "--namespace", namespace, "--output", "json", "--ignore-not-found")
    return json.loads(text) if text.strip() else None


def secret_values(name: str, namespace: str) -> dict[str, str]:
    """The values of a Secret; none if it does not exist."""
    secret = get("secret", name, namespace) or {}
    return {key: base64.b64decode(value).decode() for key, value in secret.get("data", {}).items()}


def list_objects(kind: str, namespace: str, selector: str = "") -> list[Object]:
    """All objects of a kind in a namespace."""
    words = ["get", kind, "--namespace", namespace, "--output", "json", *(["--selector", selector] if selector else [])]
    items: list[Object] = json.loads(kubectl(*words))["items"]
    return items


def apply(manifest: Object | str | Path, namespace: str) -> None:
    """Apply a manifest as a user would, by `kubectl apply --server-side`."""
    text = (
        manifest.read_text()
        if isinstance(manifest, Path)
        else manifest
        if isinstance(manifest, str)
        else yaml.safe_dump(manifest)
    )
    kubectl("apply", "--server-side", "--force-conflicts", "--namespace", namespace, "--filename", "-", stdin=text)


def condition(resource: Object | None, type_: str = "Ready") -> Object:
    """One condition, or an empty object."""
    conditions = ((resource or {}).get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == type_), {})


@contextmanager
def port_forward(target: str, port: int, namespace: str) -> Iterator[int]:
    """A loopback port that leads to a pod or Service, by `kubectl port-forward`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        local = int(probe.getsockname()[1])
    command = [
        str(cluster.kubectl_path()),
        "--kubeconfig",
        str(cluster.chosen().kubeconfig),
        "--namespace",
        namespace,
        "port-forward",
        target,
        f"{local}:{port}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not re.match("Forwarding from", line):
            raise KubectlFailed(f"port-forward to {target} in namespace '{namespace}' failed: {line.strip()}")
        yield local
    finally:
        process.terminate()
        process.communicate(timeout=10)  # also closes its pipe


@contextmanager
def extended_resource(resource: str, count: int) -> Iterator[str]:
    """The first node says that it has so many of an extended resource, such as `amd.com/gpu`, until the block ends; yields its name."""
    node: str = json.loads(kubectl("get", "nodes", "--output", "json"))["items"][0]["metadata"]["name"]
    path = f"/status/capacity/{resource.replace('/', '~1')}"

    def patch(**operation: str) -> None:
        kubectl("patch", "node", node, "--subresource=status", "--type=json", "--patch", json.dumps([operation]))

    patch(op="add", path=path, value=str(count))
    try:
        yield node
    finally:
        patch(op="remove", path=path)


def store_environment() -> dict[str, str]:
    """The trial store's address and credentials, as `make deploy` wrote them for the host."""
    lines = paths.STORE_ENV.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def store(account: tuple[str, str] | None = None) -> Any:
    """A boto3 client of the trial store, with the key of the root account unless another one is given."""
    import boto3
    from botocore.config import Config

    environment = store_environment()
    key_id, secret = account or (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        region_name=environment.get("AWS_REGION", "us-east-1"),
        config=Config(
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "max_attempts": 8},  # one story ends the store's pod while others upload
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def bucket() -> str:
    """The trial store's bucket."""
    return store_environment()["FLYWHEEL_BUCKET"]
