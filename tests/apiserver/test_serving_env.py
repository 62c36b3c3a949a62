"""The chart's policy on a real API server: which variables an InferenceService may set for our own server."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster import golang
from e2e.waiting import wait_until
from tests.apiserver.manifests import OPEN, Kubectl, manifest

pytestmark = pytest.mark.apiserver

CHART = Path(__file__).resolve().parents[2] / "charts" / "flywheel"
NAMESPACE = "serving-env"
LOADED: dict[str, Any] = {"model": "fraud", "env": [{"name": "LD_PRELOAD", "value": "/x.so"}], **OPEN}
CUSTOM: dict[str, Any] = {"runtime": {"custom": {"image": "x"}}}


@pytest.fixture(scope="module")
def apply(installed: Kubectl) -> Iterator[Any]:
    """Applies an InferenceService; empty where it is taken, else the refusal. `old` existed before the policy did."""

    def run(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return installed("--namespace", NAMESPACE, *words, stdin=stdin)

    def apply(spec: dict[str, Any], name: str = "fraud") -> str:
        done = run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest(spec, name))
        return done.stderr if done.returncode else ""

    command = [
        str(golang.build(golang.HELM)),
        "template",
        "flywheel",
        str(CHART),
        "--set",
        "serving.allowedEnv={HF_HOME}",
        "--set",
        f"watchNamespaces={{{NAMESPACE}}}",
    ]
    rendered = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    found = [
        each for each in yaml.safe_load_all(rendered) if each and each["metadata"]["name"] == "flywheel-serving-env"
    ]
    assert run("create", "namespace", NAMESPACE).returncode == 0
    assert apply(LOADED, "old") == ""
    policies = yaml.safe_dump_all(found)
    assert run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=policies).returncode == 0

    def policy_is_known() -> bool:
        return "LD_PRELOAD" in run("create", "--dry-run=server", "-f", "-", stdin=manifest(LOADED, "probe")).stderr

    wait_until(policy_is_known, 60, "the API server does not apply the policy")
    yield apply
    run("delete", "-f", "-", stdin=policies)


def test_a_variable_that_runs_code_is_refused_with_the_next_step(apply: Any) -> None:
    assert (
        "spec.env: LD_PRELOAD may not be set for Flywheel's own server, which takes HF_HOME, OMP_NUM_THREADS, OMP_WAIT_POLICY; "
        "remove them, have an administrator add them to the chart's value serving.allowedEnv, or set spec.runtime.custom"
    ) in apply(LOADED)


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "OMP_WAIT_POLICY", "HF_HOME"])
def test_the_list_and_the_values_are_allowed(name: str, apply: Any) -> None:
    assert apply({"model": "fraud", "env": [{"name": name, "value": "1"}], **OPEN}) == ""


def test_another_runtime_takes_any_variable_and_ours_does_not_inherit_them(apply: Any) -> None:
    assert apply({**LOADED, **CUSTOM}, "other") == ""
    assert "LD_PRELOAD may not be set" in apply({**LOADED, "runtime": {"flywheel": {}}}, "other")


def test_a_service_from_before_the_policy_stays_editable_but_for_its_variables(apply: Any) -> None:
    assert apply({**LOADED, "replicas": 3}, "old") == ""
    more = [*LOADED["env"], {"name": "PYTHONPATH", "value": "/flywheel/inputs/model"}]
    assert "LD_PRELOAD, PYTHONPATH may not be set" in apply({**LOADED, "env": more}, "old")
    assert apply({"model": "fraud", **OPEN}, "old") == ""
