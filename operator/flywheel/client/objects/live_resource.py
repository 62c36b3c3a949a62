"""An object of one kind in a namespace, as its user reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from flywheel.client.display import DisplayFields
from flywheel.client.errors import FlywheelError, describe_condition
from flywheel.core.resource.api import Api, Manifest

if TYPE_CHECKING:
    from flywheel.client.session import Session


@dataclass(frozen=True, repr=False)
class LiveResource(DisplayFields):
    """An object that is read anew by each method."""

    session: "Session"
    name: str

    api: ClassVar[Api]
    shown_status: ClassVar[Mapping[str, str]]  # fields of the status by the names under which a notebook shows them

    @property
    def manifest(self) -> Manifest:
        """The object as it is now.

        Raises:
            FlywheelError: it does not exist.
        """
        return self.session.require(self.api, self.name)

    def status_field(self, field: str, what: str, otherwise: str, reason: str) -> str:
        """Returns a field of the status that is absent at first. `what` is what it names, `otherwise` why it may be absent.

        Raises:
            FlywheelError: it is absent; the error has the object's condition and this reason.
        """
        manifest = self.manifest
        found = (manifest.get("status") or {}).get(field)
        if not found:
            condition = describe_condition(manifest)
            message = f"{self} has no {what} yet: {condition.get('message') or otherwise}"
            raise FlywheelError(message, reason=reason, condition=condition)
        return str(found)

    def _display_fields(self) -> Mapping[str, Any]:
        manifest = self.manifest
        status, condition = manifest.get("status") or {}, describe_condition(manifest)
        shown = {name: status.get(field) for name, field in self.shown_status.items()}
        return {**shown, "state": condition.get("reason"), "message": condition.get("message")}

    def __str__(self) -> str:
        return f"{self.api.kind} '{self.name}'"

    def __repr__(self) -> str:
        return f"<{self} in namespace '{self.session.namespace}'>"
