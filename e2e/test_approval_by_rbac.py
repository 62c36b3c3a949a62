"""Who may not approve is refused with the role that is missing; who may, promotes; an approval of other bytes is void; what is served stays."""

import hashlib
import json
from typing import Any

import pytest

from e2e import kube
from e2e.kube import KubectlFailed
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.waiting import wait_until

MODEL = """
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: fraud}
spec: {objective: {metric: roc_auc}, promotion: Approval}
---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: fraud}
spec: {model: fraud, auth: {none: {}}}
"""
VERSION = """
apiVersion: flywheel.ml/v1alpha1
kind: ModelVersion
metadata: {name: %(name)s}
spec:
  model: fraud
  source: {s3: {uri: "%(uri)s"}, sha256: "%(sha256)s"}
  metrics: {roc_auc: "%(roc_auc)s"}
  lineage: {datasetDigest: "sha256:1111111111111111111111111111111111111111111111111111111111111111"}
"""


@pytest.fixture(scope="module")
def team(namespace: Namespace) -> Namespace:
    """jane may approve, joe may edit; two versions are verified and wait."""
    for user, role in (
        ("jane", "flywheel-approver"),
        ("jane", "flywheel-view"),
        ("joe", "flywheel-edit"),
        ("joe", "flywheel-view"),
    ):
        namespace.kubectl("create", "rolebinding", f"{user}-{role}", f"--clusterrole={role}", f"--user={user}")
    namespace.apply(MODEL)
    bring(namespace, "fraud-1", [1.0, 2.0], "0.71")
    return namespace


def bring(namespace: Namespace, name: str, weights: list[float], roc_auc: str) -> None:
    model = linear(weights)
    uri, sha256 = namespace.upload(f"{name}.onnx", model), hashlib.sha256(model).hexdigest()
    namespace.apply(VERSION % {"name": name, "uri": uri, "sha256": sha256, "roc_auc": roc_auc})
    namespace.wait("fwver", name)
    wait_until(
        lambda: verdict(namespace, name) == "AwaitingApproval", 60, lambda: f"{name}: {verdict(namespace, name)}"
    )


def model(namespace: Namespace) -> dict[str, Any]:
    found: dict[str, Any] = (namespace.get("fwmodel", "fraud") or {}).get("status") or {}
    return found


def verdict(namespace: Namespace, version: str) -> str | None:
    return next(
        (each["verdict"] for each in model(namespace).get("candidates") or [] if each["version"] == version), None
    )


def approve(namespace: Namespace, version: str, who: str, digest: str | None = None) -> None:
    """As that user would."""
    own = (namespace.get("fwver", version) or {})["status"]["digest"]
    approval = {"by": who, "digest": digest or own, "reason": "ticket 214"}
    patch = json.dumps({"spec": {"approval": approval}})
    namespace.kubectl("patch", "fwver", version, "--as", who, "--type", "merge", "--patch", patch)


def test_no_version_is_champion_before_its_approval(team: Namespace) -> None:
    condition = team.wait("fwmodel", "fraud", ready="False", reason="AwaitingApproval")

    assert "kubectl patch fwver fraud-1" in condition["message"]
    assert "champion" not in model(team)


def test_who_may_only_edit_is_refused(team: Namespace) -> None:
    with pytest.raises(
        KubectlFailed, match=r"user 'joe' may not write spec\.approval; bind ClusterRole flywheel-approver"
    ):
        approve(team, "fraud-1", "joe")


def test_an_approval_of_other_bytes_is_void(team: Namespace) -> None:
    approve(team, "fraud-1", "jane", digest="sha256:" + "7" * 64)

    wait_until(
        lambda: "The approval of 'jane' is void" in kube.condition(team.get("fwver", "fraud-1")).get("message", ""),
        60,
        lambda: str(kube.condition(team.get("fwver", "fraud-1"))),
    )
    assert verdict(team, "fraud-1") == "AwaitingApproval"


def test_who_may_approve_promotes_and_it_is_served(team: Namespace) -> None:
    approve(team, "fraud-1", "jane")

    team.wait("fwmodel", "fraud")
    team.wait("fwsvc", "fraud")
    [reign] = model(team)["history"]
    assert (reign["version"], reign["approvedBy"]) == ("fraud-1", "jane")
    assert "approved by 'jane' (ticket 214)" in reign["message"]


def test_a_better_version_waits_and_a_pin_does_not_bypass_the_approval(team: Namespace) -> None:
    bring(team, "fraud-2", [1.0, 3.0], "0.78")

    assert model(team)["champion"] == "fraud-1"
    with pytest.raises(KubectlFailed, match="user 'joe' may not pin a champion"):
        team.kubectl(
            "patch", "fwmodel", "fraud", "--as", "joe", "--type", "merge", "--patch", '{"spec":{"champion":"fraud-2"}}'
        )
    approve(team, "fraud-2", "jane")
    wait_until(lambda: model(team).get("champion") == "fraud-2", 60, lambda: str(model(team)))


def test_what_is_served_cannot_be_deleted(team: Namespace) -> None:
    served = wait_until(
        lambda: (team.get("fwver", "fraud-2") or {})["status"].get("servedBy"),
        180,
        lambda: str((team.get("fwver", "fraud-2") or {}).get("status")),
    )

    assert served == ["fraud"]
    with pytest.raises(KubectlFailed, match="ModelVersion 'fraud-2' is served by InferenceService 'fraud'"):
        team.kubectl("delete", "fwver", "fraud-2", "--as", "joe")
    team.kubectl("delete", "fwsvc", "fraud")
    wait_until(
        lambda: not (team.get("fwver", "fraud-2") or {})["status"].get("servedBy"),
        60,
        lambda: str((team.get("fwver", "fraud-2") or {}).get("status")),
    )
    team.kubectl("delete", "fwver", "fraud-2", "--as", "joe")


def test_versions_go_with_their_model_where_it_says_so(team: Namespace) -> None:
    def owners() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (team.get("fwver", "fraud-1") or {})["metadata"].get("ownerReferences") or []
        return found

    assert not owners()
    team.kubectl("patch", "fwmodel", "fraud", "--type", "merge", "--patch", '{"spec":{"deletionPolicy":"Delete"}}')
    wait_until(owners, 60, lambda: str(team.get("fwver", "fraud-1")))
    team.kubectl("delete", "fwmodel", "fraud")

    wait_until(lambda: team.get("fwver", "fraud-1") is None, 60, lambda: str(team.get("fwver", "fraud-1")))
