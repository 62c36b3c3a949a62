"""The chart's policies on a real API server: who may approve, in whose name, and what cannot be deleted."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from e2e.cluster import golang
from flywheel.kinds.model.observe import Version
from flywheel.kinds.model.promotion.eligibility import approval_command
from tests.apiserver.manifests import Kubectl
from tests.apiserver.policies import Run, policies_in

pytestmark = pytest.mark.apiserver

NAMESPACE = "approvals"
DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def version(name: str, **spec: Any) -> str:
    source = {"artifact": {"digest": DIGEST}}
    body = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "ModelVersion", "metadata": {"name": name}}
    return yaml.safe_dump({**body, "spec": {"model": "fraud", "source": source, **spec}})


def approval(by: str, digest: str = DIGEST) -> dict[str, str]:
    return {"by": by, "digest": digest, "reason": "ticket 214"}


@pytest.fixture(scope="module")
def team(installed: Kubectl) -> Iterator[Run]:
    """kubectl in a namespace with jane, who may approve, and joe, who may edit."""
    users = {"jane": ("flywheel-approver", "flywheel-view"), "joe": ("flywheel-edit", "flywheel-view")}
    with policies_in(NAMESPACE, installed, users) as run:
        # eve has Kubernetes' right to delete, and not the verb approve.
        verbs = ("--verb=get,list,delete,deletecollection", "--resource=models.flywheel.ml")
        assert run("create", "role", "deleter", *verbs).returncode == 0
        assert run("create", "rolebinding", "deleter", "--role=deleter", "--user=eve").returncode == 0
        yield run


def approve(team: Run, name: str, who: str, *, by: str | None = None, digest: str = DIGEST) -> CompletedProcess[str]:
    patch = json.dumps({"spec": {"approval": approval(by or who, digest)}})
    return team("patch", "fwver", name, "--as", who, "--type", "merge", "--patch", patch)


@pytest.fixture
def made(team: Run, request: pytest.FixtureRequest) -> str:
    """The name of a version of the test's own."""
    name: str = request.node.name.partition("[")[0].replace("_", "-")[:40].strip("-")
    done = team("create", "--as", "joe", "-f", "-", stdin=version(name))
    assert done.returncode == 0, done.stderr
    return name


def test_who_may_only_edit_is_refused_with_the_role_that_is_missing(team: Run, made: str) -> None:
    answer = approve(team, made, "joe")

    assert answer.returncode != 0
    assert "user 'joe' may not write spec.approval; bind ClusterRole flywheel-approver" in answer.stderr


def test_who_may_approve_does_and_may_take_it_back(team: Run, made: str) -> None:
    given = approve(team, made, "jane")
    removal = ("patch", "fwver", made, "--type", "json", "--patch", '[{"op": "remove", "path": "/spec/approval"}]')
    refused, taken = team(*removal, "--as", "joe"), team(*removal, "--as", "jane")

    assert given.returncode == 0, given.stderr
    assert "may not write spec.approval" in refused.stderr
    assert taken.returncode == 0, taken.stderr


def test_the_command_of_the_models_message_approves(team: Run, made: str, apiserver: Path) -> None:
    uid = team("get", "fwver", made, "-o", "jsonpath={.metadata.uid}").stdout
    asked = Version(made, uid, "2026-01-01T00:00:00Z", ready=True, digest=DIGEST, namespace=NAMESPACE)
    command = approval_command(asked, "").partition(": ")[2]
    environment = {"PATH": f"{Path(golang.kubectl()).parent}:{os.environ['PATH']}", "KUBECONFIG": str(apiserver)}

    done = subprocess.run(
        ["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    given = json.loads(team("get", "fwver", made, "-o", "json").stdout)["spec"]["approval"]
    assert (given["digest"], given["reason"]) == (DIGEST, "REASON")
    assert given["by"]


def test_nobody_approves_in_anothers_name(team: Run, made: str) -> None:
    answer = approve(team, made, "jane", by="the-boss")

    assert "spec.approval.by is 'the-boss', and you are 'jane'; set it to your own user name" in answer.stderr


def test_an_approved_version_cannot_be_created_without_the_verb(team: Run) -> None:
    answer = team("create", "--as", "joe", "-f", "-", stdin=version("born-approved", approval=approval("joe")))

    assert "user 'joe' may not write spec.approval" in answer.stderr


def test_who_may_only_edit_changes_everything_else_of_an_approved_version(team: Run, made: str) -> None:
    assert approve(team, made, "jane").returncode == 0

    answer = team("patch", "fwver", made, "--as", "joe", "--type", "merge", "--patch", '{"spec": {"archived": true}}')
    changed = approve(team, made, "joe", by="jane", digest=OTHER)

    assert answer.returncode == 0, answer.stderr
    assert "user 'joe' may not write spec.approval" in changed.stderr


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"champion": "fraud-2"}, id="a pin"),
        pytest.param({"promotion": "Auto"}, id="an end of approvals"),
        pytest.param({"rollback": {"when": ["Errors"], "monitors": ["joes"]}}, id="a rollback by another monitor"),
    ],
)
def test_approval_cannot_be_gone_around_by_the_model(team: Run, change: dict[str, Any]) -> None:
    model = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Model", "metadata": {"name": "fraud"}}
    made = team("apply", "-f", "-", stdin=yaml.safe_dump({**model, "spec": {"promotion": "Approval"}}))
    assert made.returncode == 0, made.stderr
    words = ("patch", "fwmodel", "fraud", "--type", "merge", "--dry-run=server")
    patch = ("--patch", json.dumps({"spec": change}))

    refused, allowed = (
        team(*words, *patch, "--as", "joe"),
        team(*words, *patch, "--as", "jane-admin", "--as-group", "system:masters"),
    )
    other = team(*words, "--patch", '{"spec": {"owner": "joe"}}', "--as", "joe")

    assert (
        "user 'joe' may not pin a champion or change spec.rollback or spec.promotion of a Model with promotion: Approval"
        in refused.stderr
    )
    assert allowed.returncode == 0, allowed.stderr
    assert other.returncode == 0, other.stderr


