"""Rendered children as reviewed YAML. `GOLDEN=write` accepts what is rendered now; read the difference before you commit it."""

import os
from collections.abc import Iterable
from pathlib import Path

import yaml

from flywheel.core.dress import dressed
from flywheel.core.kind import AnyResource
from flywheel.core.plan import Child

FOLDER = Path(__file__).parent / "golden"


def rendered(resource: AnyResource, children: Iterable[Child]) -> str:
    """The children as they are sent to the API server, as one YAML stream."""
    return yaml.safe_dump_all([dressed(resource, child) for child in children], sort_keys=False, width=120)


def expected(name: str, now: str) -> str:
    """The golden file's text, written anew first if that is asked for."""
    golden = FOLDER / f"{name}.yaml"
    if os.environ.get("GOLDEN") == "write":
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(now)
    return golden.read_text()
