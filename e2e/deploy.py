"""The chart in the development cluster: `python3 -m e2e.deploy`, or `python3 -m e2e.deploy logs`. Standard library alone.

Whatever the demo and the end-to-end tests need is in `values`; a test that wants other values upgrades the release itself.
"""

import base64
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from e2e.cluster import cluster, images
from e2e.cluster.cluster import Cluster
from e2e.cluster.paths import CHECKOUT
from e2e.cluster.progress import Failure, announce, step
from e2e.waiting import wait_until

RELEASE = "flywheel"
NAMESPACE = "flywheel-system"
TEAMS = ("flights", "bakery")  # that of the demo, and another tenant
CHART = CHECKOUT / "charts" / "flywheel"
TIMEOUT = "180s"


def values() -> dict[str, Any]:
    """Images by the tags that `make images` recorded, a team for the demo, and the trial store on a port of the node."""
    tags = {
        name: dict(zip(("repository", "tag"), one["image"].rsplit(":", 1), strict=True))
        for name, one in images.recorded().items()
    }
    return {
        "images": tags,
        "namespaces": list(TEAMS),
        "createNamespaces": True,
        "allowedHttpHosts": ["database.story-postgres-source.svc"],
        "watchNamespaces": ["*"],  # each story makes a namespace of its own
        "operator": {"resyncSeconds": int(os.environ.get("FLYWHEEL_RESYNC_SECONDS", "30"))},
        "store": {"embedded": {"nodePort": cluster.STORE_NODE_PORT}},
    }


def deploy(picked: Cluster) -> None:
    """Install or upgrade this checkout's chart with the values of the tests."""
    install(picked, CHART, values())


def install(picked: Cluster, chart: Path, given: dict[str, Any], *options: str) -> None:
    """Install or upgrade a chart, wait until its Deployments are ready, and write .cluster/store.env."""
    with step("chart"):
        picked.helm(
            "upgrade", "--install", RELEASE, str(chart), "--namespace", NAMESPACE, "--create-namespace",
            "--values", "-", *options, given=json.dumps(given),
        )  # fmt: skip
    for deployment in deployments(picked):
        with step(f"{deployment} ready"):
            wait_for_deployment(picked, deployment)
    endpoint = picked.store_endpoint()
    with step("the store's port"):
        wait_until(lambda: is_reached(endpoint), 60, f"{endpoint} leads to no store, though its pod is ready")
    secret = store_secret(picked)
    cluster.write_store_env(
        endpoint,
        secret["AWS_ACCESS_KEY_ID"],
        secret["AWS_SECRET_ACCESS_KEY"],
        secret["FLYWHEEL_BUCKET"],
        secret["AWS_REGION"],
    )


def deployments(picked: Cluster) -> list[str]:
    """The Deployments of the release: a chart of an earlier build has no reader."""
    found = picked.kubectl("--namespace", NAMESPACE, "get", "deployments", "--output", "name")
    return sorted((name.rpartition("/")[2] for name in found.split()), reverse=True)  # the store first


def is_reached(endpoint: str) -> bool:
    """Whether something listens there. A node's port follows a pod that is ready some seconds later."""
    url = urlsplit(endpoint)
    try:
        socket.create_connection((url.hostname or "", url.port or 80), 5).close()
    except OSError:
        return False
    return True


def wait_for_deployment(picked: Cluster, deployment: str) -> None:
    """Raises Failure with what the pods and their events say."""
    words = ("--namespace", NAMESPACE)
    try:
        picked.kubectl(*words, "rollout", "status", f"deployment/{deployment}", f"--timeout={TIMEOUT}")
    except Failure as failure:
        selector = f"--selector=app.kubernetes.io/name={deployment}"
        looks = (
            (*words, "get", "pods", selector),
            (*words, "logs", selector, "--all-containers", "--tail=20", "--prefix"),
            (*words, "get", "events", "--field-selector=type=Warning"),
        )
        seen = "\n".join(picked.kubectl(*look, check=False) for look in looks)
        raise Failure(
            f"{seen}\n{failure}\nDeployment '{deployment}' is not ready within {TIMEOUT}; its pods and logs are above"
        ) from None


def store_secret(picked: Cluster) -> dict[str, str]:
    """Where the trial store is, as step pods see it, with its root account in place of theirs."""

    def secret(namespace: str, name: str) -> dict[str, str]:
        text = picked.kubectl("--namespace", namespace, "get", "secret", name, "--output", "json")
        return {key: base64.b64decode(value).decode() for key, value in json.loads(text)["data"].items()}

    root = secret(NAMESPACE, "flywheel-store-server")
    keys = {"AWS_ACCESS_KEY_ID": root["ROOT_ACCESS_KEY"], "AWS_SECRET_ACCESS_KEY": root["ROOT_SECRET_KEY"]}
    return {**secret(TEAMS[0], "flywheel-store"), **keys}


def logs(picked: Cluster) -> int:
    """Follow the log of every replica until interrupted."""
    command = [
        "--namespace",
        NAMESPACE,
        "logs",
        "--follow",
        "--prefix",
        "--tail=100",
        "--selector=app.kubernetes.io/name=flywheel-operator",
    ]
    return subprocess.run([cluster.kubectl_path(), *command], env=picked.environment(), check=False).returncode


def main() -> int:
    try:
        if sys.argv[1:] == ["logs"]:
            return logs(cluster.chosen())
        deploy(cluster.chosen())
        announce("The chart is installed; the trial store is described in .cluster/store.env")
    except Failure as failure:
        sys.stderr.write(f"{failure.report()}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
