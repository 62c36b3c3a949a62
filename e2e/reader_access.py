"""What a story needs to read back what was tracked: a key of the reader for its namespace, and a ServiceAccount with rights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from e2e import kube
from e2e.namespace import ROOT_SECRET, STORE_SECRET, Namespace
from e2e.waiting import wait_until
from flywheel.client.errors import FlywheelError
from flywheel.client.workspace import Workspace

RELEASE, SECRET = "flywheel-system", "flywheel-reader-store"
SERVER = "flywheel-server"
MOUNT_SECONDS = 150  # the kubelet brings a new Secret within about a minute


def give_reader_a_key() -> None:
    """Give the reader a key for namespaces that the chart does not know; it stays, since other stories use it at the same time."""
    found, root = kube.get("secret", STORE_SECRET, "flights"), kube.get("secret", ROOT_SECRET, RELEASE)
    assert found is not None
    assert root is not None
    data: dict[str, Any] = {
        **{key: value for key, value in found["data"].items() if key != "FLYWHEEL_PREFIX"},
        "AWS_ACCESS_KEY_ID": root["data"]["ROOT_ACCESS_KEY"],
        "AWS_SECRET_ACCESS_KEY": root["data"]["ROOT_SECRET_KEY"],
    }
    kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "data": data}, RELEASE)


@contextmanager
def token_reviews(namespace: Namespace) -> Iterator[None]:
    """What the chart gives to servers with auth.serviceAccount in a namespace that it knows; one of the rights is the cluster's."""
    account = f"--serviceaccount={namespace.name}:{SERVER}"
    namespace.kubectl("create", "serviceaccount", SERVER)
    namespace.kubectl("create", "rolebinding", SERVER, "--clusterrole=flywheel-server-access", account)
    binding = f"{SERVER}-{namespace.name}"
    kube.kubectl("delete", "clusterrolebinding", binding, "--ignore-not-found")
    kube.kubectl("create", "clusterrolebinding", binding, "--clusterrole=flywheel-server-tokens", account)
    try:
        yield
    finally:
        kube.kubectl("delete", "clusterrolebinding", binding, "--ignore-not-found")


def bind(namespace: Namespace, account: str, *roles: str) -> None:
    """Create a ServiceAccount and give it ClusterRoles in the namespace."""
    namespace.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}})
    for role in roles:
        namespace.apply(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": f"{account}-{role}"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace.name}],
            }
        )


def wait_for_reader(workspace: Workspace) -> None:
    """Wait until the reader has its key of the namespace's store."""

    def reads() -> bool:
        try:
            workspace.trials(limit=1)
        except FlywheelError as error:
            if error.status in (401, 403):
                raise
            return False
        return True

    wait_until(reads, MOUNT_SECONDS)
