"""An API server with our CRDs and the operator's own rights, the operator beside it, and loops that reach their end."""

import re
import time
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import yaml

from e2e import audit, kube
from e2e.bench.operator import nodes, resources
from e2e.bench.operator.api import Object, Server, path
from e2e.bench.targets import cpu_seconds
from e2e.cluster import apiserver, certificates, kubeconfig
from e2e.cluster.certificates import Identity
from e2e.cluster.paths import CHECKOUT
from e2e.local_operator import LocalOperator
from e2e.waiting import wait_until
from flywheel.core.resource.api import DATASET, EXPERIMENT, INFERENCE_SERVICE, MODEL, MODEL_VERSION, Api
from flywheel.engine.discover import kinds
from generator.rbac import operator_rules, own_namespace_rules

CRDS = Api("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
NAMESPACES = Api("", "v1", "Namespace", "namespaces")
ROLES = Api("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles")
BINDINGS = Api("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings")
KINDS = (DATASET, EXPERIMENT, MODEL, MODEL_VERSION, INFERENCE_SERVICE)
WRITERS = 16
PATIENCE = 3600.0  # seconds, for a stage


class Operator(LocalOperator):
    """`python -m flywheel` as the chart would run it: its own user, its own rights."""

    def __init__(self, installation: "Installation", **more: str) -> None:
        self.port = apiserver.free_port()
        self.began = time.monotonic()
        self.began_at = datetime.now(UTC)
        super().__init__(
            {},
            installation.folder / "operator.log",
            "bench",
            self.port,
            KUBECONFIG=str(installation.operator_kubeconfig),
            **more,
        )

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its name with labels; nothing while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        return {name: float(value) for name, value in re.findall(r"^([^#\s]\S*) (\S+)$", text, re.MULTILINE)}

    def memory(self) -> dict[str, float]:
        """MiB: `peak` since the start, and `now`."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = dict(re.findall(r"^(VmHWM|VmRSS):\s+(\d+) kB$", text, re.MULTILINE))
        return {"peak": int(found["VmHWM"]) / 1024, "now": int(found["VmRSS"]) / 1024}

    def cpu(self) -> float:
        """Seconds of CPU since the start: what a busy machine does not change."""
        return cpu_seconds(self.process.pid)


class Installation:
    """One server, and what is in it."""

    def __init__(self, folder: Path, server: apiserver.Server, seen: nodes.Seen) -> None:
        self.folder = folder
        self.server = Server(server.kubeconfig)
        self.audit_log = server.audit_log
        self.operator_kubeconfig = folder / "operator.kubeconfig"
        self._install(server)
        self.nodes = nodes.Nodes(self.server, seen)
        self.nodes.start()

    def _install(self, server: apiserver.Server) -> None:
        pki = self.folder / "pki"
        certificates.issue(pki, Identity("operator", f"/O=system:serviceaccounts/CN={audit.OPERATOR}"))
        pair = certificates.pair(pki, "operator")
        kubeconfig.write(self.operator_kubeconfig, server.url, pki / "ca.crt", "operator", pair)
        for name in ("flywheel-system", resources.NAMESPACE):
            self.server.apply(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        rules = [rule.manifest() for rule in (*operator_rules(kinds()), *own_namespace_rules())]
        named = {"apiVersion": ROLES.api_version, "metadata": {"name": "operator"}}
        self.server.apply(ROLES, {**named, "kind": ROLES.kind, "rules": rules})
        reference = {"apiGroup": ROLES.group, "kind": ROLES.kind, "name": "operator"}
        subjects = [{"apiGroup": ROLES.group, "kind": "User", "name": audit.OPERATOR}]
        self.server.apply(BINDINGS, {**named, "kind": BINDINGS.kind, "roleRef": reference, "subjects": subjects})
        for file in sorted((CHECKOUT / "crds").glob("*.yaml")):
            crd = yaml.safe_load(file.read_text())
            self.server.apply(CRDS, crd)
            name = crd["metadata"]["name"]
            wait_until(partial(self._is_served, name), 30, f"CRD '{name}' is not served")

    def _is_served(self, name: str) -> bool:
        crd = self.server.request("GET", path(CRDS, None, name))
        return any(
            each["type"] == "Established" and each["status"] == "True"
            for each in (crd.get("status") or {}).get("conditions") or ()
        )

    def apply(self, manifests: Iterable[tuple[Api, Object]]) -> None:
        """All of them, 16 at a time."""
        with ThreadPoolExecutor(WRITERS) as pool:
            for _ in pool.map(lambda pair: self.server.apply(*pair), manifests):
                pass

    def ready(self, api: Api) -> int:
        """How many of a kind are Ready."""
        return sum(
            kube.condition(each).get("status") == "True" for each in self.server.listed(api, resources.NAMESPACE)
        )

    def wait(self, counts: dict[Api, int]) -> None:
        """Until so many of each kind are Ready."""
        for api, count in counts.items():
            pause = max(1.0, count / 500)  # counting costs the server time
            wait_until(partial(self._are_ready, api, count), PATIENCE, f"not all {count} {api.plural} are Ready", pause)

    def _are_ready(self, api: Api, count: int) -> bool:
        return self.ready(api) >= count

    def grow(self, loops: int) -> None:
        """So many loops, all of them to Ready; an operator must run. In stages, so that nobody waits for another."""
        self.apply((DATASET, resources.dataset(number)) for number in range(loops))
        self.wait({DATASET: loops})
        self.apply((EXPERIMENT, resources.experiment(number)) for number in range(loops))
        self.wait(dict.fromkeys((EXPERIMENT, MODEL_VERSION, MODEL), loops))
        self.apply((INFERENCE_SERVICE, resources.loop_service(number)) for number in range(loops))
        self.wait(dict.fromkeys(KINDS, loops))

    def writes(self, since: datetime) -> list[str]:
        """The operator's writes since then, Lease renewals left out."""
        return [audit.describe_write(entry) for entry in audit.writes(since, log=self.audit_log)]


@contextmanager
def running(folder: Path, seen: nodes.Seen = lambda _event, _deployment: None) -> Iterator[Installation]:
    """A fresh server with nodes that are played; it ends, and its data with it."""
    with apiserver.running(folder) as server:
        yield Installation(folder, server, seen)
