"""Documents in the artifacts of the monitored versions, which are inputs of a run."""

import json
from collections.abc import Mapping
from typing import Any

from flywheel_runtime.contract.step import Step


def read_json(step: Step, version: str, name: str) -> Mapping[str, Any]:
    """The object in a file of a version; empty if there is none that can be read."""
    try:
        found = json.loads((step.input(f"version-{version}") / name).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
