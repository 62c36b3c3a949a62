"""Images that one end-to-end test needs: built and loaded into the cluster when that test runs."""

from pathlib import Path

from e2e.cluster import buildah, cluster, containerd, images, kind
from e2e.cluster.paths import CHECKOUT
from e2e.cluster.progress import Failure, step

FOLDER = CHECKOUT / "e2e" / "images"


def ensure_image(short: str) -> str:
    """The name of the image of `e2e/images/<short>/`, which stands on our runtime; in the cluster when this returns.

    Raises:
        Failure: it cannot be built, or this cluster takes no images.
    """
    picked = cluster.chosen().kind
    if picked == "current":
        raise Failure("CLUSTER=current has no way to take images; run this test with CLUSTER=kind or native")
    runtime = images.recorded()["runtime"]["image"]
    name = images.image_name(short, images.content_key([FOLDER / short], runtime, images.base_key()))
    dockerfile, arguments = FOLDER / short / "Dockerfile", {"RUNTIME": runtime, **images.build_arguments()}
    if picked == "kind":
        given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        kind.docker_build(short, name, ["-f", str(dockerfile), *given, str(dockerfile.parent)])
        kind.kind("load", "docker-image", "--name", kind.NAME, name)
    else:
        _build_natively(short, name, dockerfile, arguments)
    return name


def _build_natively(short: str, name: str, dockerfile: Path, arguments: dict[str, str]) -> None:
    with images.exclusive_build(), buildah.storage_mounted():
        if not buildah.has(name):
            with step(f"{short} image"):
                buildah.build(name, dockerfile, dockerfile.parent, arguments)
    containerd.load((name,))
