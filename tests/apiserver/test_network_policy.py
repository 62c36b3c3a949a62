"""The network policy of docs/security.md, on a real API server: it is taken as it stands, and selects the pods that Flywheel truly makes."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from flywheel.core.resource.ownership import with_owner
from flywheel.core.settings import Settings
from flywheel.engine import discover
from tests.apiserver.manifests import Kubectl, find_lost
from tests.documents import documents
from tests.rendered_chart import KEY, one, template
from tests.simulation import resource

pytestmark = pytest.mark.apiserver

NAMESPACE = "network-policy"
POLICY = next(
    found
    for where, text in documents()
    if where.startswith("docs/security.md") and (found := yaml.safe_load(text))["kind"] == "NetworkPolicy"
)


def templates() -> Iterator[tuple[str, dict[str, str]]]:
    """The kind of each workload that the examples' resources would have, and the labels of its pods."""
    kinds = {kind.api.kind: kind for kind in discover.kinds()}
    for where, text in documents():
        manifest = yaml.safe_load(text)
        kind = kinds.get(manifest["kind"])
        if where.startswith("crds/examples/") and kind is not None and kind.preview is not None:
            owner = resource(kind, manifest["metadata"]["name"], manifest["spec"])
            for child in kind.preview(owner, Settings()):
                if child.api.kind in ("Job", "Deployment"):
                    body = with_owner(owner, child)
                    yield child.api.kind, body["spec"]["template"]["metadata"]["labels"]


@pytest.fixture(scope="module")
def pods(installed: Kubectl) -> dict[str, str]:
    """The kind of workload of each pod by its name; the pods are on the API server."""
    installed("create", "namespace", NAMESPACE)
    made, bodies = {}, []
    for number, (kind, labels) in enumerate(templates()):
        name = f"pod-{number}"
        made[name] = kind
        metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
        spec = {"automountServiceAccountToken": False, "containers": [{"name": "main", "image": "main"}]}
        bodies.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    installed("create", "serviceaccount", "default", "--namespace", NAMESPACE)  # no controller makes it here
    done = installed("create", "-f", "-", stdin=yaml.safe_dump_all(bodies))
    assert done.returncode == 0, done.stderr
    return made


def select(kubectl: Kubectl, selector: dict[str, Any]) -> set[str]:
    """The names of the pods that the API server finds by a label selector."""
    assert all(each["operator"] == "Exists" for each in selector.get("matchExpressions", ()))
    words = [f"{key}={value}" for key, value in selector.get("matchLabels", {}).items()]
    words += [each["key"] for each in selector.get("matchExpressions", ())]
    done = kubectl("get", "pods", "--namespace", NAMESPACE, "--selector", ",".join(words), "-o", "name")
    assert done.returncode == 0, done.stderr
    return {line.removeprefix("pod/") for line in done.stdout.split()}


def test_it_is_stored_as_it_stands(installed: Kubectl, pods: dict[str, str]) -> None:
    policy = {**POLICY, "metadata": {**POLICY["metadata"], "namespace": NAMESPACE}}

    done = installed(
        "apply", "--server-side", "--validate=strict", "-o", "json", "-f", "-", stdin=yaml.safe_dump(policy)
    )

    assert done.returncode == 0, done.stderr
    assert find_lost(policy, yaml.safe_load(done.stdout)) == []


def test_it_is_for_the_pods_of_jobs_and_for_no_server(installed: Kubectl, pods: dict[str, str]) -> None:
    assert {"Job", "Deployment"} <= set(pods.values())

    found = select(installed, POLICY["spec"]["podSelector"])

    assert found == {name for name, kind in pods.items() if kind == "Job"}


def test_step_pods_reach_each_other_the_servers_and_the_charts_store(installed: Kubectl, pods: dict[str, str]) -> None:
    egress = POLICY["spec"]["egress"]
    _, store, _, flywheel, _ = egress
    deployment = one(template(*KEY), "Deployment", "flywheel-store")
    pod = deployment["spec"]["template"]

    assert select(installed, flywheel["to"][0]["podSelector"]) == set(pods)
    assert select(installed, POLICY["spec"]["ingress"][0]["from"][0]["podSelector"]) <= set(pods)
    assert find_lost(store["to"][0]["podSelector"]["matchLabels"], pod["metadata"]["labels"]) == []
    assert store["to"][0]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": deployment["metadata"]["namespace"]
    }
    ports = [port["containerPort"] for container in pod["spec"]["containers"] for port in container["ports"]]
    assert store["ports"][0]["port"] in ports


def test_everything_else_is_denied() -> None:
    spec = POLICY["spec"]

    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert all(rule.get("to") for rule in spec["egress"])
    assert all(rule.get("from") for rule in spec["ingress"])
    open_blocks = [to["ipBlock"]["cidr"] for rule in spec["egress"] for to in rule["to"] if "ipBlock" in to]
    assert open_blocks == ["10.96.0.1/32", "203.0.113.0/24"]  # the API server, and what the user declares
