"""What `spec.logging` makes of the server's pod, and what is said where it does not fit the model."""

import json
from typing import Any

import pytest

from flywheel.core.resource.api import MODEL_VERSION
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice import children
from flywheel.kinds.inferenceservice.decide import decide
from flywheel.kinds.inferenceservice.kind import KIND
from flywheel.kinds.inferenceservice.logging import prediction_logging
from flywheel.kinds.inferenceservice.logging.prediction_logging import Log
from flywheel.kinds.inferenceservice.observe import observe
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema.logging import Logging
from flywheel_serving.prediction_log import config
from tests.simulation import FakeCluster, resource
from tests.simulation.resources import custom

TARGET = ResolvedVersion("delay-1", "sha256:" + "1" * 64)
SECRETIVE = {"columns": [{"name": "carrier", "action": "Hmac"}], "hmac": {"name": "log-key", "key": "hmac"}}


def service(**logging: Any) -> InferenceService:
    found: InferenceService = resource(KIND, "delay", {"version": "delay-1", "auth": {"none": {}}, "logging": logging})
    return found


def pod(**logging: Any) -> Any:
    return children.deployment(service(**logging), TARGET, Settings()).manifest["spec"]["template"]["spec"]


def config_of(container: Any) -> config.LogConfig:
    """What server and sink read, as the kubelet gives it to them."""
    return config.parse_log_config(container["args"][-1].replace("$(FLYWHEEL_POD)", "delay-7d9c"))


def mount_paths(container: Any) -> set[str]:
    return {mount["mountPath"] for mount in container["volumeMounts"]}


def test_server_and_sink_read_the_configuration_that_the_operator_writes() -> None:
    server, sink = pod(sample="12.5%", key="flight_id", **SECRETIVE)["containers"]
    found = config_of(server)

    assert server["args"][-2] == "--record"
    assert config_of(sink) == found
    assert (found.sample, found.service, found.namespace, found.pod) == (0.125, "delay", "default", "delay-7d9c")
    assert (found.digest, found.key) == (TARGET.digest, "flight_id")
    assert found.columns == (config.ColumnRule("carrier", "Hmac"),)
    assert found.socket.rpartition("/")[0] in mount_paths(server) & mount_paths(sink)


def test_the_sink_alone_has_the_keys_and_another_user_than_the_server() -> None:
    described = pod(**SECRETIVE)
    server, sink = described["containers"]
    found = config_of(sink)

    assert {found.store, found.hmac_file.rpartition("/")[0]} <= mount_paths(sink)
    assert not {found.store, found.hmac_file.rpartition("/")[0]} & mount_paths(server)
    assert (described["securityContext"]["runAsUser"], sink["securityContext"]["runAsUser"]) == (65532, 65531)
    assert "runAsUser" not in server["securityContext"]
    assert not described.get("shareProcessNamespace")
    assert [each["readOnly"] for each in server["volumeMounts"] if each["name"] == "log"] == [True]


def test_the_sink_requests_cpu_and_memory_so_that_an_autoscaler_can_measure_the_pod() -> None:
    sink = pod()["containers"][1]

    assert sink["resources"]["requests"].keys() == {"cpu", "memory"}


def test_a_name_that_looks_like_a_variable_is_left_alone() -> None:
    told = prediction_logging.flags(Log(Logging(key="$(HOME)"), "delay", "default", "sha256:1"))["--record"]

    # The kubelet writes $$(HOME) as $(HOME).
    assert "$$(HOME)" in told
    assert json.loads(told.replace("$$(", "$("))["key"] == "$(HOME)"


def test_the_store_and_the_key_of_hashes_are_mounted() -> None:
    volumes = {volume["name"]: volume["secret"] for volume in pod(**SECRETIVE)["volumes"] if "secret" in volume}

    assert volumes["store"] == {"secretName": "flywheel-store"}
    assert volumes["hmac"] == {"secretName": "log-key", "items": [{"key": "hmac", "path": "key"}]}


def test_no_key_of_the_store_is_in_the_servers_environment() -> None:
    server, sink = pod()["containers"]

    assert "envFrom" not in sink
    assert "envFrom" not in server
    assert [variable["name"] for variable in server["env"]] == ["FLYWHEEL_POD"]


def test_the_pods_end_leaves_the_sink_its_time() -> None:
    found = config_of(pod()["containers"][0])
    quiet: InferenceService = resource(KIND, "delay", {"version": "delay-1", "auth": {"none": {}}})
    plain = children.deployment(quiet, TARGET, Settings()).manifest["spec"]["template"]["spec"]

    assert pod()["terminationGracePeriodSeconds"] - plain["terminationGracePeriodSeconds"] > found.drain_seconds


@pytest.mark.parametrize(
    ("logging", "words"),
    [
        pytest.param({}, "", id="everything as it is"),
        pytest.param({"columns": [{"name": "wind", "action": "Bucket", "width": "5"}]}, "", id="buckets of a number"),
        pytest.param({"columns": [{"name": "label", "action": "Drop"}]}, "", id="an output"),
        pytest.param({"key": "id", "columns": [{"name": "id", "action": "Drop"}]}, "", id="the key"),
        pytest.param(
            {"columns": [{"name": "winds", "action": "Drop"}]},
            "column 'winds' is no input or output of the model, which has carrier, label, wind",
            id="a name with a slip",
        ),
        pytest.param(
            {"columns": [{"name": "carrier", "action": "Bucket", "width": "5"}]},
            "column 'carrier' is no number and has no buckets; use Hmac or Drop",
            id="buckets of text",
        ),
    ],
)
def test_what_does_not_fit_the_model_is_said(logging: dict[str, Any], words: str) -> None:
    found = prediction_logging.mismatch_note(
        Logging.model_validate(logging), {"wind": "FP32", "carrier": "BYTES", "label": "INT64"}
    )

    assert words in found
    assert bool(found) is bool(words)


def test_a_model_whose_signature_is_not_known_is_not_judged() -> None:
    assert (
        prediction_logging.mismatch_note(Logging.model_validate({"columns": [{"name": "winds", "action": "Drop"}]}), {})
        == ""
    )


@pytest.mark.parametrize(("column", "said"), [("wind", False), ("winds", True)])
def test_the_status_says_that_predictions_are_not_logged(column: str, said: bool) -> None:
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Verified",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    signature = {"inputs": [{"name": "wind", "datatype": "FP32", "shape": [-1, 1]}], "outputs": []}
    status = {"digest": TARGET.digest, "conditions": [ready], "signature": signature}
    cluster = FakeCluster().put(custom(MODEL_VERSION, "delay-1", {"model": "delay"}, status=status))
    asked = service(columns=[{"name": column, "action": "Drop"}])

    plan = decide(asked, observe(asked, cluster))

    assert ("Predictions are not logged: column 'winds'" in plan.message) is said
    assert plan.children, "it is served all the same"
