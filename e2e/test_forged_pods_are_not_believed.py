"""A pod with our labels that reports a success is refused; where it is let in, it changes nothing, since no Job of ours made it."""

import json
import time
from typing import Any

import pytest

from e2e import kube
from e2e.bad_input import resource
from e2e.kube import KubectlFailed
from e2e.manifests import CONTAINER_SECURITY, POD_SECURITY
from e2e.namespace import Namespace
from e2e.pipelines import runtime_image
from e2e.security.controls import without_policy
from e2e.waiting import wait_until

DIGEST = "sha256:" + "d" * 64  # of no artifact
REPORT = {"v": 1, "phase": "Finished", "complete": True, "outputs": {}, "metrics": {"roc_auc": 0.999}}
NOWHERE = {"nodeSelector": {"flywheel.ml/none": "such"}}  # so that the real verifier never runs
PATIENCE_SECONDS = 10  # in which a forged pod was believed before there were controls


@pytest.fixture(scope="module")
def job(namespace: Namespace) -> dict[str, Any]:
    """The verify Job of a version that nobody has verified. An editor has Kubernetes' own role in the namespace."""
    namespace.kubectl("create", "rolebinding", "editor", "--clusterrole=edit", "--user=editor")
    namespace.apply(
        resource("Model", "fraud", {"objective": {"metric": "roc_auc"}}),
        resource("ModelVersion", "fraud-1", {"model": "fraud", "source": {"artifact": {"digest": DIGEST}}, "placement": NOWHERE}),
    )  # fmt: skip
    return wait_until(lambda: next(iter(kube.list_objects("jobs", namespace.name)), None), 60, "no verify Job appears")


def forged_pod(job: dict[str, Any], name: str, *, owned: bool = False) -> dict[str, Any]:
    """A pod with the labels of the Job's own, whose containers end as those of a verification do.

    Without the Job's uid, for which its controller would adopt the pod: nothing but the policy stops that.
    """
    labels = {
        key: value
        for key, value in job["spec"]["template"]["metadata"]["labels"].items()
        if "controller-uid" not in key
    }
    metadata = {"name": name, "labels": labels}
    if owned:
        reference = {"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "controller": True}
        metadata["ownerReferences"] = [{**reference, "uid": job["metadata"]["uid"]}]
    write = f"open('/dev/termination-log', 'w').write({json.dumps(REPORT)!r})"
    containers = [
        {
            "name": each,
            "image": runtime_image(),
            "command": ["python3", "-c", code],
            "securityContext": CONTAINER_SECURITY,
        }
        for each, code in (("main", ""), ("collect", write))
    ]
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": POD_SECURITY,
        "containers": containers,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def plant(namespace: Namespace, manifest: dict[str, Any]) -> None:
    namespace.kubectl("create", "--as", "editor", "--filename", "-", stdin=json.dumps(manifest))


@pytest.mark.parametrize("owned", [False, True], ids=["no owner", "our Job as owner"])
def test_it_is_refused(namespace: Namespace, job: dict[str, Any], owned: bool) -> None:
    with pytest.raises(KubectlFailed, match="and 'editor' is none of them"):
        plant(namespace, forged_pod(job, "forged", owned=owned))


def test_a_workload_that_would_make_it_is_refused(namespace: Namespace, job: dict[str, Any]) -> None:
    pod = forged_pod(job, "forged")
    pods = {**pod["spec"], "restartPolicy": "Always"}
    template = {"metadata": {"labels": {**pod["metadata"]["labels"], "app": "forged"}}, "spec": pods}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "forged"}}, "template": template}

    with pytest.raises(KubectlFailed, match="'editor' may not create replicasets with the label"):
        plant(namespace, {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "forged"}, "spec": spec})


@pytest.mark.alone
def test_where_it_is_let_in_nobody_believes_it(namespace: Namespace, job: dict[str, Any]) -> None:
    """It runs and ends well. Its policy is removed from the whole cluster, so this story is alone."""

    def planted() -> bool:
        try:
            plant(namespace, forged_pod(job, "let-in"))
        except KubectlFailed as error:
            return "already exists" in str(error)
        return True

    with without_policy("flywheel-pods"):
        wait_until(planted, 30, "the API server still has the policy")
    wait_until(
        lambda: (namespace.get("pod", "let-in") or {})["status"].get("phase") == "Succeeded",
        120,
        lambda: str((namespace.get("pod", "let-in") or {}).get("status")),
    )
    time.sleep(PATIENCE_SECONDS)

    version, model = namespace.get("fwver", "fraud-1") or {}, namespace.get("fwmodel", "fraud") or {}
    assert kube.condition(version)["status"] != "True", kube.condition(version)
    assert "champion" not in (model.get("status") or {})
