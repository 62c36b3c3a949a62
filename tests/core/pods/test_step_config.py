"""The configuration of the commands in step pods, as their pods read it (tests/contracts/config; tests/runtime/contract/test_config.py)."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from flywheel.core.pods.fetch import Input, fetch_container
from flywheel.core.pods.sidecar_config import CollectConfig, WatchConfig
from flywheel.core.pods.step_config.batch import BatchConfig
from flywheel.core.pods.step_config.config import StepConfig
from flywheel.core.pods.step_config.fetched import FetchConfig
from flywheel.core.pods.step_config.monitoring import MonitorConfig, NotifyConfig
from flywheel.core.pods.step_config.promotion import CanaryAnalysisConfig, GatesConfig
from flywheel.core.pods.step_config.training import (
    CompareConfig,
    EvaluateConfig,
    PackageConfig,
    PrepareConfig,
    TrainConfig,
)
from flywheel.core.settings import Settings
from flywheel.kinds.dataset.children import CheckConfig
from flywheel.kinds.featureset.children import CheckFeaturesConfig
from flywheel.kinds.inferenceservice.rollout.look_job import ABTestConfig
from flywheel.kinds.model.schema.gates import Gate
from flywheel.kinds.model.schema.spec import ModelSpec

CONFIG = Path(__file__).parents[2] / "contracts" / "config"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("fetch", FetchConfig),
        ("collect", CollectConfig),
        ("watch", WatchConfig),
        ("notify", NotifyConfig),
        ("canary_analysis", CanaryAnalysisConfig),
        ("ab_test", ABTestConfig),
        ("batch", BatchConfig),
        ("batch_feature_sets", BatchConfig),
        ("check", CheckConfig),
        ("check_defaults", CheckConfig),
        ("train", TrainConfig),
        ("train_defaults", TrainConfig),
        ("train_rowwise", TrainConfig),
        ("prepare", PrepareConfig),
        ("prepare_feature_sets", PrepareConfig),
        ("check_features", CheckFeaturesConfig),
        ("evaluate", EvaluateConfig),
        ("package", PackageConfig),
        ("compare", CompareConfig),
        ("gates", GatesConfig),
        ("monitor", MonitorConfig),
        ("monitor_batch", MonitorConfig),
    ],
)
def test_the_golden_document_is_written_as_it_was_read(name: str, kind: type[StepConfig]) -> None:
    document = json.loads((CONFIG / f"{name}.json").read_text())

    assert json.loads(kind.model_validate(document).to_json()) == document


def test_the_golden_gates_are_those_of_a_model() -> None:
    gates = json.loads((CONFIG / "gates.json").read_text())["gates"]

    own = [gate for gate in gates if not gate.get("optional")]
    assert [Gate.model_validate(gate).job_config() for gate in own] == own
    assert [gate for gate in gates if gate not in own] == ModelSpec().measured_gates()


def test_fields_that_were_not_set_are_not_written() -> None:
    container = fetch_container([Input("data", s3={"uri": "s3://x/y"})], Settings(), {}, 5)
    [config] = [each["value"] for each in container["env"] if each["name"] == "FLYWHEEL_FETCH"]

    assert json.loads(config) == {"limitBytes": 5, "inputs": [{"name": "data", "s3": {"uri": "s3://x/y"}}]}


def test_a_field_that_the_pod_does_not_know_is_refused_here() -> None:
    with pytest.raises(ValidationError, match="secretName"):
        fetch_container([Input("data", s3={"uri": "s3://x/y", "secretName": "lake"})], Settings(), {}, 5)
