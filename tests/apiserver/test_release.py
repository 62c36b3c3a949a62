"""The chart on a real API server: everything is taken, an upgrade keeps what it generated, and nobody may more than was meant."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster import golang
from e2e.waiting import wait_until
from flywheel.core.resource.names import UPGRADE_CONFIG_MAP
from tests.apiserver.manifests import Kubectl, find_lost
from tests.apiserver.policies import resource
from tests.documents import CHECKOUT

pytestmark = pytest.mark.apiserver

OPERATOR = "system:serviceaccount:flywheel-system:flywheel-operator"
SERVER = "system:serviceaccount:shop:flywheel-server"
LOCAL_REVIEWS = "localsubjectaccessreviews.authorization.k8s.io"
RUNNER = "system:serviceaccount:shop:flywheel-runner"
VALUES = ("--set", "namespaces={shop}", "--set", "createNamespaces=true", "--set", "operator.networkPolicy=true")
Helm = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def helm(apiserver: Path) -> Helm:
    """helm against the API server; the release is of this module."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command: list[str | Path] = [
            golang.build(golang.HELM),
            "--kubeconfig",
            str(apiserver),
            "--namespace",
            "flywheel-system",
            *words,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return call


@pytest.fixture(scope="module")
def release(helm: Helm, installed: Kubectl) -> Kubectl:
    """kubectl, with the chart installed. Its CRDs are left to the fixture `installed`, which owns them here."""
    done = helm(
        "install",
        "flywheel",
        str(CHECKOUT / "charts/flywheel"),
        "--create-namespace",
        "--set",
        "crds.install=false",
        *VALUES,
    )
    assert done.returncode == 0, done.stderr
    assert "These namespaces are ready: shop." in done.stdout
    return installed


def key_of(kubectl: Kubectl, namespace: str, secret: str, key: str) -> str:
    """One decoded key of a Secret."""
    data = json.loads(kubectl("-n", namespace, "get", "secret", secret, "-o", "json").stdout)["data"]
    return base64.b64decode(data[key]).decode()


def bound_results_uid(kubectl: Kubectl) -> str:
    """The uid of the ConfigMap whose creation is the time since which results are bound to Jobs."""
    words = ("-n", "flywheel-system", "get", "configmap", UPGRADE_CONFIG_MAP, "-o", "jsonpath={.metadata.uid}")
    return kubectl(*words).stdout


def test_an_upgrade_keeps_the_generated_keys(release: Kubectl, helm: Helm) -> None:
    root = key_of(release, "flywheel-system", "flywheel-store-server", "ROOT_SECRET_KEY")
    shop = key_of(release, "shop", "flywheel-store", "AWS_SECRET_ACCESS_KEY")
    bound = bound_results_uid(release)

    done = helm(
        "upgrade",
        "flywheel",
        str(CHECKOUT / "charts/flywheel"),
        "--set",
        "crds.install=false",
        *VALUES,
        "--set",
        "operator.replicas=3",
    )

    assert done.returncode == 0, done.stderr
    assert key_of(release, "flywheel-system", "flywheel-store-server", "ROOT_SECRET_KEY") == root
    assert key_of(release, "shop", "flywheel-store", "AWS_SECRET_ACCESS_KEY") == shop != root
    assert key_of(release, "shop", "flywheel-store", "AWS_ACCESS_KEY_ID") == "shop.1"
    assert bound
    assert bound_results_uid(release) == bound


def without_empty_values(manifest: dict[str, Any]) -> dict[str, Any]:
    """A Deployment without variables that have no value: an empty one is stored as none, as Argo CD knows of Kubernetes' own types."""
    if manifest["kind"] == "Deployment":
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            given = [each for each in container.get("env", ()) if each.get("value") or "valueFrom" in each]
            container |= {"env": given} if "env" in container else {}
    return manifest


