"""The operator as a process on this machine, so that a test may kill it, stop it, or make it die after its n-th write."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from e2e import kube
from e2e.cluster import paths

DEPLOYMENT = ("--namespace", "flywheel-system", "deployment/flywheel-operator")


# Locked by every test that pauses the installed operator; it holds the number of replicas to restore.
REPLICAS_FILE = paths.KUBECONFIG.parent / "operator-rests"


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
        try:
            yield {**settings, "FLYWHEEL_NAMESPACES": namespace, "FLYWHEEL_LEASE_NAMESPACE": namespace}
        finally:
            with suppress(BlockingIOError):  # another test needs it paused, and restores it at its end
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                kube.kubectl("scale", *DEPLOYMENT, f"--replicas={REPLICAS_FILE.read_text()}")
                kube.kubectl("rollout", "status", *DEPLOYMENT, "--timeout=120s")


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
            "KUBECONFIG": str(paths.KUBECONFIG),
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


def lease_holder(namespace: str) -> str:
    """Return who holds the Lease of that namespace's operators, or an empty string."""
    lease = kube.get("lease", "flywheel-operator", namespace) or {}
    return str(lease.get("spec", {}).get("holderIdentity") or "")
