"""Building images where no Docker engine is: mmdebstrap makes the Debian that everything starts from, buildah does the rest.

The Dockerfiles are the same that Docker builds. `chroot` isolation needs no container runtime and no network of its own.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster import packages, paths
from e2e.cluster.progress import Failure, run, step

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# Not where Debian keeps its own: its ca-certificates package could not be installed over a mount.
CERTIFICATES_WHILE_BUILDING = "/tmp/authorities.crt"
DEBIAN = "flywheel.local/debian:bookworm"
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


def storage() -> list[str]:
    """Our own, so that nobody's other images are seen or touched."""
    root = paths.cache() / "buildah"
    return ["--root", str(root / "storage"), "--runroot", str(root / "run"), "--storage-driver", "overlay"]


def environment() -> dict[str, str]:
    return os.environ | {"PATH": packages.path(), "BUILDAH_ISOLATION": "chroot"}


def buildah(*words: str) -> str:
    done = subprocess.run(["buildah", *storage(), *words], capture_output=True, text=True, env=environment())
    if done.returncode != 0:
        raise Failure(f"'buildah {words[0]}' failed: {done.stderr.strip()[-2000:]}; 'clean' and 'images' begin anew")
    return done.stdout.strip()


def has(image: str) -> bool:
    done = subprocess.run(
        ["buildah", *storage(), "inspect", "--type=image", image], capture_output=True, env=environment()
    )
    return done.returncode == 0


def build(image: str, dockerfile: Path, context: Path, arguments: Mapping[str, str], target: str | None = None) -> None:
    log = paths.cache() / "logs" / f"image-{image.rpartition('/')[2].replace(':', '-')}.log"
    log.unlink(missing_ok=True)
    given = {"PIP_CERT": CERTIFICATES_WHILE_BUILDING, **arguments} if CERTIFICATES.exists() else arguments
    choices = [word for name, value in given.items() for word in ("--build-arg", f"{name}={value}")]
    if target:
        choices += ["--target", target]
    run(["buildah", *storage(), "bud", "--layers", "--pull=never", *mounts(), *choices, "-t", image, "-f", dockerfile, context],
        log, env=environment())  # fmt: skip


def mounts() -> list[str]:
    """The machine's own authorities (a proxy may need them) and one pip cache for all images, both only while building."""
    pip = paths.cache() / "pip"
    pip.mkdir(parents=True, exist_ok=True)
    shown = [(pip, "/tmp/.cache/pip", "rw")]
    if CERTIFICATES.exists():
        shown.append((CERTIFICATES, CERTIFICATES_WHILE_BUILDING, "ro"))
    return [word for source, place, mode in shown for word in ("--volume", f"{source}:{place}:{mode}")]


def debian() -> str:
    """A minimal Debian, from the same package source as everything else."""
    if not has(DEBIAN):
        with step("Debian base image"):
            bootstrap()
    return DEBIAN


def bootstrap() -> None:
    work = paths.cache() / "debian"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    without = [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    archive = work / "root.tar"
    run(
        ["mmdebstrap", "--variant=minbase", *without, "bookworm", archive],
        paths.cache() / "logs" / "debian.log",
        env=environment(),
    )
    container = buildah("from", "scratch")
    buildah("add", container, str(archive), "/")
    buildah("config", "--cmd", "/bin/sh", container)
    buildah("commit", "--rm", container, DEBIAN)
    shutil.rmtree(work)


def write_archive(image: str, archive: Path) -> Path:
    """Uncompressed: the archive never leaves the machine, and compressing would take longer than everything else."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.unlink(missing_ok=True)
    buildah("push", "--disable-compression", "--quiet", image, f"oci-archive:{archive}:{image}")
    return archive


@contextmanager
def mounted(image: str) -> Iterator[Path]:
    """The files of an image."""
    container = buildah("from", "--pull=never", image)
    try:
        yield Path(buildah("mount", container))
    finally:
        buildah("umount", container)
        buildah("rm", container)


@contextmanager
def storage_mounted() -> Iterator[None]:
    """buildah mounts its storage on itself and leaves it so."""
    try:
        yield
    finally:
        unmount()


def unmount() -> None:
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((point for point in mounted if point.startswith(f"{paths.cache()}/buildah/")), reverse=True):
        subprocess.run(["umount", "--lazy", point], capture_output=True)
