"""The chart as helm renders it."""

import subprocess
from typing import Any

import yaml

from e2e.cluster import golang
from tests.documents import CHECKOUT

CHART = CHECKOUT / "charts" / "flywheel"
# Else every rendering generates others.
KEY = ("--set", "store.embedded.secretKey=not-a-secret", "--set", "store.embedded.seed=not-a-secret-and-long-enough")


def helm(*words: str) -> subprocess.CompletedProcess[str]:
    """helm, whose refusals are answers."""
    return subprocess.run([golang.build(golang.HELM), *words], capture_output=True, text=True, timeout=60, check=False)


def template(*words: str) -> list[dict[str, Any]]:
    """Every rendered object."""
    done = helm("template", "flywheel", str(CHART), "--namespace", "flywheel-system", *words)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def one(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The object of that kind and name."""
    return next(each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))
