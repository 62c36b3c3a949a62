"""The node: kubelet and kube-proxy, and the end of everything the kubelet started."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from e2e.cluster import golang, processes
from e2e.cluster.certificates import Identity
from e2e.cluster.files import write_if_changed
from e2e.cluster.network import NODE_ADDRESS, POD_RANGE
from e2e.cluster.paths import CONTAINERD_SOCKET, PKI, RUNTIME, STATE

NAME = "flywheel-dev"
# Pods live below a control group of ours, so that `down` ends them all and nobody else's.
CONTROL_GROUP = "flywheel-dev"
CONTROL_GROUPS = Path("/sys/fs/cgroup")
# All pods together would have the CPU share of one process, and start a minute later beside a busy test run. cgroup v1, v2.
CPU_OF_PODS = {"cpu.shares": "8192", "cpu.weight": "800"}
KUBELET_IDENTITY = Identity(
    "kubelet", f"/O=system:nodes/CN=system:node:{NAME}", (f"DNS:{NAME}", f"IP:{NODE_ADDRESS}", "IP:127.0.0.1")
)

KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "address": NODE_ADDRESS,
    "healthzPort": 0,
    "failCgroupV1": False,
    "cgroupDriver": "cgroupfs",
    "cgroupRoot": f"/{CONTROL_GROUP}",
    "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
    "authentication": {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True},
        "x509": {"clientCAFile": f"{PKI}/ca.crt"},
    },
    "authorization": {"mode": "Webhook"},
    "tlsCertFile": f"{PKI}/kubelet.crt",
    "tlsPrivateKeyFile": f"{PKI}/kubelet.key",
    "clusterDomain": "cluster.local",
    "clusterDNS": [NODE_ADDRESS],
    "failSwapOn": False,
    "makeIPTablesUtilChains": False,  # kube-proxy speaks nftables; nothing is left in iptables
    "podLogsDir": f"{STATE}/pod-logs",
    "volumePluginDir": f"{STATE}/volume-plugins",
    "maxPods": 250,
    "imageGCHighThresholdPercent": 100,  # images come from no registry: a removed one would never come back
    "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    "serializeImagePulls": False,
}

PROXY = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "clientConnection": {"kubeconfig": f"{STATE}/kubeconfigs/kube-proxy"},
    "mode": "nftables",
    "clusterCIDR": POD_RANGE,
    "hostnameOverride": NAME,
    "nodePortAddresses": [f"{NODE_ADDRESS}/32"],
    "conntrack": {"maxPerCore": 0},  # the limit is the machine's, and often not writable
}


def prepare() -> None:
    for folder in ("kubelet", "pod-logs", "volume-plugins"):
        (STATE / folder).mkdir(parents=True, exist_ok=True)
    write_if_changed(STATE / "kubelet.json", json.dumps(KUBELET, indent=1))
    write_if_changed(STATE / "kube-proxy.json", json.dumps(PROXY, indent=1))
    for group in own_control_groups():
        group.mkdir(exist_ok=True)
        for name, share in CPU_OF_PODS.items():
            if (group / name).exists():
                (group / name).write_text(share)


def kubelet_command() -> list[str]:
    return [
        str(golang.binary(golang.KUBE, "kubelet")), f"--config={STATE}/kubelet.json",
        f"--kubeconfig={STATE}/kubeconfigs/kubelet", f"--hostname-override={NAME}", f"--node-ip={NODE_ADDRESS}",
        f"--root-dir={STATE}/kubelet",
    ]  # fmt: skip


def proxy_command() -> list[str]:
    return [str(golang.binary(golang.KUBE, "kube-proxy")), f"--config={STATE}/kube-proxy.json"]


def end_pods() -> None:
    """Kills what runs in our control group and the shims beside it."""
    kill_until_empty()
    for shim in shims():
        os.kill(shim, signal.SIGKILL)


def kill_until_empty(seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while (pids := set(pods_pids())) and time.monotonic() < deadline:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def pods_pids() -> Iterator[int]:
    for group in own_control_groups():
        for folder, _folders, _files in os.walk(group):  # which, unlike rglob, minds no folder that goes away meanwhile
            try:
                yield from (int(line) for line in Path(folder, "cgroup.procs").read_text().split())
            except OSError:
                continue


def shims() -> Iterator[int]:
    """containerd's shims carry our socket's address, which tells them from those of any other containerd."""
    for pid in (int(path.name) for path in Path("/proc").glob("[0-9]*")):
        words = processes.command(pid)
        if words and "containerd-shim" in words[0] and str(CONTAINERD_SOCKET) in words:
            yield pid


def own_control_groups() -> list[Path]:
    """One for each hierarchy with cgroup v1, a single one with v2."""
    if (CONTROL_GROUPS / "cgroup.controllers").exists():
        return [CONTROL_GROUPS / CONTROL_GROUP]
    return [path / CONTROL_GROUP for path in CONTROL_GROUPS.iterdir() if path.is_dir() and not path.is_symlink()]


def remove_control_groups(seconds: float = 5) -> None:
    """Dying shims remove theirs too, and a group is busy until the last of its killed processes is gone."""
    deadline = time.monotonic() + seconds
    for group in own_control_groups():
        while group.exists():
            try:
                for folder, _folders, _files in os.walk(group, topdown=False):
                    Path(folder).rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def unmount_all() -> None:
    """Deepest first. A lazy unmount, because a killed process may hold a file for a moment longer."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    ours = [point for point in points if point.startswith((f"{STATE}/", f"{RUNTIME}/"))]
    for point in sorted(ours, reverse=True):
        subprocess.run(["umount", "--lazy", point.encode().decode("unicode_escape")], capture_output=True)


def remove_fixed_places() -> None:
    """The kubelet and containerd use a few places whatever their configuration says: links to logs, a socket, a lock."""
    logs = Path("/var/log/containers")
    for link in logs.glob("*.log"):
        if link.is_symlink() and str(link.readlink()).startswith(str(STATE)):
            link.unlink()
    plugins = Path("/var/lib/kubelet/device-plugins")
    for file in ("kubelet.sock", "kubelet_internal_checkpoint"):
        (plugins / file).unlink(missing_ok=True)
    networks = Path("/etc/cni/net.d")
    (networks / "cni.lock").unlink(missing_ok=True)
    for folder in (logs, plugins, plugins.parent, networks, networks.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
