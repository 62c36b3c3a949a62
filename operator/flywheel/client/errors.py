"""Errors of the client."""

from collections.abc import Mapping
from typing import Any

from flywheel.client.controls import escape_lines
from flywheel.core.resource.api import Manifest


class FlywheelError(Exception):
    """A request failed. The message names object, finding and next step.

    `reason` is one CamelCase word, `status` the HTTP status (0 without a response), `condition` the condition of the object where it has one
    (`type`, `status`, `reason`, `message`), and `details` is what the reader added, such as `items` that are known while the store is away.
    Names and messages come from others, so the text that Python prints has no control characters; `message` is as it came.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        status: int = 0,
        condition: Mapping[str, Any] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(escape_lines(message))
        self.message = message
        self.reason = reason
        self.status = status
        self.condition = dict(condition or {})
        self.details = dict(details or {})


class MissingExtra(FlywheelError, ImportError):
    """A package of the extra `client` is not installed."""

    def __init__(self, package: str, purpose: str) -> None:
        message = (
            f"{purpose} needs the package '{package}', which is not installed; install the extra 'client', "
            "in a checkout of Flywheel with: pip install '.[client]'"
        )
        super().__init__(message, reason="PackageMissing")


def describe_condition(manifest: Manifest) -> Mapping[str, Any]:
    """Returns the condition that says most about an object: Succeeded where it has one, else Ready, else an empty mapping."""
    # It brings pydantic, which no function needs before it has read an object.
    from flywheel.core.resource.conditions import READY, SUCCEEDED, find_condition

    return find_condition(manifest, SUCCEEDED) or find_condition(manifest, READY)
