"""Which cluster, and what every later step (demo, tests, benchmarks) needs to know of it, whatever kind it is.

CLUSTER=auto      kind if a Docker engine answers, else native (the default)
CLUSTER=kind      kind, in Docker
CLUSTER=native    real Kubernetes built from package registries; needs root
CLUSTER=current   the kubeconfig's current context ($KUBECONFIG, or ~/.kube/config)
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from e2e.cluster import golang
from e2e.cluster.files import write_if_changed
from e2e.cluster.paths import AUDIT_LOG, DESCRIPTION, DOT_CLUSTER, KUBECONFIG, STORE_ENV
from e2e.cluster.progress import Failure

Kind = Literal["kind", "native", "current"]
STORE_NODE_PORT = 30900


@dataclass(frozen=True)
class Cluster:
    kind: Kind

    @property
    def kubeconfig(self) -> Path:
        if self.kind != "current":
            return KUBECONFIG
        return Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")

    @property
    def audit_log(self) -> Path | None:
        """Where every request to the API server is written down; None where the cluster does not show it."""
        return AUDIT_LOG if self.kind == "native" else None

    def host_address(self) -> str:
        """Where this machine reaches the cluster's NodePorts."""
        if self.kind == "kind":
            return "127.0.0.1"
        if self.kind == "native":
            from e2e.cluster import network

            return network.NODE_ADDRESS
        return first_node_address(self)

    def store_endpoint(self) -> str:
        return f"http://{self.host_address()}:{STORE_NODE_PORT}"

    def kubectl(self, *words: str, given: str | None = None, check: bool = True) -> str:
        """Runs kubectl and returns what it printed; `given` is its input, for `apply -f -`."""
        return self.run(kubectl_path(), "kubectl", words, given, check)

    def helm(self, *words: str, given: str | None = None, check: bool = True) -> str:
        return self.run(golang.build(golang.HELM), "helm", words, given, check)

    def run(self, program: Path, name: str, words: tuple[str, ...], given: str | None, check: bool) -> str:
        done = subprocess.run([program, *words], input=given, capture_output=True, text=True, env=self.environment())
        if check and done.returncode != 0:
            raise Failure(f"'{name} {' '.join(words)}' failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def environment(self) -> dict[str, str]:
        """For programs that talk to the cluster; their caches stay in the checkout as well."""
        helms = {f"HELM_{what}_HOME": str(DOT_CLUSTER / "helm" / what.lower()) for what in ("CACHE", "CONFIG", "DATA")}
        return os.environ | {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(DOT_CLUSTER / "kubectl-cache"),
            **helms,
        }


def chosen() -> Cluster:
    wish = os.environ.get("CLUSTER") or "auto"
    match wish:
        case "kind" | "native" | "current":
            return Cluster(wish)
        case "auto":
            return Cluster("kind" if docker_answers() else "native")
        case _:
            raise Failure(f"CLUSTER={wish} is no kind of cluster; choose auto, kind, native or current")


def docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=10).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def up(cluster: Cluster) -> None:
    match cluster.kind:
        case "native":
            from e2e.cluster import native

            native.up()
        case "kind":
            from e2e.cluster import kind

            kind.up()
        case "current":
            cluster.kubectl("get", "--raw", "/readyz")
    write_if_changed(DESCRIPTION, json.dumps(describe(cluster), indent=1) + "\n")


def down(cluster: Cluster, even_if_shared: bool) -> None:
    match cluster.kind:
        case "native":
            from e2e.cluster import native

            native.down(even_if_shared)
        case "kind":
            from e2e.cluster import kind

            kind.down()
        case "current":
            raise Failure("CLUSTER=current is not ours to take down; remove the release with 'helm uninstall'")
    for file in (DESCRIPTION, STORE_ENV):
        file.unlink(missing_ok=True)


def describe(cluster: Cluster) -> dict[str, str | None]:
    """`.cluster/cluster.json`: the same facts for whoever does not import this package."""
    return {
        "kind": cluster.kind,
        "kubeconfig": str(cluster.kubeconfig),
        "hostAddress": cluster.host_address(),
        "auditLog": str(cluster.audit_log) if cluster.audit_log else None,
        "kubectl": str(kubectl_path()),
        "helm": str(golang.binary(golang.HELM)),
    }


def kubectl_path() -> Path:
    """Ours, whose version is the cluster's; for kind and current the machine's will do, if there is one."""
    built = golang.binary(golang.KUBE, "kubectl")
    machines = shutil.which("kubectl")
    if built.exists() or machines is None:
        golang.build(golang.KUBE)
        return built
    return Path(machines)


def first_node_address(cluster: Cluster) -> str:
    found = cluster.kubectl(
        "get", "nodes", "-o", "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}"
    )
    return found.strip() or str(
        urlsplit(cluster.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")).hostname
    )


def write_store_env(endpoint: str, key: str, secret: str, bucket: str, region: str = "us-east-1") -> Path:
    """For programs on this machine that speak to the chart's store: `set -a; . .cluster/store.env`."""
    facts = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": region,
        "FLYWHEEL_BUCKET": bucket,
    }
    write_if_changed(STORE_ENV, "".join(f"{name}={value}\n" for name, value in facts.items()), mode=0o600)
    return STORE_ENV
