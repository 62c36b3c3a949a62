"""The components of the native cluster: their processes, identities and health."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from e2e.cluster import addons, containerd, controlplane, golang, network, node, packages, processes
from e2e.cluster.certificates import Identity
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.paths import AUDIT_LOG, CHECKOUT, LOGS, PKI, STATE

PLANE = ControlPlane(folder=STATE, pki=PKI, logs=LOGS, audit_log=AUDIT_LOG, address=network.NODE_ADDRESS, port=6443)
IDENTITIES = (
    Identity("kube-controller-manager", "/CN=system:kube-controller-manager"),
    Identity("kube-scheduler", "/CN=system:kube-scheduler"),
    Identity("kube-proxy", "/CN=system:kube-proxy"),
    # Under this name the API server asks the kubelet for logs and exec; addons.yaml gives it the right to.
    Identity("apiserver-kubelet-client", "/CN=kube-apiserver-kubelet-client"),
    node.KUBELET_IDENTITY,
    *addons.IDENTITIES,
)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
USERS = ("admin", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns", "metrics-server")
APISERVER_FLAGS = (
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    f"--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt",
    f"--kubelet-client-key={PKI}/apiserver-kubelet-client.key",
    f"--kubelet-certificate-authority={PKI}/ca.crt",
    "--kubelet-preferred-address-types=InternalIP",  # or logs and exec look the node's name up in DNS
    "--enable-aggregator-routing=true",
)


@dataclass(frozen=True)
class Component:
    name: str
    command: Callable[[], list[str]]
    directory: Path = STATE


def controllers_command() -> list[str]:
    return [
        str(golang.binary(golang.KUBE, "kube-controller-manager")), "--leader-elect=false", "--secure-port=0",
        f"--kubeconfig={STATE}/kubeconfigs/kube-controller-manager", "--use-service-account-credentials",
        f"--service-account-private-key-file={PKI}/service-accounts.key", f"--root-ca-file={PKI}/ca.crt",
        f"--cluster-signing-cert-file={PKI}/ca.crt", f"--cluster-signing-key-file={PKI}/ca.key",
    ]  # fmt: skip


def scheduler_command() -> list[str]:
    return [
        str(golang.binary(golang.KUBE, "kube-scheduler")), "--leader-elect=false", "--secure-port=0",
        f"--kubeconfig={STATE}/kubeconfigs/kube-scheduler",
    ]  # fmt: skip


ETCD = Component("etcd", lambda: controlplane.etcd_command(PLANE))
APISERVER = Component("kube-apiserver", lambda: controlplane.apiserver_command(PLANE, APISERVER_FLAGS))
CONTAINERD = Component("containerd", containerd.command)
# What talks to the API server, in the order of starting; `down` stops them in the opposite order.
WORKERS = (
    Component("kube-controller-manager", controllers_command),
    Component("kube-scheduler", scheduler_command),
    Component("kube-proxy", node.proxy_command),
    Component("coredns", addons.coredns_command),
    Component("metrics-server", addons.metrics_command),
    Component("volumes", addons.volumes_command, CHECKOUT),
    Component("kubelet", node.kubelet_command),
)
COMPONENTS = (ETCD, APISERVER, CONTAINERD, *WORKERS)


def start(component: Component) -> None:
    environment = os.environ | {"PATH": packages.path()}
    log = LOGS / f"{component.name}.log"
    processes.start(PLANE.pids, log, component.name, component.command(), env=environment, cwd=component.directory)


def dead_components() -> list[str]:
    return [component.name for component in COMPONENTS if processes.running(PLANE.pids, component.name) is None]


def outdated_components() -> list[str]:
    """The parts that run with another command than this checkout would start; each checkout has a Python of its own."""
    return [component.name for component in COMPONENTS if component.name != "volumes" and runs_differently(component)]


def runs_differently(component: Component) -> bool:
    recorded = processes.running(PLANE.pids, component.name)
    return recorded is not None and processes.command(recorded.pid) != component.command()


def are_healthy() -> bool:
    return not dead_components() and controlplane.is_ready(PLANE) and node_is_ready()


def system_namespace_exists() -> bool:
    return controlplane.get(PLANE, "/api/v1/namespaces/kube-system")[0] == 200


def node_is_ready(said_since: datetime = LONG_AGO) -> bool:
    """`said_since`: what a kubelet that died said before does not count."""
    status, body = controlplane.get(PLANE, f"/api/v1/nodes/{node.NAME}")
    conditions = json.loads(body)["status"].get("conditions", []) if status == 200 else []
    return any(
        condition["type"] == "Ready"
        and condition["status"] == "True"
        and datetime.fromisoformat(condition["lastHeartbeatTime"]) >= said_since
        for condition in conditions
    )
