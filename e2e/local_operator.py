"""The operator as a process on this machine, so that a story may kill it, stop it, or make it die after its n-th write."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e import kube
from e2e.cluster import places

DEPLOYMENT = ("--namespace", "flywheel-system", "deployment/flywheel-operator")


@contextmanager
def deployed_operator_rests() -> Iterator[dict[str, str]]:
    """Scale the installed operator to nothing for the length of a story; yields the settings that it ran with."""
    deployment = kube.get("deployment", "flywheel-operator", "flywheel-system") or {}
    replicas = deployment["spec"]["replicas"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    settings = {
        each["name"]: each["value"]
        for each in container["env"]
        if each["name"].startswith("FLYWHEEL_") and "value" in each
    }
    kube.kubectl("scale", *DEPLOYMENT, "--replicas=0")
    kube.kubectl(
        "wait",
        "--namespace",
        "flywheel-system",
        "pods",
        "--selector=app.kubernetes.io/name=flywheel-operator",
        "--for=delete",
        "--timeout=60s",
    )
    try:
        yield settings
    finally:
        kube.kubectl("scale", *DEPLOYMENT, f"--replicas={replicas}")
        kube.kubectl("rollout", "status", *DEPLOYMENT, "--timeout=120s")


class LocalOperator:
    """One process; its words go to a file."""

    def __init__(self, settings: dict[str, str], log: Path, name: str, port: int, **more: str) -> None:
        self.log = log
        environment = {
            **os.environ,
            "FLYWHEEL_LEASE_NAMESPACE": "flywheel-system",
            **settings,
            "KUBECONFIG": str(places.KUBECONFIG),
            "POD_NAME": name,
            "POD_NAMESPACE": "flywheel-system",
            "FLYWHEEL_HTTP": f"127.0.0.1:{port}",
            "PYTHONPATH": str(places.CHECKOUT / "operator"),
            **more,
        }
        with log.open("a") as words:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flywheel"], env=environment, stdout=words, stderr=words
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        self.process.send_signal(number)

    def end(self) -> None:
        """Kill it if it still runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(10)

    def words(self) -> str:
        """All that it said so far."""
        return self.log.read_text()


def holder() -> str:
    """Who holds the operator's Lease; empty if nobody."""
    lease = kube.get("lease", "flywheel-operator", "flywheel-system") or {}
    return str(lease.get("spec", {}).get("holderIdentity") or "")
