"""The operator as a process on this machine, so that a test may kill it, stop it, or make it die after its n-th write."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from e2e import kube
from e2e.cluster import paths
from e2e.namespace import Namespace

DEPLOYMENT = ("--namespace", "flywheel-system", "deployment/flywheel-operator")


# Locked by every test that pauses the installed operator; it holds the number of replicas to restore.
REPLICAS_FILE = paths.KUBECONFIG.parent / "operator-rests"


# The process has the installed operator's identity, which the chart's policies know, and may hold a Lease in the namespaces of tests.
IDENTITY = paths.KUBECONFIG.parent / "operator.kubeconfig"
LEASES = "e2e-operator-leases"


def become_installed_operator() -> None:
    """Write a kubeconfig with a token of the operator's ServiceAccount, and let it hold Leases anywhere."""
    config: dict[str, Any] = yaml.safe_load(paths.KUBECONFIG.read_text())
    token = kube.kubectl(
        "create", "token", "flywheel-operator", "--namespace", "flywheel-system", "--duration=6h"
    ).strip()
    config["users"] = [{**each, "user": {"token": token}} for each in config["users"]]
    IDENTITY.touch(mode=0o600)
    IDENTITY.write_text(json.dumps(config))
    account = {"kind": "ServiceAccount", "name": "flywheel-operator", "namespace": "flywheel-system"}
    rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}
    api, reference = "rbac.authorization.k8s.io", {"kind": "ClusterRole", "name": LEASES}
    for kind, fields in (
        ("ClusterRole", {"rules": [rule]}),
        ("ClusterRoleBinding", {"roleRef": {"apiGroup": api, **reference}, "subjects": [account]}),
    ):
        kube.apply({"apiVersion": f"{api}/v1", "kind": kind, "metadata": {"name": LEASES}, **fields}, "default")


@contextmanager
def installed_operator_paused(namespace: str) -> Iterator[dict[str, str]]:
    """Scale the installed operator to nothing for the length of a test, and of those that run beside it.

    Yields settings for operators of this test's own: they see `namespace` alone, and hold their Lease there.
    """
    deployment = kube.get("deployment", "flywheel-operator", "flywheel-system") or {}
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    settings = {
        each["name"]: each["value"]
        for each in container["env"]
        if each["name"].startswith("FLYWHEEL_") and "value" in each
    }
    with REPLICAS_FILE.open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        pause_installed_operator()
        become_installed_operator()
        try:
            yield {**settings, "FLYWHEEL_NAMESPACES": namespace, "FLYWHEEL_LEASE_NAMESPACE": namespace}
        finally:
            with suppress(BlockingIOError):  # another test needs it paused, and restores it at its end
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                kube.kubectl("scale", *DEPLOYMENT, f"--replicas={REPLICAS_FILE.read_text()}")
                kube.kubectl("rollout", "status", *DEPLOYMENT, "--timeout=120s")
                kube.kubectl("delete", f"clusterrole/{LEASES}", f"clusterrolebinding/{LEASES}")


def pause_installed_operator() -> None:
    """Scale the installed operator to nothing, and wait until it is gone."""
    if replicas := (kube.get("deployment", "flywheel-operator", "flywheel-system") or {})["spec"]["replicas"]:
        REPLICAS_FILE.write_text(str(replicas))
    kube.kubectl("scale", *DEPLOYMENT, "--replicas=0")
    pods = ("pods", "--selector=app.kubernetes.io/name=flywheel-operator")
    kube.kubectl("wait", "--namespace", "flywheel-system", *pods, "--for=delete", "--timeout=60s")


class LocalOperator:
    """One operator process; its log goes to a file."""

    def __init__(self, settings: dict[str, str], log: Path, name: str, port: int, **more: str) -> None:
        self.log = log
        environment = {
            **os.environ,
            **settings,
            "KUBECONFIG": str(IDENTITY),
            "POD_NAME": name,
            "POD_NAMESPACE": "flywheel-system",
            "FLYWHEEL_HTTP": f"127.0.0.1:{port}",
            "PYTHONPATH": str(paths.CHECKOUT / "operator"),
            **more,
        }
        with log.open("a") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flywheel"], env=environment, stdout=output, stderr=output
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(10)

    def log_text(self) -> str:
        """Return its log so far."""
        return self.log.read_text()


def free_lease(namespace: Namespace) -> None:
    """Free the Lease of an operator that was killed: it runs out after 15 s, which often takes long.

    On a busy machine an operator may be killed before it has made one.
    """
    if kube.get("lease", "flywheel-operator", namespace.name) is None:
        return
    namespace.kubectl(
        "patch", "lease", "flywheel-operator", "--type", "merge", "--patch", '{"spec": {"holderIdentity": ""}}'
    )


def lease_holder(namespace: str) -> str:
    """Return who holds the Lease of that namespace's operators, or an empty string."""
    lease = kube.get("lease", "flywheel-operator", namespace) or {}
    return str(lease.get("spec", {}).get("holderIdentity") or "")
