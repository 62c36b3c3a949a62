"""One story on a real cluster, in a namespace of its own."""

import json
import sys
from pathlib import Path
from typing import Any

from e2e import kube
from e2e.waiting import wait_until

STORE_SECRET, RUNNER = "flywheel-store", "flywheel-runner"
KINDS = ("fwds", "fwexp", "fwpipe", "fwrun", "fwmodel", "fwver", "fwsvc", "fwbatch")


class Story:
    """A namespace, and what is done and seen in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.namespace = f"story-{name}"

    def begin(self) -> None:
        """Make the namespace and its folder in the store anew, with what the chart's value `namespaces` would put there."""
        self.end()
        self.empty_folder()
        manifest = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": self.namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
        }
        kube.kubectl("create", "--filename", "-", stdin=json.dumps(manifest))
        runner = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": RUNNER},
            "automountServiceAccountToken": False,
        }
        kube.apply(runner, self.namespace)
        kube.apply(self.store_secret(), self.namespace)

    def empty_folder(self) -> None:
        """Remove what an earlier telling left in the store: a spoiled blob would be met again."""
        store, bucket = kube.store(), kube.bucket()
        for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{self.namespace}/"):
            for each in page.get("Contents", []):
                store.delete_object(Bucket=bucket, Key=each["Key"])

    def store_secret(self, **changed: str) -> dict[str, Any]:
        """The store's Secret as the chart wrote it for the demo's namespace; a story may spoil a key."""
        found = kube.get("secret", STORE_SECRET, "flights")
        assert found is not None, "the chart has put no store Secret into namespace 'flights'; run 'make deploy'"
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": STORE_SECRET},
            "data": found["data"],
            **({"stringData": changed} if changed else {}),
        }

    def end(self, *, wait: bool = True) -> None:
        """Remove the namespace; without `wait` it goes while the next story begins."""
        patience = ("--wait", "--timeout=180s") if wait else ("--wait=false",)
        kube.kubectl("delete", "namespace", self.namespace, "--ignore-not-found", *patience)

    def apply(self, *manifests: dict[str, Any] | str | Path) -> None:
        """Apply each as a user would."""
        for manifest in manifests:
            kube.apply(manifest, self.namespace)

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """kubectl in this namespace."""
        return kube.kubectl("--namespace", self.namespace, *words, stdin=stdin)

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """One object of this namespace."""
        return kube.get(kind, name, self.namespace)

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
        """Until Ready has that status (and reason, and is Stalled) for the current generation; the condition is returned."""

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

    def put(self, key: str, content: bytes | str) -> str:
        """Put an object under this story's folder of the store; its s3 URI."""
        path = f"stories/{self.name}/{key}"
        kube.store().put_object(
            Bucket=kube.bucket(), Key=path, Body=content.encode() if isinstance(content, str) else content
        )
        return f"s3://{kube.bucket()}/{path}"

    def describe(self) -> None:
        """Everything that helps to understand a failure, to stderr. The namespace stays for a look."""
        out = sys.stderr
        for words in (
            ("get", "flywheel,jobs,pods", "-o", "wide"),
            ("describe", ",".join(KINDS)),
            ("get", "events", "--sort-by=.lastTimestamp"),
        ):
            try:
                out.write(
                    f"\n$ kubectl {' '.join(words)}\n{kube.kubectl(*words, '--namespace', self.namespace)[-12000:]}\n"
                )
            except kube.Refused as error:
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
        except kube.Refused as error:
            out.write(f"{error}\n")
