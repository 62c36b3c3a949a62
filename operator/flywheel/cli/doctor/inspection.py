"""What the checks of `flywheel doctor` read, and what they find."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import Any

from flywheel.cli.connection import Connection
from flywheel.cli.fields import get_field, list_objects
from flywheel.cluster.client import Client
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import DEPLOYMENT, Manifest, Reference

OPERATOR = "flywheel-operator"


@dataclass(frozen=True)
class Finding:
    """What one check found: `good`, `bad`, or `unknown` where the user may not read it. A message of `bad` ends with what to do."""

    state: str
    message: str


@dataclass(frozen=True)
class Installation:
    """One installation and one namespace that is to use it, as far as this user may read them."""

    connection: Connection
    release: str  # the namespace of the operator

    @property
    def client(self) -> Client:
        """The API server."""
        return self.connection.client

    @property
    def namespace(self) -> str:
        """The namespace that is to use the installation."""
        return self.connection.namespace

    @cached_property
    def operator(self) -> Manifest | None:
        """The operator's Deployment, or None."""
        return self.client.get(Reference(DEPLOYMENT, self.release, OPERATOR))

    @cached_property
    def operator_environment(self) -> Mapping[str, str]:
        """Settings of the operator, which the chart writes as environment variables; empty where there is no operator."""
        containers = list_objects(self.operator, "spec", "template", "spec", "containers")
        return {
            str(each["name"]): str(each.get("value") or "") for one in containers for each in list_objects(one, "env")
        }

    def read_json(self, path: str) -> tuple[Any, str]:
        """Returns the JSON at a path of the API server, and the server's time of the response.

        Raises:
            ApiError: it refused.
        """
        response = self.client.open("GET", path)
        try:
            body = response.read()
            if response.status >= HTTPStatus.BAD_REQUEST:
                raise ApiError(response.status, str(response.reason), body[:300].decode(errors="replace"))
            return json.loads(body), response.headers.get("Date", "")
        finally:
            response.release_conn()


Check = Callable[[Installation], Iterator[Finding]]


def run_check(check: Check, installation: Installation) -> list[Finding]:
    """Returns what a check finds; what the user may not read is unknown.

    Raises:
        ApiError: there is no API server.
    """
    found: list[Finding] = []
    try:
        found.extend(check(installation))
    except ApiError as error:
        if error.status == 0:
            raise
        found.append(Finding("unknown", f"not checked: {error.describe()}"))
    return found


def is_available(deployment: Manifest) -> bool:
    """Returns whether at least one pod of a Deployment is available, or it is scaled to none on purpose."""
    return int(get_field(deployment, "status", "availableReplicas") or 0) > 0
