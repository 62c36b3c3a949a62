"""What the native cluster takes from Debian: the container runtime and the tools around it."""

import os
import shutil
from pathlib import Path

from e2e.cluster import paths
from e2e.cluster.progress import Failure, run, step

# Each program (or file) and the package that brings it.
NEEDED = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "buildah": "buildah",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "conntrack": "conntrack",
    "socat": "socat",
    "ip": "iproute2",
    "openssl": "openssl",
    "mount": "mount",
}
# A login shell of root has them, a cron job or a bare environment may not.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def path() -> str:
    return f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"


def missing() -> list[str]:
    def is_there(what: str) -> bool:
        return Path(what).exists() if what.startswith("/") else shutil.which(what, path=path()) is not None

    return [package for what, package in NEEDED.items() if not is_there(what)]


def install() -> None:
    wanted = missing()
    if not wanted:
        return
    if shutil.which("apt-get") is None:
        raise Failure(
            f"This machine lacks {', '.join(wanted)} and has no apt-get; install them, or use CLUSTER=kind with Docker"
        )
    log = paths.cache() / "logs" / "packages.log"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with step("Debian packages"):
        run(["apt-get", "update", "-q"], log, env=environment)
        run(["apt-get", "install", "-y", "-q", "--no-install-recommends", *wanted], log, env=environment)
