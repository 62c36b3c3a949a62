"""The attacks: what a user of a namespace tries, and the control that stops it.

Three users are bound in the namespace: `tenant` has the chart's flywheel-edit and flywheel-view, `editor` also Kubernetes' edit, and `guest`
may look into pods and exec. Other areas append their attacks to ATTACKS.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import botocore.exceptions

from e2e import kube
from e2e.bad_input import resource
from e2e.deploy import NAMESPACE, TEAMS
from e2e.manifests import CONTAINER_SECURITY, POD_SECURITY
from e2e.namespace import Namespace, store_account
from e2e.security.controls import BUCKET_POLICY, Control, policy

OURS = {"flywheel.ml/uid": "0", "app.kubernetes.io/managed-by": "flywheel"}
DIGEST = "sha256:" + "a" * 64
OPERATOR = f"system:serviceaccount:{NAMESPACE}:flywheel-operator"


@dataclass(frozen=True)
class Attack:
    """`attempt` raises KubectlFailed with `refusal` in its text while the control stands, and returns where the attack succeeds."""

    name: str
    control: Control
    refusal: str
    attempt: Callable[[Namespace], object]

    def __str__(self) -> str:
        return self.name


def prepare(namespace: Namespace) -> None:
    """Bind the users, and put into the namespace what they attack."""
    roles = (
        ("tenant", "flywheel-edit"),
        ("tenant", "flywheel-view"),
        ("editor", "edit"),
    )
    for user, role in roles:
        namespace.kubectl("create", "rolebinding", f"{user}-{role}", f"--clusterrole={role}", f"--user={user}")
    rights = (
        ("guest", "get", "pods"),
        ("guest", "get,create", "pods/exec"),
        ("remover", "get,delete", "models.flywheel.ml"),
    )
    for user, verbs, resources in rights:
        name = f"{user}-{resources.replace('/', '-').replace('.', '-')}"
        namespace.kubectl("create", "role", name, f"--verb={verbs}", f"--resource={resources}")
        namespace.kubectl("create", "rolebinding", name, f"--role={name}", f"--user={user}")
    namespace.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "payroll"}, "stringData": {"token": "x"}},
        resource("Model", "approved", {"promotion": "Approval"}),
        resource("ModelVersion", "candidate", {"model": "approved", "source": {"artifact": {"digest": DIGEST}}}),
        pod("mine", {"app": "mine"}, container="collect"),
    )
    made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "ours", "labels": OURS}}
    template = {"metadata": {"labels": OURS}, "spec": pod_spec()}
    text = json.dumps({**made, "spec": {"suspend": True, "template": template}})
    namespace.kubectl("create", "--as", OPERATOR, "--filename", "-", stdin=text)


def pod_spec(container: str = "main") -> dict[str, Any]:
    """A pod that Pod Security `restricted` lets in, and that never starts: no node has its label."""
    return {
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "nodeSelector": {"flywheel.ml/none": "such"},
        "securityContext": POD_SECURITY,
        "containers": [{"name": container, "image": "example.org/none", "securityContext": CONTAINER_SECURITY}],
    }


def pod(name: str, labels: dict[str, str], container: str = "main") -> dict[str, Any]:
    """A pod with these labels."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": pod_spec(container),
    }


def create(namespace: Namespace, user: str, manifest: dict[str, Any]) -> None:
    """Create an object as that user, and remove it again as administrator where it was let in."""
    text = json.dumps(manifest)
    namespace.kubectl("create", "--as", user, "--filename", "-", stdin=text)
    namespace.kubectl("delete", "--filename", "-", "--ignore-not-found", "--wait=false", stdin=text)


def create_workload(namespace: Namespace, api: str, kind: str, **spec: Any) -> None:
    """Create a workload whose pods have our label, as the editor."""
    pods = {**pod_spec(), **({} if api.startswith("batch") else {"restartPolicy": "Always"})}
    template = {"metadata": {"labels": {"app": "forged", **OURS}}, "spec": pods}
    if kind == "CronJob":
        spec |= {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}}
    else:
        spec |= {"template": template}
    create(namespace, "editor", {"apiVersion": api, "kind": kind, "metadata": {"name": "forged"}, "spec": spec})


def relabel(namespace: Namespace) -> None:
    """Give the editor's own pod our label, and take it away again."""
    for value in ("0", None):
        patch = json.dumps({"metadata": {"labels": {"flywheel.ml/uid": value}}})
        namespace.kubectl("patch", "pod", "mine", "--as", "editor", "--type=merge", "--patch", patch)


def enter(namespace: Namespace) -> None:
    """Exec into the container `collect`. Where that is allowed, it fails later, since the pod has no node."""
    path = f"/api/v1/namespaces/{namespace.name}/pods/mine/exec?container=collect&command=env&stdout=true"
    try:
        namespace.kubectl("create", "--raw", path, "--filename", "-", "--as", "guest", stdin="{}")
    except Exception as error:
        if "does not have a host assigned" not in str(error):
            raise


def approve(namespace: Namespace) -> None:
    """Write an approval as the tenant."""
    approval = {"by": "tenant", "digest": DIGEST, "reason": "mine"}
    for value in (approval, None):
        patch = json.dumps({"spec": {"approval": value}})
        namespace.kubectl("patch", "fwver", "candidate", "--as", "tenant", "--type=merge", "--patch", patch)


