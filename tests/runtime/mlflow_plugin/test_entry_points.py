"""MLflow finds the plugin, and in a step of Flywheel it is MLflow's default."""

import importlib
import importlib.metadata
import os
import tomllib

import pytest

from e2e.cluster.paths import CHECKOUT
from flywheel_runtime.mlflow_plugin import entry_points


def test_the_runtime_image_has_the_entry_points_of_the_distribution() -> None:
    declared = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [
        line
        for group, names in declared.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in names.items()), "")
    ]
    copied = (CHECKOUT / "images" / "runtime" / "flywheel_runtime.dist-info" / "entry_points.txt").read_text()

    assert copied.rstrip("\n") == "\n".join(lines).rstrip("\n")


def test_the_runtime_image_has_a_distribution_with_name_and_version() -> None:
    """Without them, whatever lists the packages of a training meets a name that is None."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    found = importlib.metadata.Distribution.at(CHECKOUT / "images" / "runtime" / "flywheel_runtime.dist-info")

    assert (found.metadata["Name"], found.version) == ("flywheel-runtime", project["version"])


@pytest.mark.parametrize(
    ("environment", "uri"),
    [
        pytest.param({"FLYWHEEL_STEP": "trial-7"}, "flywheel:", id="in a step"),
        pytest.param({}, None, id="elsewhere"),
        pytest.param(
            {"FLYWHEEL_STEP": "trial-7", "MLFLOW_TRACKING_URI": "https://mlflow.example"},
            "https://mlflow.example",
            id="the image or the manifest names a server",
        ),
    ],
)
def test_the_default_address(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], uri: str | None) -> None:
    monkeypatch.setattr(os, "environ", dict(environment))

    importlib.reload(entry_points)

    assert os.environ.get("MLFLOW_TRACKING_URI") == uri
