"""What bounds a step or a server where its spec does not: resources, time and disk, from the installation's settings.

A Job is written once, so other settings bound only what starts afterwards. The pods of a server keep their template, too, until
something that the template depends on changes.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from flywheel.core.pods.fetch import fetch_limit
from flywheel.core.resource.schema import Quantity, Resources
from flywheel.core.resource.values import Duration, parse_quantity
from flywheel.core.settings import Settings

SPARE_INPUT_BYTES = 1 << 30  # for parameters, and for what a command between fetch and main adds


def bound_resources(resources: Resources, settings: Settings) -> Resources:
    """Returns the resources of a step with the installation's defaults for those that it does not name."""
    return _with_defaults(resources, settings.step_requests, settings.step_limits)


def bound_server_resources(resources: Resources, settings: Settings) -> Resources:
    """Returns the resources of a model server with the installation's defaults for those that it does not name."""
    return _with_defaults(resources, settings.server_requests, settings.server_limits)


def _with_defaults(resources: Resources, default_requests: Sequence[str], default_limits: Sequence[str]) -> Resources:
    """A default limit is at least the request, or the pod would be refused."""
    requests = {**_quantities(default_requests), **resources.requests}
    # Kubernetes takes a limit without a request as the request, too.
    requests = {
        name: value for name, value in requests.items() if name in resources.requests or name not in resources.limits
    }
    limits = {
        name: max(value, requests.get(name, value), key=parse_quantity)
        for name, value in _quantities(default_limits).items()
    }
    return Resources(requests=requests, limits={**limits, **resources.limits})


def bound_time(timeout: Duration | None, default: str) -> timedelta | None:
    """Returns the timeout, or the installation's default, of which an empty one is none."""
    if timeout is not None:
        return timeout.timedelta
    return Duration(default).timedelta if default else None


def bound_volume(resources: Resources, limit: str) -> dict[str, Any]:
    """Returns an emptyDir that holds at most the pod's own ephemeral storage, or what the installation allows."""
    return {"emptyDir": {"sizeLimit": str(resources.limits.get("ephemeral-storage", limit))}}


def inputs_volume(resources: Resources, settings: Settings, *, restores_checkpoint: bool) -> dict[str, Any]:
    """Returns the emptyDir that fetch fills."""
    checkpoint = int(parse_quantity(settings.output_limit)) if restores_checkpoint else 0
    return {"emptyDir": {"sizeLimit": str(fetch_limit(resources, settings) + checkpoint + SPARE_INPUT_BYTES)}}


def _quantities(entries: Sequence[str]) -> dict[str, Quantity]:
    """Returns the quantities of entries such as `memory=2Gi`."""
    return {name: quantity for name, _, quantity in (entry.partition("=") for entry in entries)}
