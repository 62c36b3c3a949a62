"""A namespace of one end-to-end test on a real cluster."""

import json
import sys
from pathlib import Path
from typing import Any

from e2e import kube
from e2e.waiting import wait_until

STORE_SECRET, ROOT_SECRET, RUNNER = "flywheel-store", "flywheel-store-server", "flywheel-runner"
LOG_READER = "flywheel-runner-logs"
KINDS = ("fwds", "fwexp", "fwpipe", "fwrun", "fwmodel", "fwver", "fwsvc", "fwbatch", "fwmon", "fwfs")


def store_account(namespace: str) -> tuple[str, str]:
    """Id and secret of the key that the namespace's pods have."""
    values = kube.secret_values(STORE_SECRET, namespace)
    return values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"]


class Namespace:
    """A namespace with its folder in the trial store, and what is done and seen in it."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.name = f"story-{label}"

    def create(self) -> None:
        """Create the namespace and empty its folder in the store, with what the chart's value `namespaces` would put there."""
        self.delete()
        self.empty_folder()
        manifest = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": self.name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        }
        kube.kubectl("create", "--filename", "-", stdin=json.dumps(manifest))
        runner = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": RUNNER},
            "automountServiceAccountToken": False,
        }
        kube.apply(runner, self.name)
        kube.apply(self._log_reader(), self.name)
        kube.apply(self.store_secret(), self.name)

    def _log_reader(self) -> dict[str, Any]:
        """The right of step pods to read the log of their main container."""
        return {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": LOG_READER},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": LOG_READER},
            "subjects": [{"kind": "ServiceAccount", "name": RUNNER, "namespace": self.name}],
        }

    def empty_folder(self) -> None:
        """Remove what an earlier run left in the store, such as a spoiled blob."""
        store, bucket = kube.store(), kube.bucket()
        for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{self.name}/"):
            for each in page.get("Contents", []):
                store.delete_object(Bucket=bucket, Key=each["Key"])

    def store_secret(self, **changed: str) -> dict[str, Any]:
        """The store's Secret, with its root account, since the chart does not know this namespace; a test may replace a key."""
        found, root = kube.get("secret", STORE_SECRET, "flights"), kube.get("secret", ROOT_SECRET, "flywheel-system")
        assert found is not None, "the chart has put no store Secret into namespace 'flights'; run 'make deploy'"
        assert root is not None, "the chart has made no root account of the store; run 'make deploy'"
        account = {
            "AWS_ACCESS_KEY_ID": root["data"]["ROOT_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": root["data"]["ROOT_SECRET_KEY"],
        }
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": STORE_SECRET},
            "data": {**found["data"], **account},
            **({"stringData": changed} if changed else {}),
        }

    def delete(self, *, wait: bool = True) -> None:
        """Remove the namespace; without `wait` it is deleted while the next test begins."""
        patience = ("--wait", "--timeout=180s") if wait else ("--wait=false",)
        kube.kubectl("delete", "namespace", self.name, "--ignore-not-found", *patience)

    def apply(self, *manifests: dict[str, Any] | str | Path) -> None:
        """Apply each manifest as a user would."""
        for manifest in manifests:
            kube.apply(manifest, self.name)

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Run kubectl in this namespace."""
        return kube.kubectl("--namespace", self.name, *words, stdin=stdin)

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return an object of this namespace, or None."""
        return kube.get(kind, name, self.name)

    def status(self, kind: str, name: str) -> dict[str, Any]:
        """Return the status of an object of this namespace; empty while there is none."""
        found: dict[str, Any] = (self.get(kind, name) or {}).get("status") or {}
        return found

    def wait(
        self,
        kind: str,
        name: str,
        *,
        ready: str = "True",
        reason: str | None = None,
        stalled: bool = False,
        seconds: float = 120,
    ) -> dict[str, Any]:
        """Wait until Ready has that status (and reason, and is Stalled) for the current generation, and return the condition."""

        def found() -> dict[str, Any] | None:
            resource = self.get(kind, name)
            condition = kube.condition(resource)
            current = resource is not None and condition.get("observedGeneration") == resource["metadata"]["generation"]
            if not current or condition.get("status") != ready or reason not in (None, condition["reason"]):
                return None
            return condition if not stalled or kube.condition(resource, "Stalled").get("status") == "True" else None

        return wait_until(
            found,
            seconds,
            lambda: f"{kind}/{name} wanted Ready={ready} {reason or ''}, has {kube.condition(self.get(kind, name))}",
        )

    def upload(self, key: str, content: bytes | str) -> str:
        """Upload an object to this namespace's folder of the store, and return its s3 URI."""
        path = f"{self.name}/uploads/{key}"
        kube.store().put_object(
            Bucket=kube.bucket(), Key=path, Body=content.encode() if isinstance(content, str) else content
        )
        return f"s3://{kube.bucket()}/{path}"

    def running_pod(self, name: str, *, other_than: str = "", seconds: float = 90) -> str:
        """Wait until main runs in a pod of the resource of that name, other than one that is known, and return the pod's name."""

        def found() -> str | None:
            for pod in kube.list_objects("pods", self.name, f"flywheel.ml/name={name}"):
                statuses = pod["status"].get("containerStatuses", [])
                is_running = any("running" in each["state"] for each in statuses if each["name"] == "main")
                if is_running and pod["metadata"]["name"] != other_than:
                    return str(pod["metadata"]["name"])
            return None

        return wait_until(found, seconds, f"main of {name} does not run")

    def evict(self, pod: str) -> None:
        """Evict a pod, as the drain of its node does."""
        metadata = {"name": pod, "namespace": self.name}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        path = f"/api/v1/namespaces/{self.name}/pods/{pod}/eviction"
        kube.kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))

    def describe(self) -> None:
        """Write everything that helps to understand a failure to stderr. The namespace is left for inspection."""
        out = sys.stderr
        for words in (
            ("get", "flywheel,jobs,pods", "-o", "wide"),
            ("describe", ",".join(KINDS)),
            ("get", "events", "--sort-by=.lastTimestamp"),
        ):
            try:
                out.write(f"\n$ kubectl {' '.join(words)}\n{kube.kubectl(*words, '--namespace', self.name)[-12000:]}\n")
            except kube.KubectlFailed as error:
                out.write(f"{error}\n")
        try:
            out.write(
                kube.kubectl(
                    "--namespace",
                    "flywheel-system",
                    "logs",
                    "--selector",
                    "app.kubernetes.io/name=flywheel-operator",
                    "--tail=60",
                    "--prefix",
                )
            )
        except kube.KubectlFailed as error:
            out.write(f"{error}\n")