def test_the_api_server_stores_every_object_of_the_chart_as_it_was_sent(release: Kubectl, helm: Helm) -> None:
    """Otherwise Argo CD, which compares the manifest with what is stored, shows the chart OutOfSync for ever."""
    manifest = helm("get", "manifest", "flywheel")
    assert manifest.returncode == 0, manifest.stderr
    sent = [each for each in yaml.safe_load_all(manifest.stdout) if each]
    assert len(sent) > 30, "this test finds no object any more"

    differing = []
    for each in map(without_empty_values, sent):
        each.pop("stringData", None)  # the API server stores it as data
        name, namespace = each["metadata"]["name"], each["metadata"].get("namespace", "flywheel-system")
        plural = f"{each['kind']}.{each['apiVersion'].rpartition('/')[0]}".rstrip(".")
        found = release("get", plural, name, "--namespace", namespace, "--output", "json")
        assert found.returncode == 0, found.stderr
        stored = json.loads(found.stdout)
        differing += [f"{each['kind']} {name} {path}" for path in find_lost(each, without_empty_values(stored))]

    assert differing == []


def test_an_upgrade_from_all_namespaces_asks_which_to_watch(release: Kubectl, helm: Helm) -> None:
    """An empty watchNamespaces meant all in releases whose ClusterRoleBinding is called flywheel-operator."""

    def upgrade(*values: str) -> subprocess.CompletedProcess[str]:
        chart = str(CHECKOUT / "charts/flywheel")
        return helm("upgrade", "flywheel", chart, "--set", "crds.install=false", *VALUES, *values)

    assert (done := upgrade("--set", "watchNamespaces={*}")).returncode == 0, done.stderr

    refused = upgrade()

    assert refused.returncode != 0
    assert "set watchNamespaces={*} to go on, or watchNamespaces={shop} to watch these alone" in refused.stderr
    assert (done := upgrade("--set", "watchNamespaces={shop}")).returncode == 0, done.stderr
    assert release("get", "clusterrolebinding", "flywheel-operator").returncode != 0
    assert (done := upgrade()).returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("who", "verb", "what", "namespace", "answer"),
    [
        pytest.param(OPERATOR, "list", "datasets.flywheel.ml", "shop", "yes", id="the operator reads what users write"),
        pytest.param(OPERATOR, "patch", "datasets.flywheel.ml/status", "shop", "yes", id="and answers"),
        pytest.param(OPERATOR, "update", "datasets.flywheel.ml", "shop", "no", id="and changes no Dataset"),
        pytest.param(OPERATOR, "approve", "modelversions.flywheel.ml", "shop", "no", id="and approves nothing"),
        pytest.param(OPERATOR, "create", "jobs.batch", "shop", "yes", id="it makes Jobs"),
        pytest.param(OPERATOR, "create", "jobs.batch", "kube-system", "no", id="but not in kube-system"),
        pytest.param(OPERATOR, "create", "deployments.apps", "flywheel-system", "no", id="nor in its own namespace"),
        pytest.param(
            OPERATOR, "delete", "serviceaccounts", "kube-system", "no", id="it deletes no ServiceAccount elsewhere"
        ),
        pytest.param(
            OPERATOR,
            "get",
            "validatingadmissionpolicies.admissionregistration.k8s.io/flywheel-pods",
            "shop",
            "yes",
            id="it reads its policies",
        ),
        pytest.param(
            OPERATOR,
            "get",
            "validatingadmissionpolicies.admissionregistration.k8s.io/other",
            "shop",
            "no",
            id="and no others",
        ),
        pytest.param(
            OPERATOR,
            "patch",
            "validatingadmissionpolicies.admissionregistration.k8s.io/flywheel-pods",
            "shop",
            "no",
            id="and changes none",
        ),
        pytest.param(OPERATOR, "get", "secrets", "shop", "no", id="it reads no Secret"),
        pytest.param(OPERATOR, "get", "secrets", "flywheel-system", "no", id="not even its own"),
        pytest.param(
            OPERATOR,
            "get",
            f"configmaps/{UPGRADE_CONFIG_MAP}",
            "flywheel-system",
            "yes",
            id="it reads since when results are bound",
        ),
        pytest.param(OPERATOR, "get", "configmaps/other", "flywheel-system", "no", id="and nothing else there"),
        pytest.param(
            OPERATOR, "patch", f"configmaps/{UPGRADE_CONFIG_MAP}", "flywheel-system", "no", id="and does not change it"
        ),
        pytest.param(OPERATOR, "create", "pods/exec", "shop", "no", id="it enters no pod"),
        pytest.param(OPERATOR, "create", "pods", "shop", "no", id="it makes no pod by hand"),
        pytest.param(
            OPERATOR,
            "update",
            "leases.coordination.k8s.io",
            "flywheel-system",
            "yes",
            id="it leads from its own namespace",
        ),
        pytest.param(OPERATOR, "update", "leases.coordination.k8s.io", "shop", "no", id="and from no other"),
        pytest.param(
            SERVER, "create", "tokenreviews.authentication.k8s.io", "shop", "yes", id="a server asks who calls"
        ),
        pytest.param(SERVER, "create", LOCAL_REVIEWS, "shop", "yes", id="and whether they may"),
        pytest.param(SERVER, "create", LOCAL_REVIEWS, "flywheel-system", "no", id="but not in another namespace"),
        pytest.param(
            SERVER, "create", "subjectaccessreviews.authorization.k8s.io", "shop", "no", id="nor about the cluster"
        ),
        pytest.param(SERVER, "get", "inferenceservices.flywheel.ml", "shop", "no", id="and reads no service"),
        pytest.param(RUNNER, "get", "pods/log", "shop", "yes", id="a step pod reads its log"),
        pytest.param(RUNNER, "get", "pods/log", "flywheel-system", "no", id="and none in another namespace"),
        pytest.param(RUNNER, "get", "pods", "shop", "no", id="and may do nothing else"),
        pytest.param(RUNNER, "get", "datasets.flywheel.ml", "shop", "no", id="not even read its Dataset"),
    ],
)
def test_rights(release: Kubectl, who: str, verb: str, what: str, namespace: str, answer: str) -> None:
    resource, _, rest = what.partition("/")
    # After a slash: a subresource, or the name of a policy or a ConfigMap.
    named = resource.startswith(("validating", "configmaps"))
    words = [what] if named else [resource, *(["--subresource", rest] if rest else [])]

    done = release("auth", "can-i", verb, *words, "--as", who, "-n", namespace)

    assert done.stdout.strip() == answer


