"""Images that one end-to-end test needs: built and loaded into the cluster when that test runs."""

from collections.abc import Mapping
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
    runtime = images.recorded()["runtime"]["image"]
    name = images.image_name(short, images.content_key([FOLDER / short], runtime, images.base_key()))
    arguments = {"RUNTIME": runtime, **images.build_arguments()}
    build_and_load(name, FOLDER / short / "Dockerfile", FOLDER / short, arguments)
    return name


def build_and_load(name: str, dockerfile: Path, context: Path, arguments: Mapping[str, str]) -> None:
    """Build an image unless it is built, and load it into the cluster.

    Raises:
        Failure: it cannot be built, or this cluster takes no images.
    """
    short = name.rpartition("/")[2].partition(":")[0]
    match cluster.chosen().kind:
        case "current":
            raise Failure("CLUSTER=current has no way to take images; run this test with CLUSTER=kind or native")
        case "kind":
            given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
            kind.docker_build(short, name, ["-f", str(dockerfile), *given, str(context)])
            kind.kind("load", "docker-image", "--name", kind.NAME, name)
        case "native":
            with images.exclusive_build(), buildah.storage_mounted():
                if not buildah.has(name):
                    with step(f"{short} image"):
                        buildah.build(name, dockerfile, context, arguments)
            containerd.load((name,))
