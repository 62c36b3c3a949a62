"""The build of 22 November 2026, from its own sources: its chart, and its images on the layers of this checkout's images.

While its requirements are those of today, each image is one thin layer of its code.
"""

import subprocess
import tarfile
from pathlib import Path

from e2e.cluster import extra_images, images
from e2e.cluster.paths import CHECKOUT, DOT_CLUSTER
from e2e.cluster.progress import Failure

REVISION = "a9eee5feb12972546b573257fa1d0dc471cf8087"
FOLDER = DOT_CLUSTER / "releases"
IMAGES = ("operator", "serving", "runtime")
FILES = ("charts", "images", "operator", "requirements", ".dockerignore")


def is_shallow() -> bool:
    """Whether this checkout has no history, as an archive of the sources or a shallow clone."""
    words = ("git", "-C", str(CHECKOUT), "rev-parse", "--is-shallow-repository")
    return subprocess.run(words, capture_output=True, text=True).stdout.strip() != "false"


def sources() -> Path:
    """The folder with the sources of that build.

    Raises:
        Failure: this clone has not got the revision.
    """
    folder = FOLDER / REVISION
    if folder.exists():
        return folder
    FOLDER.mkdir(parents=True, exist_ok=True)
    archive = FOLDER / f"{REVISION}.tar"
    # The layers of today's images have files of mode 0644.
    words = ("git", "-C", CHECKOUT, "-c", "tar.umask=022", "archive", f"--output={archive}", REVISION, *FILES)
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(
            f"revision {REVISION[:7]} is not in this clone ({done.stderr.strip()}); run 'git fetch --unshallow'"
        )
    with tarfile.open(archive) as tar:
        tar.extractall(folder.with_suffix(".new"), filter="data")
    folder.with_suffix(".new").rename(folder)
    archive.unlink()
    return folder


def chart() -> Path:
    """Its chart."""
    return sources() / "charts" / "flywheel"


def image_names() -> dict[str, str]:
    """Its images by their short names, in the cluster when this returns. The store's binary is today's.

    Raises:
        Failure: one cannot be built, or this cluster takes no images.
    """
    root = sources()
    found = {"store": images.recorded()["store"]["image"]}
    key = images.content_key([], REVISION, images.base_key())
    for short in IMAGES:
        found[short] = images.image_name(short, key)
        dockerfile = root / "images" / short / "Dockerfile"
        extra_images.build_and_load(found[short], dockerfile, root, images.build_arguments())
    return found
