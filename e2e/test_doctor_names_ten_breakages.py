"""`flywheel doctor` on an installation that is broken on purpose, in one way after another: each is named with what to do, and no other is."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e import kube
from e2e.cluster import cluster
from e2e.namespace import RUNNER, STORE_SECRET, Namespace
from e2e.waiting import wait_until
from flywheel.cli import main

pytestmark = pytest.mark.alone

SYSTEM = "flywheel-system"
OPERATOR = "deployment/flywheel-operator"
POLICY_BINDING = "validatingadmissionpolicybinding/flywheel-exec"
Breakage = Callable[[Namespace], AbstractContextManager[None]]
Doctor = Callable[[], list[dict[str, str]]]


def system(*words: str, stdin: str | None = None) -> str:
    return kube.kubectl("--namespace", SYSTEM, *words, stdin=stdin)


@contextmanager
def scaled_to_none(name: str) -> Iterator[None]:
    replicas = system("get", name, "--output", "jsonpath={.spec.replicas}")
    system("scale", name, "--replicas=0")
    wait_until(lambda: not system("get", name, "--output", "jsonpath={.status.replicas}"), 90, f"{name} still has pods")
    try:
        yield
    finally:
        system("scale", name, f"--replicas={replicas}")
        system("rollout", "status", name, "--timeout=180s")


def no_operator(_namespace: Namespace) -> AbstractContextManager[None]:
    return scaled_to_none(OPERATOR)


@contextmanager
def a_leader_that_is_gone(_namespace: Namespace) -> Iterator[None]:
    """What a leader leaves whose node was lost: its name in the Lease, and nobody renews it."""
    with scaled_to_none(OPERATOR):
        gone = {"spec": {"holderIdentity": "operator-of-before", "renewTime": "2026-01-01T00:00:00.000000Z"}}
        wait_until(lambda: not holder(), 60, "the operator did not release its Lease")
        system("patch", "lease", "flywheel-operator", "--type", "merge", "--patch", json.dumps(gone))
        yield


def holder() -> str:
    return system("get", "lease", "flywheel-operator", "--output", "jsonpath={.spec.holderIdentity}")


@contextmanager
def a_namespace_that_is_not_watched(_namespace: Namespace) -> Iterator[None]:
    before = system("get", OPERATOR, "--output", "json")
    value = next(
        each.get("value") or ""
        for each in json.loads(before)["spec"]["template"]["spec"]["containers"][0]["env"]
        if each["name"] == "FLYWHEEL_NAMESPACES"
    )
    system("set", "env", OPERATOR, "FLYWHEEL_NAMESPACES=flights")
    try:
        yield
    finally:
        system("set", "env", OPERATOR, f"FLYWHEEL_NAMESPACES={value}")
        system("rollout", "status", OPERATOR, "--timeout=180s")


@contextmanager
def a_policy_is_missing(_namespace: Namespace) -> Iterator[None]:
    binding = json.loads(kube.kubectl("get", POLICY_BINDING, "--output", "json"))
    kube.kubectl("delete", POLICY_BINDING)
    try:
        yield
    finally:
        binding["metadata"] = {
            key: binding["metadata"][key] for key in ("name", "labels", "annotations") if key in binding["metadata"]
        }
        kube.kubectl("create", "--filename", "-", stdin=json.dumps(binding))


@contextmanager
def deleted(namespace: Namespace, kind: str, name: str) -> Iterator[None]:
    found = namespace.get(kind, name)
    assert found is not None
    namespace.kubectl("delete", kind, name)
    found["metadata"] = {"name": name}
    try:
        yield
    finally:
        namespace.apply(found)


def no_service_account(namespace: Namespace) -> AbstractContextManager[None]:
    return deleted(namespace, "serviceaccount", RUNNER)


def no_store_secret(namespace: Namespace) -> AbstractContextManager[None]:
    return deleted(namespace, "secret", STORE_SECRET)


@contextmanager
def a_wrong_key(namespace: Namespace) -> Iterator[None]:
    namespace.apply(namespace.store_secret(AWS_SECRET_ACCESS_KEY="wrong"))
    namespace.apply(dataset("refused", f"{namespace.name}/uploads/"))
    try:
        wait_for_reason(namespace, "fwds", "refused", "CredentialsRefused")
        yield
    finally:
        namespace.kubectl("delete", "fwds", "refused")
        namespace.kubectl("delete", "secret", STORE_SECRET)
        namespace.apply(namespace.store_secret())


def dataset(name: str, path: str) -> dict[str, Any]:
    source = {"s3": {"uri": f"s3://{kube.bucket()}/{path}"}}
    return {
        "apiVersion": "flywheel.ml/v1alpha1",
        "kind": "Dataset",
        "metadata": {"name": name},
        "spec": {"source": source},
    }


@contextmanager
def an_image_that_nobody_has(namespace: Namespace) -> Iterator[None]:
    step = {"name": "first", "container": {"image": "registry.invalid/none:1", "command": ["true"]}}
    head = {"apiVersion": "flywheel.ml/v1alpha1"}
    namespace.apply({**head, "kind": "TrainingPipeline", "metadata": {"name": "no-image"}, "spec": {"steps": [step]}})
    namespace.wait("fwpipe", "no-image")
    namespace.apply({**head, "kind": "TrainingRun", "metadata": {"name": "no-image"}, "spec": {"pipeline": "no-image"}})
    try:
        wait_until(lambda: "ImagePull" in namespace.kubectl("get", "pods"), 120, "the pod waits for no image")
        yield
    finally:
        namespace.kubectl("delete", "fwrun,fwpipe", "no-image")


def wait_for_reason(namespace: Namespace, kind: str, name: str, reason: str) -> None:
    wait_until(
        lambda: kube.condition(namespace.get(kind, name)).get("reason") == reason,
        180,
        lambda: f"{kind}/{name} has {kube.condition(namespace.get(kind, name))}",
    )


@pytest.fixture
def doctor(namespace: Namespace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Returns what the command finds to be broken."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.chosen().kubeconfig))

    def call() -> list[dict[str, str]]:
        code = main(["doctor", "--namespace", namespace.name, "--output", "json"])
        bad = [each for each in json.loads(capsys.readouterr().out)["items"] if each["state"] == "bad"]
        assert (code == 1) == bool(bad)
        return bad

    return call


def test_an_installation_that_works_has_no_breakage(doctor: Doctor) -> None:
    assert doctor() == []


@pytest.mark.parametrize(
    ("breakage", "check", "sentence"),
    [
        pytest.param(no_operator, "operator", "the operator is scaled to no replicas, so nothing is reconciled", id="1 no operator"),
        pytest.param(a_leader_that_is_gone, "leader", "'operator-of-before' renewed the Lease", id="2 no leader"),
        pytest.param(a_namespace_that_is_not_watched, "namespace", "the operator does not watch namespace", id="3 not watched"),
        pytest.param(a_policy_is_missing, "policies", "'flywheel-exec' is not in force", id="4 a policy is missing"),
        pytest.param(no_service_account, "service account", "ServiceAccount 'flywheel-runner' does not exist", id="5 no account"),
        pytest.param(no_store_secret, "store Secret", "Secret 'flywheel-store' does not exist", id="6 no Secret"),
        pytest.param(a_wrong_key, "store access", "Dataset 'refused'", id="7 a wrong key"),
        pytest.param(an_image_that_nobody_has, "images", "registry.invalid/none:1", id="8 an image that nobody has"),
        pytest.param(lambda _namespace: scaled_to_none("deployment/flywheel-store"), "store", "the embedded store is scaled to no replicas", id="9 no store"),
        pytest.param(lambda _namespace: scaled_to_none("deployment/flywheel-reader"), "reader", "the reader is scaled to no replicas", id="10 no reader"),
    ],
)  # fmt: skip
def test_a_breakage_is_named(
    namespace: Namespace, doctor: Doctor, breakage: Breakage, check: str, sentence: str
) -> None:
    with breakage(namespace):
        found = doctor()

    assert [each["message"] for each in found if each["check"] == check and sentence in each["message"]], found
    # Without an operator there is no leader.
    assert {each["check"] for each in found} <= (
        {"operator", "leader"} if check in ("operator", "leader") else {check}
    ), found
    wait_until(lambda: doctor() == [], 60, "something stays broken")


def test_a_user_without_rights_learns_which_are_missing(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace.kubectl("create", "serviceaccount", "stranger")
    settings = yaml.safe_load(cluster.chosen().kubeconfig.read_text())
    settings["users"] = [
        {"name": each["name"], "user": {"token": namespace.kubectl("create", "token", "stranger").strip()}}
        for each in settings["users"]
    ]
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))

    assert main(["doctor", "--namespace", namespace.name]) == 1
    printed = capsys.readouterr().out
    assert "you may not get datasets, list datasets, create datasets, patch datasets" in printed
    assert "not checked: the API server does not let you" in printed