def end_approval(namespace: Namespace) -> None:
    """Have the Model promote by itself, and then as before."""
    for value in ("Auto", "Approval"):
        patch = json.dumps({"spec": {"promotion": value}})
        namespace.kubectl("patch", "fwmodel", "approved", "--as", "tenant", "--type=merge", "--patch", patch)


def change_digest(namespace: Namespace) -> None:
    """Have our Job say that it made another artifact, and then nothing."""
    for value in (DIGEST, None):
        patch = json.dumps({"metadata": {"annotations": {"flywheel.ml/digest": value}}})
        namespace.kubectl("patch", "job", "ours", "--as", "editor", "--type=merge", "--patch", patch)


def delete_model(namespace: Namespace) -> None:
    """Delete the Model with approvals, as somebody who may delete Models. Nothing is removed where it is allowed."""
    namespace.kubectl("delete", "fwmodel", "approved", "--as", "remover", "--dry-run=server")


def service(**spec: Any) -> dict[str, Any]:
    """An InferenceService that never serves."""
    return resource("InferenceService", "attack", {"model": "none", "auth": {"none": {}}, "suspend": True, **spec})


def dataset(**spec: Any) -> dict[str, Any]:
    """A Dataset that reads the namespace's own folder."""
    return resource("Dataset", "attack", {"source": {"s3": {"uri": "s3://flywheel/none/"}}, "suspend": True, **spec})


def reads_with(secret: str) -> dict[str, Any]:
    """A source that is read with the keys of that Secret."""
    return {"s3": {"uri": "s3://elsewhere/none/", "secretName": secret}}


def ask_store(operation: str, **arguments: Any) -> None:
    """Ask the store for something in the folder of one team, with the key that the pods of another have."""
    victim, team = TEAMS
    client = kube.store(store_account(team))
    path = f"{victim}/results/attack/check/1.json"
    kube.store().put_object(Bucket=kube.bucket(), Key=path, Body=b"{}")
    where = {"Prefix": f"{victim}/"} if operation == "list_objects_v2" else {"Key": path}
    try:
        getattr(client, operation)(Bucket=kube.bucket(), **where, **arguments)
    except botocore.exceptions.ClientError as error:
        raise kube.KubectlFailed(str(error)) from error
    finally:
        kube.store().delete_object(Bucket=kube.bucket(), Key=path)


PODS, WORKLOADS, SECRETS, PLACEMENT, PROMOTION = (
    policy(f"flywheel-{name}") for name in ("pods", "workloads", "secrets", "placement", "promotion")
)
MADE = "create the Flywheel resource that makes them"
SELECTOR = {"selector": {"matchLabels": {"app": "forged"}}}
ATTACKS = (
    Attack("plant a pod with our labels", PODS, "made by the controllers of Flywheel's Jobs", lambda at: create(at, "editor", pod("forged", OURS))),
    Attack("give a pod our labels", PODS, "may not change the labels", relabel),
    Attack("plant a Job", WORKLOADS, MADE, lambda at: create_workload(at, "batch/v1", "Job", suspend=True)),
    Attack("plant a CronJob", WORKLOADS, MADE, lambda at: create_workload(at, "batch/v1", "CronJob")),
    Attack("plant a ReplicaSet", WORKLOADS, MADE, lambda at: create_workload(at, "apps/v1", "ReplicaSet", replicas=0, **SELECTOR)),
    Attack("plant a Deployment", WORKLOADS, MADE, lambda at: create_workload(at, "apps/v1", "Deployment", replicas=0, **SELECTOR)),
    Attack("change the digest that the operator believes", WORKLOADS, "may not change what jobs 'ours'", change_digest),
    Attack("enter a container with credentials", policy("flywheel-exec"), "holds the store's credentials", enter),
    Attack("name a colleague's Secret", SECRETS, "may not get Secret 'payroll'", lambda at: create(at, "tenant", dataset(source=reads_with("payroll")))),
    Attack("name the store's Secret", SECRETS, "is the installation's own", lambda at: create(at, "tenant", dataset(source=reads_with("flywheel-store")))),
    Attack("mount a colleague's volume", SECRETS, "may not get PersistentVolumeClaim 'payroll'", lambda at: create(at, "tenant", dataset(source={"pvc": {"claimName": "payroll", "path": "rows.csv"}}))),
    Attack("set a variable that runs code", policy("flywheel-serving-env"), "may not be set for Flywheel's own server", lambda at: create(at, "tenant", service(env=[{"name": "LD_PRELOAD", "value": "/model/x.so"}]))),
    Attack("outrank the node's own pods", PLACEMENT, "is not allowed in this installation", lambda at: create(at, "tenant", dataset(placement={"priorityClassName": "system-node-critical"}))),
    Attack("tolerate every taint", PLACEMENT, "tolerates every taint", lambda at: create(at, "tenant", dataset(placement={"tolerations": [{"operator": "Exists"}]}))),
    Attack("approve without the verb", policy("flywheel-approval"), "may not write spec.approval", approve),
    Attack("end the approvals of a Model", PROMOTION, "may not pin a champion or change spec.rollback or spec.promotion", end_approval),
    Attack("delete a Model with approvals", PROMOTION, "may not delete a Model with promotion: Approval", delete_model),
    Attack("read another team's objects", BUCKET_POLICY, "AccessDenied", lambda _: ask_store("get_object")),
    Attack("list another team's objects", BUCKET_POLICY, "AccessDenied", lambda _: ask_store("list_objects_v2")),
    Attack("plant a result of another team", BUCKET_POLICY, "AccessDenied", lambda _: ask_store("put_object", Body=b'{"v": 1}')),
)  # fmt: skip