def test_only_an_approver_deletes_a_model_with_approvals(team: Run) -> None:
    model = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Model", "metadata": {"name": "deleted"}}
    made = team("create", "-f", "-", stdin=yaml.safe_dump({**model, "spec": {"promotion": "Approval"}}))
    assert made.returncode == 0, made.stderr
    words = ("delete", "fwmodel", "deleted", "--as")

    not_by_edit = team(*words, "joe")
    refused = team(*words, "eve", "--as-group", "eves")
    deleted = team(*words, "jane")

    assert "cannot delete resource" in not_by_edit.stderr
    assert (
        "user 'eve' may not delete a Model with promotion: Approval; bind ClusterRole flywheel-approver"
        in refused.stderr
    )
    assert deleted.returncode == 0, deleted.stderr


@pytest.mark.parametrize("many", [False, True], ids=["one", "all of them"])
def test_a_model_without_approvals_is_deleted_by_whoever_may_delete(team: Run, many: bool) -> None:
    model = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Model", "metadata": {"name": "auto", "labels": {"a": "b"}}}
    assert team("create", "-f", "-", stdin=yaml.safe_dump({**model, "spec": {}})).returncode == 0

    done = team("delete", "fwmodel", *(("-l", "a=b") if many else ("auto",)), "--as", "eve", "--as-group", "eves")

    assert done.returncode == 0, done.stderr


def test_a_deletion_of_all_models_spares_those_with_approvals(team: Run) -> None:
    model = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Model", "metadata": {"name": "spared"}}
    made = team("create", "-f", "-", stdin=yaml.safe_dump({**model, "spec": {"promotion": "Approval"}}))
    assert made.returncode == 0, made.stderr

    path = f"/apis/flywheel.ml/v1alpha1/namespaces/{NAMESPACE}/models"
    refused = team("delete", "--raw", path, "--as", "eve", "--as-group", "eves")

    assert "user 'eve' may not delete a Model with promotion: Approval" in refused.stderr
    assert team("get", "fwmodel", "spared").returncode == 0


def test_a_version_that_is_scored_with_cannot_be_deleted_and_is_told_by_whom(team: Run, made: str) -> None:
    words = ("patch", "fwver", made, "--subresource=status", "--type", "merge", "--patch")
    told = team(*words, json.dumps({"status": {"scoredBy": ["nightly"]}}))
    assert told.returncode == 0, told.stderr

    refused = team("delete", "fwver", made, "--as", "joe")
    freed = team(*words, '{"status": {"scoredBy": []}}')

    assert f"BatchInference 'nightly' scores with ModelVersion '{made}'; wait until it has finished" in refused.stderr
    assert freed.returncode == 0, freed.stderr


def test_a_served_version_cannot_be_deleted_and_is_told_by_whom(team: Run, made: str) -> None:
    serve = json.dumps({"status": {"servedBy": ["checkout", "search"]}})
    told = team("patch", "fwver", made, "--subresource=status", "--type", "merge", "--patch", serve)
    assert told.returncode == 0, told.stderr

    refused = team("delete", "fwver", made, "--as", "joe")
    freed = team(
        "patch", "fwver", made, "--subresource=status", "--type", "merge", "--patch", '{"status": {"servedBy": []}}'
    )
    gone = team("delete", "fwver", made, "--as", "joe")

    assert (
        f"ModelVersion '{made}' is served by InferenceService 'checkout', 'search'; change the version it serves"
        in refused.stderr
    )
    assert freed.returncode == 0, freed.stderr
    assert gone.returncode == 0, gone.stderr
