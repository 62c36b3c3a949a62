"""The node: containerd, kubelet and kube-proxy, and the end of everything they started."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from e2e.cluster import golang, packages
from e2e.cluster.certificates import Identity
from e2e.cluster.files import settle
from e2e.cluster.network import CNI_CONFIGURATION, NODE_ADDRESS, POD_RANGE
from e2e.cluster.places import CONTAINERD_SOCKET, PKI, RUNTIME, STATE

NAME = "flywheel-dev"
PAUSE_IMAGE = "flywheel.local/pause:1"
# Pods live below a control group of ours, so that `down` ends them all and nobody else's.
CONTROL_GROUP = "flywheel-dev"
CONTROL_GROUPS = Path("/sys/fs/cgroup")
KUBELET_IDENTITY = Identity(
    "kubelet", f"/O=system:nodes/CN=system:node:{NAME}", (f"DNS:{NAME}", f"IP:{NODE_ADDRESS}", "IP:127.0.0.1")
)

CONTAINERD = f"""\
version = 2
root = "{STATE}/containerd"
state = "{RUNTIME}/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
path = "{STATE}/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
# Without CAP_SYS_RESOURCE (a container, a small virtual machine) no sandbox would start: runc may not lower the score.
restrict_oom_score_adj = true
sandbox_image = "{PAUSE_IMAGE}"
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{CNI_CONFIGURATION}"
"""

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
    for folder in ("kubelet", "pod-logs", "volume-plugins", "containerd-opt"):
        (STATE / folder).mkdir(parents=True, exist_ok=True)
    settle(STATE / "containerd.toml", CONTAINERD)
    settle(STATE / "kubelet.json", json.dumps(KUBELET, indent=1))
    settle(STATE / "kube-proxy.json", json.dumps(PROXY, indent=1))
    for group in own_control_groups():
        group.mkdir(exist_ok=True)


def containerd_command() -> list[str]:
    return [shutil.which("containerd", path=packages.path()) or "containerd", f"--config={STATE}/containerd.toml"]


def kubelet_command() -> list[str]:
    return [
        str(golang.binary(golang.KUBE, "kubelet")), f"--config={STATE}/kubelet.json",
        f"--kubeconfig={STATE}/kubeconfigs/kubelet", f"--hostname-override={NAME}", f"--node-ip={NODE_ADDRESS}",
        f"--root-dir={STATE}/kubelet",
    ]  # fmt: skip


def proxy_command() -> list[str]:
    return [str(golang.binary(golang.KUBE, "kube-proxy")), f"--config={STATE}/kube-proxy.json"]


def ctr(*words: str) -> subprocess.CompletedProcess[str]:
    argv = ["ctr", f"--address={CONTAINERD_SOCKET}", "--namespace=k8s.io", *words]
    return subprocess.run(argv, capture_output=True, text=True, env=os.environ | {"PATH": packages.path()})


def image_digests() -> dict[str, str]:
    lines = ctr("images", "list").stdout.splitlines()[1:]
    return {line.split()[0]: line.split()[2] for line in lines}


def end_pods() -> None:
    """Kills what runs in our control group and the shims beside it, then forgets the containers; the images stay."""
    kill_until_empty()
    for shim in shims():
        os.kill(shim, signal.SIGKILL)
    if CONTAINERD_SOCKET.exists():
        containers = ctr("containers", "list", "--quiet").stdout.split()
        if containers:
            ctr("containers", "remove", *containers)


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
        for members in group.rglob("cgroup.procs"):
            try:
                yield from (int(line) for line in members.read_text().split())
            except OSError:
                continue  # the group went away while we looked


def shims() -> Iterator[int]:
    """containerd's shims carry our socket's address, which tells them from those of any other containerd."""
    address = b"-address\0" + str(CONTAINERD_SOCKET).encode() + b"\0"
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes()
        except OSError:
            continue
        if b"containerd-shim" in words.split(b"\0")[0] and address in words:
            yield int(command.parent.name)


def own_control_groups() -> list[Path]:
    """One for each hierarchy with cgroup v1, a single one with v2."""
    if (CONTROL_GROUPS / "cgroup.controllers").exists():
        return [CONTROL_GROUPS / CONTROL_GROUP]
    return [path / CONTROL_GROUP for path in CONTROL_GROUPS.iterdir() if path.is_dir() and not path.is_symlink()]


def remove_control_groups() -> None:
    for group in own_control_groups():
        for folder in sorted(group.rglob("*/"), reverse=True) if group.exists() else ():
            if folder.is_dir():
                folder.rmdir()
        if group.exists():
            group.rmdir()


def unmount_all() -> None:
    """Deepest first. A lazy unmount, because a killed process may hold a file for a moment longer."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    ours = [point for point in points if point.startswith((f"{STATE}/", f"{RUNTIME}/"))]
    for point in sorted(ours, reverse=True):
        subprocess.run(["umount", "--lazy", point.encode().decode("unicode_escape")], capture_output=True)


def remove_fixed_places() -> None:
    """The kubelet uses a few places whatever its configuration says: links to every container's log, and a socket."""
    logs = Path("/var/log/containers")
    for link in logs.glob("*.log"):
        if link.is_symlink() and str(link.readlink()).startswith(str(STATE)):
            link.unlink()
    plugins = Path("/var/lib/kubelet/device-plugins")
    for file in ("kubelet.sock", "kubelet_internal_checkpoint"):
        (plugins / file).unlink(missing_ok=True)
    for folder in (logs, plugins, plugins.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
