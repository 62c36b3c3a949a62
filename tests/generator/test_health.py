"""Argo CD's health of each kind, computed by the Lua that Argo CD runs."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from flywheel.core.resource.kind import AnyKind
from flywheel.engine import discover
from generator.health import CONFIG_MAP_PATH, script_path
from tests.documents import CHECKOUT

KINDS = {kind.api.kind: kind for kind in discover.kinds()}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def condition(type_: str, status: str, reason: str) -> dict[str, Any]:
    return {"type": type_, "status": status, "reason": reason, "message": f"the finding of {reason}"}


def resource(*conditions: Mapping[str, Any], observed: int = 2) -> dict[str, Any]:
    """A resource of generation 2."""
    return {"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "conditions": list(conditions)}}


def health(kind: str, manifest: Mapping[str, Any]) -> tuple[str, str]:
    """Status and message, as Argo CD computes them: Lua 5.1 without its libraries but for the base functions."""
    lua = LuaRuntime(register_eval=False, register_builtins=False)
    for library in ("os", "io", "package", "require", "debug", "string", "table"):
        lua.globals()[library] = None
    lua.globals()["obj"] = lua.table_from(manifest, recursive=True)
    result = lua.execute((CHECKOUT / script_path(KINDS[kind])).read_text())
    return result["status"], result["message"]


@each_kind
def test_every_kind_has_a_health_check(kind: AnyKind) -> None:
    assert (CHECKOUT / script_path(kind)).is_file()


@each_kind
def test_the_patch_of_the_config_map_has_every_health_check(kind: AnyKind) -> None:
    data = yaml.safe_load((CHECKOUT / CONFIG_MAP_PATH).read_text())["data"]
    script = (CHECKOUT / script_path(kind)).read_text().partition("\n")[2]

    assert data[f"resource.customizations.health.flywheel.ml_{kind.api.kind}"] == script
    assert len(data) == len(KINDS)


@each_kind
@pytest.mark.parametrize(
    ("manifest", "status"),
    [
        pytest.param({"metadata": {"generation": 1}}, "Progressing", id="without a status"),
        pytest.param({"metadata": {"generation": 1}, "status": {}}, "Progressing", id="without conditions"),
        pytest.param(resource(condition("Ready", "Unknown", "Pending"), observed=1), "Progressing", id="not yet observed"),
        pytest.param(resource(condition("Ready", "True", "Serving"), observed=1), "Progressing", id="changed since"),
        pytest.param(resource(condition("Ready", "False", "Unschedulable"), condition("Reconciling", "True", "Unschedulable")), "Progressing", id="waiting"),
        pytest.param(resource(condition("Ready", "False", "Invalid"), condition("Stalled", "True", "Invalid")), "Degraded", id="stalled"),
        pytest.param(resource(condition("Ready", "False", "Suspended")), "Suspended", id="suspended"),
        pytest.param(resource(condition("Ready", "True", "Fine")), "Healthy", id="ready"),
        pytest.param(resource(condition("Reconciling", "True", "Fine")), "Progressing", id="without Ready"),
    ],
)  # fmt: skip
def test_health_follows_the_conditions(kind: AnyKind, manifest: dict[str, Any], status: str) -> None:
    assert health(kind.api.kind, manifest)[0] == status


@pytest.mark.parametrize(
    ("kind", "ready", "reason", "status"),
    [
        pytest.param("Model", "False", "NoVersion", "Healthy", id="a Model waits for an Experiment of a later wave"),
        pytest.param("Model", "False", "AwaitingApproval", "Suspended", id="a version waits for an approver"),
        pytest.param("Model", "False", "GateFailed", "Progressing", id="no version has passed yet"),
        pytest.param("TrainingPipeline", "True", "TestFailed", "Degraded", id="the spec in Git failed its test run"),
        pytest.param("TrainingPipeline", "True", "Live", "Healthy", id="the spec in Git is live"),
        pytest.param("InferenceService", "True", "RolledBack", "Degraded", id="the version in Git was rolled back"),
        pytest.param("InferenceService", "True", "RolloutPaused", "Suspended", id="a rollout waits for a person"),
        pytest.param("Dataset", "True", "CheckFailed", "Degraded", id="newer data was refused"),
    ],
)  # fmt: skip
def test_some_reasons_have_a_health_of_their_own(kind: str, ready: str, reason: str, status: str) -> None:
    assert health(kind, resource(condition("Ready", ready, reason))) == (status, f"the finding of {reason}")


def test_the_expression_for_flux_has_the_reasons_that_are_healthy_for_argo_cd() -> None:
    page, model = (CHECKOUT / "docs/gitops.md").read_text(), KINDS["Model"].health

    for reason in (*model.healthy, *model.suspended):
        assert f"'{reason}'" in page
