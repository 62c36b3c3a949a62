"""containerd: the container runtime of the native cluster, private in all its places, and the images in it."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster import archive, buildah, golang, images, lock, packages
from e2e.cluster.files import write_if_changed
from e2e.cluster.network import CNI_CONFIGURATION
from e2e.cluster.paths import CONTAINERD_SOCKET, LOGS, RUNTIME, STATE
from e2e.cluster.progress import Failure, step

LOG = LOGS / "containerd.log"
PAUSE_IMAGE = "flywheel.local/pause:1"
CONFIGURATION = f"""\
version = 2
root = "{STATE}/containerd"
state = "{RUNTIME}/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]
[grpc]
address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.internal.v1.opt"]
path = "{STATE}/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
# Without CAP_SYS_RESOURCE (a container, a small virtual machine) no sandbox would start: runc may not lower the score.
restrict_oom_score_adj = true
sandbox_image = "{PAUSE_IMAGE}"
# Below our state folder, where `down` finds them.
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{CNI_CONFIGURATION}"
"""


def prepare() -> None:
    (STATE / "containerd-opt").mkdir(parents=True, exist_ok=True)
    write_if_changed(STATE / "containerd.toml", CONFIGURATION)


def command() -> list[str]:
    return [shutil.which("containerd", path=packages.path()) or "containerd", f"--config={STATE}/containerd.toml"]


def ctr(*words: str) -> subprocess.CompletedProcess[str]:
    argv = ["ctr", f"--address={CONTAINERD_SOCKET}", "--namespace=k8s.io", *words]
    return subprocess.run(argv, capture_output=True, text=True, env=os.environ | {"PATH": packages.path()})


def is_answering() -> bool:
    return ctr("version").returncode == 0


def digests() -> dict[str, str]:
    """The digest of each image by its name, as pods report it."""
    lines = ctr("images", "list").stdout.splitlines()[1:]
    return {line.split()[0]: line.split()[2] for line in lines}


def forget_containers() -> None:
    if CONTAINERD_SOCKET.exists() and (containers := ctr("containers", "list", "--quiet").stdout.split()):
        ctr("containers", "remove", *containers)


def import_pause() -> None:
    if PAUSE_IMAGE not in digests():
        bring(PAUSE_IMAGE, archive.single_binary(RUNTIME / "pause.tar", PAUSE_IMAGE, golang.binary(golang.PAUSE)))


def load_images() -> dict[str, str]:
    """Brings what containerd lacks to it; returns the digest of each of our images by its name."""
    return load([images.current_name(image) for image in images.IMAGES_OF_OURS])


def load(names: Sequence[str]) -> dict[str, str]:
    """The same for any images that are built."""
    with lock.exclusive_lock(RUNTIME / "images.lock", "The cluster's store of images"):
        known = digests()
        for name in names:
            if name not in known:
                with step(f"bringing {name} to the cluster"), images.exclusive_build(), buildah.storage_mounted():
                    bring(name, buildah.write_archive(name, RUNTIME / "image.tar"))
        known = digests()
    return {name: known[name] for name in names}


def bring(name: str, written: Path) -> None:
    try:
        done = ctr("images", "import", str(written))
    finally:
        written.unlink()
    if done.returncode != 0:
        raise Failure(f"containerd refused the image {name}: {done.stderr.strip()}; correct what its log says", LOG)
