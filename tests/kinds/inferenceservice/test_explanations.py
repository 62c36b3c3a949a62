"""What `spec.explain` makes of the server's pod, and what is said of the version's method."""

import json
from typing import Any

import pytest

from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice import children
from flywheel.kinds.inferenceservice.explanations import method_note
from flywheel.kinds.inferenceservice.kind import KIND
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema.explain import Explain
from flywheel_serving.explanation.sidecar.config import parse_explain_config
from tests.simulation import resource

V1 = ResolvedVersion("fraud-1", f"sha256:{'1' * 64}")
EXPLAIN = {"sample": "1%", "header": True}


def service(**spec: Any) -> InferenceService:
    return resource(KIND, "fraud", {"version": "fraud-1", "auth": {"none": {}}, **spec})


def pod(**spec: Any) -> Any:
    deployment = children.deployment(service(**spec), V1, Settings())
    return deployment.manifest["spec"]["template"]["spec"]


def test_a_service_without_explanations_has_the_pod_of_earlier_releases() -> None:
    assert "explain" not in json.dumps(pod(logging={}))


def test_the_explainer_has_the_model_and_a_socket_and_no_key() -> None:
    described = pod(logging={}, explain=EXPLAIN)
    containers = {each["name"]: each for each in described["containers"]}
    explainer = containers["explain"]

    assert {each["mountPath"]: each.get("readOnly", False) for each in explainer["volumeMounts"]} == {
        "/flywheel": True,
        "/run/flywheel-explain": False,
    }
    assert "env" not in explainer
    assert "ports" not in explainer
    assert explainer["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert explainer["securityContext"]["readOnlyRootFilesystem"]
    assert "explain" not in {each["name"] for each in containers["log-sink"]["volumeMounts"]}


def test_server_and_explainer_read_the_same_configuration() -> None:
    described = pod(logging={}, explain={**EXPLAIN, "memory": "2Gi"})
    server, sink, explainer = described["containers"]
    flags = dict(zip(server["args"][::2], server["args"][1::2], strict=True))
    config = parse_explain_config(flags["--explain"])

    assert explainer["args"] == [flags["--explain"]]
    assert (config.sample, config.header, config.memory_bytes) == (0.01, True, (2048 - 128) * 2**20)
    assert json.loads(sink["args"][0])["explanations"] is True


def test_without_a_sample_the_log_has_no_column_for_explanations() -> None:
    _, sink, _ = pod(logging={}, explain={"header": True})["containers"]

    assert "explanations" not in json.loads(sink["args"][0])


def test_the_document_that_says_how_is_downloaded_for_the_explainer_alone() -> None:
    def files(**spec: Any) -> list[str]:
        [fetch] = pod(**spec)["initContainers"]
        env = {each["name"]: each.get("value", "") for each in fetch["env"]}
        found: list[str] = json.loads(env["FLYWHEEL_FETCH"])["inputs"][0]["files"]
        return found

    assert "explanation.json" not in files()
    assert "explanation.json" in files(explain={"header": True})


def test_the_template_changes_with_the_field_and_not_without_it() -> None:
    def inputs(**spec: Any) -> Any:
        return children.template_inputs(service(**spec), V1, Settings())["spec"]

    assert "explain" not in inputs(logging={})
    assert inputs(explain=EXPLAIN)["explain"] == EXPLAIN


@pytest.mark.parametrize(
    ("method", "note"),
    [
        pytest.param("LinearSHAP", " Answers are explained by LinearSHAP.", id="the method is named"),
        pytest.param("", " Answers are not explained: no exact method fits", id="why there is none"),
        pytest.param(None, "", id="an earlier release did not look for one"),
    ],
)
def test_the_version_says_which_method_it_has(method: str | None, note: str) -> None:
    assert method_note(Explain(header=True), method).startswith(note)
    assert not method_note(None, method)
