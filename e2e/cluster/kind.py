"""The cluster for people with Docker: kind, with the same images and every later step in common with the native path."""

import os
import shutil
import subprocess

from e2e.cluster import images, paths
from e2e.cluster.paths import CHECKOUT, KUBECONFIG
from e2e.cluster.progress import Failure, run, step

NAME = "flywheel"
LOG_FOLDER = "logs"


def up() -> None:
    require("kind", "kind (a single binary; see its installation page)")
    if NAME not in kind("get", "clusters").split():
        with step("kind cluster"):
            kind("create", "cluster", "--name", NAME, "--config", str(CHECKOUT / "kind-config.yaml"), "--wait", "120s")
    KUBECONFIG.parent.mkdir(exist_ok=True)
    kind("export", "kubeconfig", "--name", NAME, "--kubeconfig", str(KUBECONFIG))


def down() -> None:
    kind("delete", "cluster", "--name", NAME, "--kubeconfig", str(KUBECONFIG))
    KUBECONFIG.unlink(missing_ok=True)


def build() -> None:
    dockerfile = images.DOCKERFILES / "base" / "Dockerfile"
    for target in images.BASE_TARGETS:
        name = images.image_name(target, images.base_key())
        docker_build(target, name, ["-f", str(dockerfile), "--target", target, str(dockerfile.parent)])
    for image in images.IMAGES_OF_OURS:
        arguments = [f"--build-arg={name}={value}" for name, value in images.build_arguments().items()]
        words = ["-f", str(images.DOCKERFILES / image.name / "Dockerfile"), *arguments, str(images.context(image))]
        docker_build(image.name, images.current_name(image), words)


def docker_build(short: str, name: str, words: list[str]) -> None:
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode == 0:
        return
    with step(f"{short} image"):
        run(["docker", "build", "-t", name, *words], paths.cache() / LOG_FOLDER / f"image-{short}.log")


def load() -> dict[str, str]:
    """kind says no digest; the name holds the content's hash anyway."""
    names = [images.current_name(image) for image in images.IMAGES_OF_OURS]
    kind("load", "docker-image", "--name", NAME, *names)
    return {}


def kind(*words: str) -> str:
    # kind would otherwise write its context into ~/.kube/config.
    environment = os.environ | {"KUBECONFIG": str(KUBECONFIG)}
    done = subprocess.run(["kind", *words], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise Failure(
            f"'kind {' '.join(words[:2])}' failed: {done.stderr.strip()[-2000:]}; look at 'docker info' and 'kind get clusters'"
        )
    return done.stdout


def require(program: str, what: str) -> None:
    if shutil.which(program) is None:
        raise Failure(f"CLUSTER=kind needs the program '{program}'; install {what}, or use CLUSTER=native as root")
