"""A real API server for tests: etcd and kube-apiserver in a folder, on a free loopback port, without root.

with apiserver.running(tmp_path) as server:
    server.kubeconfig, server.audit_log
"""

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import certificates, controlplane, golang, kubeconfig
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.progress import Failure

# Nobody makes the `default` ServiceAccounts here, and without them this plugin would refuse every pod.
FLAGS = ("--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount")
ATTEMPTS = 3


@dataclass(frozen=True)
class Server:
    kubeconfig: Path
    url: str
    audit_log: Path
    logs: Path


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Starts it for a block of code; its processes end with the block, or with the thread that runs it if that is killed."""
    try:
        yield up(folder, dies_with_parent=True)
    finally:
        down(folder)


def up(folder: Path, *, dies_with_parent: bool = False) -> Server:
    """Starts it, or finds it running; the Go build is the only thing it needs."""
    golang.build(golang.KUBE)
    folder = folder.resolve()
    for attempt in range(ATTEMPTS):
        plane = recorded_server(folder) or plane_on(folder, free_port())
        try:
            start(plane, dies_with_parent=dies_with_parent)
            return describe(plane)
        except Failure:
            down(folder)  # the port was free a moment ago and may not be any more
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def start(plane: ControlPlane, *, dies_with_parent: bool = False) -> None:
    controlplane.prepare(plane)
    (plane.folder / "port.json").write_text(json.dumps(plane.port))
    controlplane.start(plane, FLAGS, dies_with_parent=dies_with_parent)
    pair = certificates.pair(plane.pki, "admin")
    kubeconfig.write(plane.folder / "kubeconfig", plane.server, plane.pki / "ca.crt", "admin", pair)


def down(folder: Path) -> None:
    """Stops it and removes its data; the logs and the audit log stay."""
    plane = recorded_server(folder.resolve())
    if plane is None:
        return
    controlplane.stop(plane)
    shutil.rmtree(plane.folder / "etcd", ignore_errors=True)
    (plane.folder / "port.json").unlink(missing_ok=True)


def recorded_server(folder: Path) -> ControlPlane | None:
    try:
        return plane_on(folder, int(json.loads((folder / "port.json").read_text())))
    except (FileNotFoundError, ValueError):
        return None


def plane_on(folder: Path, port: int) -> ControlPlane:
    return ControlPlane(
        folder=folder,
        pki=folder / "pki",
        logs=folder / "logs",
        audit_log=folder / "audit.log",
        address="127.0.0.1",
        port=port,
    )


def describe(plane: ControlPlane) -> Server:
    return Server(kubeconfig=plane.folder / "kubeconfig", url=plane.server, audit_log=plane.audit_log, logs=plane.logs)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
