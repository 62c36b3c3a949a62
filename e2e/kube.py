"""The cluster as the demo and the end-to-end tests see it: kubectl, reads, port-forwards and the trial store."""

import base64
import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster import cluster, paths
from e2e.waiting import wait_until
from flywheel.cli.resource_names import SHORT_NAMES
from flywheel.cluster.client import Client
from flywheel.cluster.credentials import configuration
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import DEPLOYMENT, JOB, POD, SERVICE, Api, Reference

Object = dict[str, Any]
# What stories read most, by the words that they use. kubectl reads all else.
APIS = {
    **SHORT_NAMES,
    **{each.kind.lower(): each for each in (DEPLOYMENT, JOB, POD, SERVICE)},
    **{each.plural: each for each in (DEPLOYMENT, JOB, POD, SERVICE)},
    "secret": Api("", "v1", "Secret", "secrets"),
}
STORE_PATIENCE_SECONDS, RETRY_PAUSE_SECONDS = 60, 1.0


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


@cache
def client() -> Client:
    """The product's client. Stories read several times a second, and kubectl takes 0.1 s of CPU for each."""
    return Client(configuration({"KUBECONFIG": str(cluster.chosen().kubeconfig)}), pauses=(0.5, 1.0, 2.0))


def get(kind: str, name: str, namespace: str) -> Object | None:
    """One object, or None if there is none.

    Raises:
        KubectlFailed: the API server refused or could not be reached.
    """
    if kind not in APIS:
        text = kubectl("get", kind, name, "--namespace", namespace, "--output", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None
    try:
        return client().get(Reference(APIS[kind], namespace, name))
    except ApiError as error:
        raise KubectlFailed(str(error)) from error


def secret_values(name: str, namespace: str) -> dict[str, str]:
    """The values of a Secret; none if it does not exist."""
    secret = get("secret", name, namespace) or {}
    return {key: base64.b64decode(value).decode() for key, value in secret.get("data", {}).items()}


def list_objects(kind: str, namespace: str, selector: str = "") -> list[Object]:
    """All objects of a kind in a namespace. Raises as `get` does."""
    if kind in APIS:
        try:
            return [dict(each) for each in client().list_objects(APIS[kind], namespace, selector)]
        except ApiError as error:
            raise KubectlFailed(str(error)) from error
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
    with tempfile.TemporaryFile() as output:  # it writes a line for each connection, and stops when a pipe is full
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: os.fstat(output.fileno()).st_size or process.poll() is not None)
            line = os.pread(output.fileno(), 4096, 0).decode()
            if not line.startswith("Forwarding from"):
                raise KubectlFailed(f"port-forward to {target} in namespace '{namespace}' failed: {line.strip()}")
            yield local
        finally:
            process.terminate()
            process.wait(timeout=10)


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
    """A boto3 client of the trial store, with the key of the root account unless another one is given.

    Each of its requests waits for a store that restarts, as it does whenever a story changes the store's accounts.
    """
    environment = store_environment()
    key_id, secret = account or (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    return patient_s3_client(
        environment["AWS_ENDPOINT_URL"], key_id, secret, environment.get("AWS_REGION", "us-east-1")
    )


def patient_s3_client(endpoint: str, key_id: str, secret: str, region: str) -> Any:
    """A boto3 client whose requests are sent again, for a minute, until it is the store that responds."""
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        region_name=region,
        config=Config(
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "total_max_attempts": 1},  # `_pause_before_retry` alone decides
            connect_timeout=5,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    client.meta.events.register("needs-retry.s3", _pause_before_retry)
    return client


def _pause_before_retry(
    response: tuple[Any, Object] | None, operation: Any, attempts: int, caught_exception: Exception | None, **_: Any
) -> float | None:
    """The seconds until botocore sends a request again; None if the response is the store's own, or a minute is over.

    A status without the store's XML comes from whatever has the address between two pods of the store: botocore then takes the status for
    the code. A response to HEAD never has XML, so that 404 is believed there.
    """
    from botocore.exceptions import EndpointConnectionError, HTTPClientError

    is_unreachable = isinstance(caught_exception, EndpointConnectionError | HTTPClientError)
    if attempts > STORE_PATIENCE_SECONDS / RETRY_PAUSE_SECONDS:
        return None
    if response is None:
        return RETRY_PAUSE_SECONDS if is_unreachable else None
    status, parsed = response[0].status_code, response[1]
    is_foreign = parsed.get("Error", {}).get("Code") == str(status) and operation.http["method"] != "HEAD"
    return RETRY_PAUSE_SECONDS if status >= 500 or is_foreign else None


def bucket() -> str:
    """The trial store's bucket."""
    return store_environment()["FLYWHEEL_BUCKET"]
