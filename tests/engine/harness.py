"""The engine without its watch and its loop, on a real API server: it lists instead of watching, and reconciles until nothing is left to do."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from e2e.waiting import wait_until
from flywheel.cluster.apply import Writer
from flywheel.cluster.client import Client
from flywheel.cluster.credentials import configuration
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import EVENT, Api, Reference
from flywheel.core.resource.kind import AnyKind
from flywheel.core.settings import Settings
from flywheel.engine.apply.event_recorder import EventRecorder
from flywheel.engine.cache.resync import Resync
from flywheel.engine.cache.store import Store
from flywheel.engine.queue import Result
from flywheel.engine.reconcile import Reconciler
from tests.engine.widget import CRD, KIND, WIDGETS

NAMESPACES = Api("", "v1", "Namespace", "namespaces")
CRDS = Api("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
KUBECTL = "kubectl-client"  # the field manager of whoever is not us


class EngineHarness:
    """One namespace, and an engine for it."""

    def __init__(self, kubeconfig: Path, namespace: str, kinds: tuple[AnyKind, ...] = (KIND,)) -> None:
        self.client = Client(configuration({"KUBECONFIG": str(kubeconfig)}))
        self.namespace = namespace
        self.kinds = kinds
        self.may_write = True
        self.writer = Writer(self.client, lambda: self.may_write)
        self.restart()

    def restart(self) -> None:
        """Forget everything, as a new process would."""
        own = [kind.api for kind in self.kinds]
        children = sorted({api for kind in self.kinds for api in kind.owns})
        self.queued: set[Reference] = set()
        self.results: dict[Reference, Result] = {}
        self.store = Store(self.kinds, self.queued.update)
        self.resync = Resync(self.client, self.store, own, children, [self.namespace])
        recorder = EventRecorder(self.writer, "test")
        self.reconcile = Reconciler(
            self.kinds, self.store, self.client, self.writer, recorder, Settings(), lambda: datetime.now(UTC)
        )

    def settle(self) -> None:
        """List what is there, and reconcile until nothing is queued.

        Raises:
            AssertionError: it never ends.
        """
        self.resync.repair()
        for _round in range(50):
            if not self.queued:
                return
            key = min(self.queued)
            self.queued.discard(key)
            self.results[key] = self.reconcile(key)
        raise AssertionError(f"still queued after 50 reconciles: {self.queued}")

    def at(self, api: Api, name: str) -> Reference:
        return Reference(api, self.namespace, name)

    def get(self, api: Api, name: str) -> dict[str, Any]:
        """As it is in the cluster."""
        found = self.client.get(self.at(api, name))
        assert found is not None, f"{api} {name} does not exist"
        return found

    def put(self, api: Api, name: str, manager: str = KUBECTL, **content: Any) -> dict[str, Any]:
        """Server-side apply by somebody else."""
        metadata = {"name": name, "namespace": self.namespace, **content.pop("metadata", {})}
        body = {"apiVersion": api.api_version, "kind": api.kind, "metadata": metadata, **content}
        return self.client.apply(api, body, manager)[0]

    def widget(self, name: str, **spec: Any) -> dict[str, Any]:
        """Make or change a Widget, and let the engine settle."""
        self.put(WIDGETS, name, spec=spec)
        self.settle()
        return self.get(WIDGETS, name)

    def condition(self, name: str, kind: str = "Ready") -> tuple[str, str, str]:
        """Status, reason and message of a Widget's condition."""
        conditions = self.get(WIDGETS, name)["status"]["conditions"]
        found = next((each for each in conditions if each["type"] == kind), None)
        return (found["status"], found["reason"], found["message"]) if found else ("", "", "")

    def events(self) -> list[dict[str, Any]]:
        """The events of this namespace."""
        return list(self.client.list_metadata(EVENT, self.namespace)["items"] or [])


@contextmanager
def writes() -> Iterator[list[str]]:
    """The writes of the engine: `create ConfigMap shop/one-config`."""
    found: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage().split(" ", 2)[2])

    listener = Listener(logging.INFO)
    log = logging.getLogger("flywheel.cluster.apply")
    log.setLevel(logging.INFO)
    log.addHandler(listener)
    try:
        yield found
    finally:
        log.removeHandler(listener)


def install(client: Client) -> None:
    """The CRD of Widgets, and wait until it is served."""
    client.apply(CRDS, {**CRD, "metadata": {**CRD["metadata"], "namespace": ""}}, KUBECTL)  # type: ignore[dict-item]
    eventually(lambda: client.list_metadata(WIDGETS, None) is not None)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what takes its time elsewhere. A refused request counts as not yet."""

    def holds() -> bool:
        with suppress(ApiError):
            return condition()
        return False

    wait_until(holds)