def test_the_pods_of_the_chart_pass_pod_security_restricted(release: Kubectl, helm: Helm) -> None:
    release("label", "namespace", "flywheel-system", "pod-security.kubernetes.io/warn=restricted", "--overwrite")
    manifest = helm("get", "manifest", "flywheel").stdout

    done = release("apply", "--dry-run=server", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)

    assert done.returncode == 0, done.stderr
    assert "would violate PodSecurity" not in done.stderr


def test_the_operator_works_with_the_roles_of_its_namespaces_alone(
    release: Kubectl, apiserver: Path, tmp_path: Path
) -> None:
    config = yaml.safe_load(apiserver.read_text())
    token = release("create", "token", "flywheel-operator", "--namespace", "flywheel-system").stdout.strip()
    config["users"] = [{**each, "user": {"token": token}} for each in config["users"]]
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    settings = {
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "FLYWHEEL_NAMESPACES": "shop",
        "FLYWHEEL_HTTP": "127.0.0.1:0",
    }
    environment = {**os.environ, **settings, "POD_NAMESPACE": "flywheel-system", "POD_NAME": "by-roles"}
    spec = {"source": {"s3": {"uri": "s3://flywheel/shop/rows/"}}}
    log = tmp_path / "log"

    with log.open("w") as output:
        operator = subprocess.Popen([sys.executable, "-m", "flywheel"], env=environment, stdout=output, stderr=output)
    try:
        made = release(
            "--namespace", "shop", "create", "-f", "-", stdin=yaml.safe_dump(resource("Dataset", spec, "rows"))
        )
        assert made.returncode == 0, made.stderr
        wait_until(lambda: "rows-check-1" in release("-n", "shop", "get", "jobs").stdout, 60, log.read_text)
        assert "results of earlier releases do not count" not in log.read_text()
    finally:
        operator.terminate()
        operator.wait(30)

    assert "policy_check" not in log.read_text()  # all policies are in force, and it may see so
