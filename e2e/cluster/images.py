"""The images: built only when something in them changed, named by their content, brought to the cluster.

    debian (mmdebstrap, or Docker's debian:bookworm-slim)
      └ base (Python) ── builder (pip; left behind)
          └ operator  reader  runtime  serving      requirements first, our code as the last thin layer
    store (one static binary, nothing else)

An image's tag is `dev-<12 digits of its content>`. So `imagePullPolicy: IfNotPresent` is right: new code is a new name, and
unchanged code restarts nothing. `.cluster/images.json` says which names are current, for the chart's values:

    {"operator": {"image": "flywheel.local/operator:dev-3f9a1c0b2d4e", "digest": "sha256:…"}, "runtime": …}

`.cluster/image-values.json` names them by digest, as `helm --values` takes it.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import buildah, golang, lock, paths
from e2e.cluster.files import write_if_changed
from e2e.cluster.paths import CHECKOUT, IMAGE_VALUES, IMAGES
from e2e.cluster.progress import Failure, announce, step

REPOSITORY = "flywheel.local"
DOCKERFILES = CHECKOUT / "images"
BASE_TARGETS = ("base", "builder")


@dataclass(frozen=True)
class Image:
    """`inputs` are all the files and folders (from the repository's root) that decide the image's content."""

    name: str
    inputs: tuple[str, ...]


PYTHON_IMAGES = (
    Image("operator", ("images/operator/Dockerfile", "requirements/operator.txt", "operator/flywheel")),
    Image("serving", ("images/serving/Dockerfile", "requirements/serving.txt", "images/serving/flywheel_serving")),
    Image("reader", ("images/reader/Dockerfile", "requirements/reader.txt", "images/reader/flywheel_reader")),
    Image(
        "runtime",
        (
            "images/runtime/Dockerfile",
            "requirements/runtime.txt",
            "images/runtime/flywheel_runtime",
            "images/runtime/flywheel_runtime.dist-info",
        ),
    ),
)
STORE = Image("store", ("images/store/Dockerfile",))
IMAGES_OF_OURS = (*PYTHON_IMAGES, STORE)


def content_key(inputs: Iterable[Path], *further: str) -> str:
    """Twelve digits of the content of all files, and of their names below each path; caches and bytecode are no content."""
    digest = hashlib.sha256("\0".join(further).encode())
    for path in inputs:
        if not path.exists():
            raise Failure(f"The image's input {path} does not exist; create it, or correct e2e/cluster/images.py")
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(path)}\0{file.stat().st_mode & 0o111:o}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def base_key() -> str:
    return content_key([DOCKERFILES / "base" / "Dockerfile"])


def image_name(name: str, key: str) -> str:
    return f"{REPOSITORY}/{name}:dev-{key}"


def current_name(image: Image) -> str:
    """What the image is called as the checkout stands now, built or not."""
    inputs = [CHECKOUT / path for path in image.inputs]
    if image == STORE:
        return image_name("store", content_key(inputs, golang.binary(golang.VERSITYGW).parent.name))
    return image_name(image.name, content_key(inputs, base_key()))


def build_arguments() -> dict[str, str]:
    return {target.upper(): image_name(target, base_key()) for target in BASE_TARGETS}


def context(image: Image) -> Path:
    return golang.build(golang.VERSITYGW).parent if image == STORE else CHECKOUT


def build_natively() -> None:
    build_bases_natively()
    with exclusive_build(), buildah.storage_mounted():
        for image in IMAGES_OF_OURS:
            name = current_name(image)
            if not buildah.has(name):
                with step(f"{image.name} image"):
                    arguments = {} if image == STORE else build_arguments()
                    buildah.build(name, DOCKERFILES / image.name / "Dockerfile", context(image), arguments)


def build_bases_natively() -> None:
    with exclusive_build(), buildah.storage_mounted():
        for target in BASE_TARGETS:
            name = image_name(target, base_key())
            if not buildah.has(name):
                debian = buildah.debian()
                with step(f"{target} image"):
                    dockerfile = DOCKERFILES / "base" / "Dockerfile"
                    buildah.build(name, dockerfile, dockerfile.parent, {"DEBIAN": debian}, target=target)


def exclusive_build() -> AbstractContextManager[None]:
    return lock.exclusive_lock(build_lock(), "The store of built images")


def build_lock() -> Path:
    return paths.cache() / "images.lock"


def unmount_if_idle() -> None:
    """What a killed build left mounted; a build of another checkout is left in peace."""
    if build_lock().exists() and not lock.is_held(build_lock()):
        buildah.unmount()


def remember(digests: dict[str, str]) -> None:
    """`digests` by the image's full name; empty where the cluster does not tell (kind)."""
    known = {image.name: current_name(image) for image in IMAGES_OF_OURS}
    described = {short: {"image": name, "digest": digests.get(name, "")} for short, name in known.items()}
    write_if_changed(IMAGES, json.dumps(described, indent=1) + "\n")
    values = {
        short: {"repository": name.rpartition(":")[0], "digest": digests.get(name, "")} for short, name in known.items()
    }
    if all(one["digest"] for one in values.values()):
        write_if_changed(IMAGE_VALUES, json.dumps({"images": values}, indent=1) + "\n")
        for one in values.values():
            announce(f"{one['repository']}@{one['digest']}")


def recorded() -> dict[str, dict[str, str]]:
    if not IMAGES.exists():
        raise Failure(f"The images are not built yet ({IMAGES} does not exist); run 'python3 -m e2e.cluster images'")
    described: dict[str, dict[str, str]] = json.loads(IMAGES.read_text())
    return described
