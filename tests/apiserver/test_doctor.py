"""`flywheel doctor` on a real API server, with an installation that is only written down: each breakage is named, and nothing else."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flywheel.cli.connection import Connection
from flywheel.cli.doctor import CHECKS, inspect
from flywheel.cli.doctor.cluster_checks import check_clock, check_crds
from flywheel.cli.doctor.inspection import Finding, Installation
from flywheel.cluster.client import Client
from flywheel.cluster.credentials import configuration
from flywheel.core.resource.api import VERSION
from tests.apiserver.manifests import Kubectl
from tests.apiserver.policies import Run, policies_in
from tests.cli.sample_namespace import condition

pytestmark = pytest.mark.apiserver

NAMESPACE, SYSTEM = "doctored", "doctored-system"
READER = "reader"  # whose pod nothing runs on a bare API server


@pytest.fixture(scope="module")
def team(installed: Kubectl) -> Iterator[Run]:
    """kubectl in a namespace that has all that an installation needs."""
    with policies_in(NAMESPACE, installed, {}) as run:
        must(run, "create", "serviceaccount", "flywheel-runner")
        must(run, "create", "secret", "generic", "flywheel-store", "--from-literal=FLYWHEEL_BUCKET=flywheel")
        must(run, "create", "namespace", SYSTEM)
        for name in ("flywheel-operator", "flywheel-store", "flywheel-reader"):
            deploy(run, name)
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "flywheel-operator"}}
        must(run, "-n", SYSTEM, "create", "-f", "-", stdin=json.dumps({**lease, "spec": {"holderIdentity": "one"}}))
        yield run


def must(run: Run, *words: str, stdin: str = "") -> str:
    done = run(*words, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


def deploy(run: Run, name: str) -> None:
    """An available Deployment, without a pod."""
    environment = [{"name": "FLYWHEEL_NAMESPACES", "value": NAMESPACE}]
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "x", "env": environment}]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    must(run, "-n", SYSTEM, "apply", "-f", "-", stdin=json.dumps(body))
    set_available(run, name, 1)


def set_available(run: Run, name: str, count: int) -> None:
    status = {"status": {"replicas": count, "readyReplicas": count, "availableReplicas": count}}
    words = ("-n", SYSTEM, "patch", "deployment", name, "--subresource=status", "--type=merge")
    must(run, *words, "--patch", json.dumps(status))


def renew(run: Run, age: timedelta = timedelta()) -> None:
    when = (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    patch = json.dumps({"spec": {"renewTime": when}})
    must(run, "-n", SYSTEM, "patch", "lease", "flywheel-operator", "--type=merge", "--patch", patch)


@pytest.fixture
def broken(team: Run, apiserver: Path) -> Callable[[], list[tuple[str, str]]]:
    """Returns check and message of all that is broken, but the reader."""

    def call() -> list[tuple[str, str]]:
        client = Client(configuration({"KUBECONFIG": str(apiserver)}))
        rows = inspect(Installation(Connection(client, NAMESPACE), SYSTEM))
        assert {row["check"] for row in rows} == set(CHECKS)
        return [(row["check"], row["message"]) for row in rows if row["state"] == "bad" and row["check"] != READER]

    renew(team)
    return call


Broken = Callable[[], list[tuple[str, str]]]


def test_an_installation_that_is_complete_has_no_breakage(broken: Broken) -> None:
    assert broken() == []


@pytest.mark.parametrize(
    ("breaking", "mending", "check", "sentence"),
    [
        pytest.param(
            ("-n", SYSTEM, "scale", "deployment/flywheel-operator", "--replicas=0"),
            ("-n", SYSTEM, "scale", "deployment/flywheel-operator", "--replicas=1"),
            "operator",
            "is scaled to no replicas, so nothing is reconciled",
            id="no operator",
        ),
        pytest.param(
            ("delete", "serviceaccount", "flywheel-runner"),
            ("create", "serviceaccount", "flywheel-runner"),
            "service account",
            "so no pod of a step can start; add it to the chart's value namespaces",
            id="no account of steps",
        ),
        pytest.param(
            ("delete", "secret", "flywheel-store"),
            ("create", "secret", "generic", "flywheel-store", "--from-literal=FLYWHEEL_BUCKET=flywheel"),
            "store Secret",
            "Secret 'flywheel-store' does not exist",
            id="no Secret of the store",
        ),
        pytest.param(
            ("patch", "secret", "flywheel-store", "--type=json", "--patch", '[{"op":"remove","path":"/data/FLYWHEEL_BUCKET"}]'),
            ("patch", "secret", "flywheel-store", "--type=merge", "--patch", '{"stringData":{"FLYWHEEL_BUCKET":"flywheel"}}'),
            "store Secret",
            "has no key FLYWHEEL_BUCKET",
            id="a Secret without a bucket",
        ),
        pytest.param(
            ("-n", SYSTEM, "set", "env", "deployment/flywheel-operator", "FLYWHEEL_NAMESPACES=other"),
            ("-n", SYSTEM, "set", "env", "deployment/flywheel-operator", f"FLYWHEEL_NAMESPACES={NAMESPACE}"),
            "namespace",
            f"the operator does not watch namespace '{NAMESPACE}', but other",
            id="a namespace that is not watched",
        ),
        pytest.param(
            ("patch", "validatingadmissionpolicybinding/flywheel-exec", "--type=merge", "--patch", '{"spec":{"validationActions":["Audit"]}}'),
            ("patch", "validatingadmissionpolicybinding/flywheel-exec", "--type=merge", "--patch", '{"spec":{"validationActions":["Deny"]}}'),
            "policies",
            "'flywheel-exec' is not in force",
            id="a policy that does not deny",
        ),
    ],
)  # fmt: skip
def test_a_breakage_is_named(
    team: Run, broken: Broken, breaking: tuple[str, ...], mending: tuple[str, ...], check: str, sentence: str
) -> None:
    must(team, *breaking)
    try:
        found = broken()
    finally:
        must(team, *mending)

    assert [name for name, _message in found] == [check], found
    assert sentence in found[0][1]


def test_a_leader_that_no_longer_renews_is_named(team: Run, broken: Broken) -> None:
    renew(team, timedelta(minutes=10))

    assert [name for name, message in broken() if "renewed the Lease 6" in message] == ["leader"]


def test_a_pod_that_waits_for_an_image_is_named_once(team: Run, broken: Broken) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "not found"}
    status = [
        {
            "name": "main",
            "image": "gone:1",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"waiting": waiting},
        }
    ]
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "waits", "namespace": SYSTEM, "labels": {"app": "flywheel-store"}},
        "spec": {"containers": [{"name": "main", "image": "gone:1"}]},
    }
    must(team, "-n", SYSTEM, "create", "serviceaccount", "default")
    must(team, "-n", SYSTEM, "create", "-f", "-", stdin=json.dumps(body))
    patch = json.dumps({"status": {"containerStatuses": status}})
    must(team, "-n", SYSTEM, "patch", "pod", "waits", "--subresource=status", "--type=merge", "--patch", patch)
    set_available(team, "flywheel-store", 0)
    try:
        found = broken()
    finally:
        set_available(team, "flywheel-store", 1)

    assert [name for name, _message in found] == ["store"], found
    assert "gone:1" in found[0][1]


def test_what_the_store_answered_stands_in_conditions(team: Run, broken: Broken) -> None:
    refused = condition("Ready", "False", "CredentialsRefused", "The store refused the key; correct the Secret.")
    head = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Dataset", "metadata": {"name": "refused"}}
    must(team, "create", "-f", "-", stdin=json.dumps({**head, "spec": {"source": {"s3": {"uri": "s3://flywheel/x/"}}}}))
    patch = json.dumps({"status": {"conditions": [{**refused, "observedGeneration": 1}]}})
    must(team, "patch", "fwds", "refused", "--subresource=status", "--type=merge", "--patch", patch)
    try:
        found = broken()
    finally:
        must(team, "delete", "fwds", "refused")

    assert [name for name, _message in found] == ["store access"], found
    assert "Dataset 'refused': The store refused the key" in found[0][1]


class OldServer(Installation):
    """An API server whose CRDs are of an older release."""

    def read_json(self, path: str) -> tuple[Any, str]:
        found, date = super().read_json(path)
        if path.startswith("/openapi"):
            schemas = found["components"]["schemas"]
            del schemas[f"ml.flywheel.{VERSION}.TrainingRun"]
            del schemas[f"ml.flywheel.{VERSION}.Experiment"]["properties"]["spec"]["properties"]["pruner"]
        return found, "Thu, 01 Jan 2026 12:00:00 GMT" if path == "/version" else date


@pytest.fixture
def old(team: Run, apiserver: Path) -> Installation:
    return OldServer(Connection(Client(configuration({"KUBECONFIG": str(apiserver)})), NAMESPACE), SYSTEM)


def test_crds_that_are_missing_or_old_are_named(old: Installation) -> None:
    found = {finding.message.partition(";")[0] for finding in check_crds(old)}

    assert found == {
        "CRD 'trainingruns.flywheel.ml' is not installed",
        "CRD 'experiments.flywheel.ml' is of an older release: it lacks spec.pruner",
    }


def test_a_clock_that_differs_is_named(old: Installation) -> None:
    (found,) = check_clock(old)

    assert isinstance(found, Finding)
    assert found.state == "bad"
    assert "ahead of the API server's" in found.message
