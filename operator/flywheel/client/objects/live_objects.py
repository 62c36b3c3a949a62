"""Objects that exist: their conditions, waiting for them, and runs of pipelines."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flywheel.client.display import DisplayFields, DisplayTable
from flywheel.client.errors import FlywheelError, describe_condition
from flywheel.core.resource.api import TRAINING_PIPELINE, TRAINING_RUN, Api, Manifest
from flywheel.core.resource.conditions import READY, SUCCEEDED, find_condition

if TYPE_CHECKING:
    from flywheel.client.session import Session

POLL_SECONDS = 1.0
MAX_GENERATED_PREFIX = 40  # characters; the API server adds five more and a hyphen


@dataclass(frozen=True)
class LiveObject(DisplayFields):
    """An object in a namespace, read anew by each method."""

    session: "Session"
    api: Api
    name: str

    @property
    def manifest(self) -> Manifest:
        """The object as it is now.

        Raises:
            FlywheelError: it does not exist.
        """
        return self.session.require(self.api, self.name)

    @property
    def condition(self) -> Mapping[str, Any]:
        """The condition that says most: Succeeded where it has one, else Ready, else an empty mapping."""
        return describe_condition(self.manifest)

    def conditions(self) -> DisplayTable:
        """Returns all conditions."""
        found = (self.manifest.get("status") or {}).get("conditions") or []
        columns = ["type", "status", "reason", "message", "lastTransitionTime"]
        return DisplayTable(found, columns, caption=f"conditions of {self}")

    def wait(self, timeout: float | None = None) -> "LiveObject":
        """Waits until the object has ended (Succeeded), or for a kind that does not end until it is Ready, and returns it.

        Raises:
            FlywheelError: it failed, or `timeout` seconds were over; the error has its condition.
        """
        ends = None if timeout is None else time.monotonic() + timeout
        while not self.has_ended():
            if ends is not None and time.monotonic() >= ends:
                raise self.timeout_error()
            time.sleep(POLL_SECONDS)
        return self

    def has_ended(self) -> bool:
        """Returns whether `wait` is over.

        Raises:
            FlywheelError: it failed; the error has its condition.
        """
        manifest = self.manifest
        succeeded = find_condition(manifest, SUCCEEDED)
        if succeeded.get("status") == "False":
            message = f"{self} failed: {succeeded.get('message')}"
            raise FlywheelError(message, reason=str(succeeded.get("reason")), condition=succeeded)
        ready = find_condition(manifest, READY)
        current = ready.get("observedGeneration") == manifest["metadata"].get("generation")
        is_ready = ready.get("status") == "True" and current and self.api != TRAINING_RUN
        return succeeded.get("status") == "True" or is_ready

    def timeout_error(self) -> FlywheelError:
        """Returns the error of a wait that took too long."""
        condition = self.condition
        said = condition.get("message") or "the operator has not written its status"
        return FlywheelError(
            f"{self} has not ended in time; it continues: {said}", reason="Timeout", condition=condition
        )

    def _display_fields(self) -> Mapping[str, Any]:
        return {"name": self.name, **{key: self.condition.get(key) for key in ("type", "status", "reason", "message")}}

    def __str__(self) -> str:
        return f"{self.api.kind} '{self.name}'"

    def __repr__(self) -> str:
        return f"<{self} in namespace '{self.session.namespace}'>"


@dataclass(frozen=True, repr=False)
class Run(LiveObject):
    """A TrainingRun."""

    def steps(self) -> DisplayTable:
        """Returns the steps with their states."""
        found = (self.manifest.get("status") or {}).get("steps") or []
        columns = ["name", "state", "reason", "message", "attempt", "cache", "started", "finished"]
        return DisplayTable(found, columns, caption=f"steps of {self}")

    def cancel(self) -> None:
        """Stops the running steps; only those of `finally` still run."""
        self.session.patch_spec(TRAINING_RUN, self.name, {"cancel": True})

    def wait(self, timeout: float | None = None) -> "Run":
        """Waits until the run has succeeded, and returns it.

        Raises:
            FlywheelError: it failed, or `timeout` seconds were over; the error has its condition.
        """
        super().wait(timeout)
        return self


def start_run(session: "Session", pipeline: str, parameters: Mapping[str, Any]) -> Run:
    """Creates a TrainingRun of a pipeline.

    Raises:
        FlywheelError: the pipeline does not exist, or the API server refuses the run.
    """
    session.require(TRAINING_PIPELINE, pipeline)
    given = {name: format_parameter(value) for name, value in parameters.items()}
    made = session.create(TRAINING_RUN, new_run(session.namespace, pipeline, {"parameters": given} if given else {}))
    return Run(session, TRAINING_RUN, str(made["metadata"]["name"]))


def new_run(namespace: str, pipeline: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a TrainingRun of a pipeline with these fields of its spec; the server completes its name."""
    metadata = {"generateName": f"{pipeline[:MAX_GENERATED_PREFIX].rstrip('-.')}-", "namespace": namespace}
    spec = {"pipeline": pipeline, **fields}
    return {"apiVersion": TRAINING_RUN.api_version, "kind": TRAINING_RUN.kind, "metadata": metadata, "spec": spec}


def format_parameter(value: Any) -> str:
    """Returns a parameter as text, to which the pipeline gives its type."""
    return str(value).lower() if isinstance(value, bool) else str(value)
