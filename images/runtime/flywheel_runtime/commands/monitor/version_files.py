"""Documents in the artifacts of the monitored versions, which are inputs of a run."""

from collections.abc import Mapping
from typing import Any

from flywheel_runtime.contract.step import Step, read_json_object


def read_json(step: Step, version: str, name: str) -> Mapping[str, Any]:
    """The object in a file of a version; empty if there is none that can be read."""
    return read_json_object(step.input(f"version-{version}") / name)
