"""The configuration of the commands in step pods, as the operator writes it (tests/contracts/config; tests/core/pods/test_step_config.py)."""

import json
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands.ab_test.config import ABTestConfig
from flywheel_runtime.commands.batch.config import BatchConfig
from flywheel_runtime.commands.canary_analysis.config import CanaryAnalysisConfig
from flywheel_runtime.commands.check_features import CheckFeaturesConfig
from flywheel_runtime.commands.compare import CompareConfig
from flywheel_runtime.commands.evaluate.main import EvaluateConfig
from flywheel_runtime.commands.gates.config import GatesConfig, LabelSource
from flywheel_runtime.commands.monitor.config import GroundTruth, MonitorConfig
from flywheel_runtime.commands.notify import NotifyConfig
from flywheel_runtime.commands.package import PackageConfig
from flywheel_runtime.commands.prepare.main import PrepareConfig
from flywheel_runtime.commands.train.config import TrainConfig
from flywheel_runtime.contract.config.collect import (
    CheckpointConfig,
    CollectConfig,
    Output,
    PercentileRule,
    PruneConfig,
    RuleConfig,
    UploadThreshold,
)
from flywheel_runtime.contract.config.fetch import (
    FetchConfig,
    FolderSource,
    HTTPSource,
    Incremental,
    Input,
    S3Source,
    SqlSource,
    VolumeSource,
)
from flywheel_runtime.contract.config.track import CodeConfig, LogConfig, ObjectiveConfig, TrackConfig
from flywheel_runtime.contract.config.watch import WatchConfig
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.schema import DatasetSpec
from flywheel_runtime.params import Params

CONFIG = Path(__file__).parents[2] / "contracts" / "config"


def test_the_golden_document_of_fetch() -> None:
    lake = S3Source("s3://lake/orders/", "https://s3.example.com", "eu-central-1", foreign=True, secret="lake-read")

    shop: dict[str, Any] = {"host": "db.example.com", "database": "shop", "secret": "shop-db"}
    orders = SqlSource(
        **shop,
        engine="PostgreSQL",
        port=5433,
        table="public.orders",
        tls="Verify",
        timeout_seconds=600,
        max_rows=1_000_000,
        ignore=("note",),
        incremental=Incremental("changed", 604_800, ("id",)),
        allowed_hosts=("db.example.com",),
    )
    refunds = SqlSource(
        **shop, engine="MariaDB", query="SELECT * FROM refunds", tls="Disabled", timeout_seconds=60, allowed_hosts=()
    )

    assert FetchConfig.parse((CONFIG / "fetch.json").read_text()) == FetchConfig(
        10 << 30,
        (
            Input("data", artifact="sha256:" + "0" * 64),
            Input("served", artifact="sha256:" + "0" * 64, files=("model.onnx", "signature.json")),
            Input("table", s3=lake),
            Input("model", s3=S3Source("s3://models/fraud.onnx"), sha256="1" * 64),
            Input("page", http=HTTPSource("https://example.com/a.csv", "2" * 64, ("example.com",))),
            Input("orders", sql=orders),
            Input("refunds", sql=refunds),
            Input("counts", folder=FolderSource("predictions/flight-delay/counts/", ("dt=2026-01-31/hour=17/",))),
            Input("state", artifact="sha256:" + "0" * 64, optional=True),
            Input("disk", volume=VolumeSource("2026/rows.parquet")),
        ),
    )


def test_the_golden_document_of_collect() -> None:
    found = CollectConfig.parse((CONFIG / "collect.json").read_text())

    assert found == CollectConfig(
        600.0,
        (Output("model", required=True),),
        json.loads((CONFIG / "collect.json").read_text())["audit"],
        PruneConfig("loss", False, "4f3c/0", RuleConfig(percentile=PercentileRule(25.0, 3, 10))),
        0,
        CheckpointConfig(60.0),
        UploadThreshold("loss", False, 0.25),
        21600.0,
        TrackConfig(
            kind="Experiment",
            name="nightly-train",
            trial=7,
            repeat=1,
            pipeline="flights",
            run="nightly",
            run_uid="77aa",
            dataset="flights",
            dataset_version="flights-f430cdc0",
            dataset_digest="sha256:f430",
            objective=ObjectiveConfig("loss", False),
            estimator="Ridge",
            parameters={"alpha": 0.1},
            seed=42,
            code=CodeConfig("4f3c", "https://git.example/models"),
            tags={"team": "delays"},
            retention="8760h",
            logs=LogConfig(("FLYWHEEL_MASK_0",)),
        ),
    )


def test_the_golden_document_of_watch() -> None:
    assert WatchConfig.parse((CONFIG / "watch.json").read_text()) == WatchConfig(600.0, 10.0, 21720.0)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("notify", NotifyConfig),
        ("ab_test", ABTestConfig),
        ("canary_analysis", CanaryAnalysisConfig),
        ("batch", BatchConfig),
        ("batch_feature_sets", BatchConfig),
        ("check", DatasetSpec),
        ("check_defaults", DatasetSpec),
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
def test_the_golden_documents_of_other_commands_are_read_whole(name: str, model: type[Params]) -> None:
    document = json.loads((CONFIG / f"{name}.json").read_text())

    found = model.parse(document).model_dump(mode="json", by_alias=True, exclude_unset=True)

    assert numbers(found) == numbers(document)


def numbers(value: Any) -> Any:
    """The document with texts that are numbers or percentages as numbers, since a command may read them so."""
    if isinstance(value, dict):
        return {key: numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [numbers(each) for each in value]
    try:
        return float(value.removesuffix("%")) / (100 if value.endswith("%") else 1) if isinstance(value, str) else value
    except ValueError:
        return value


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        pytest.param(
            {"body": {}, "allowedHosts": "localhost"}, "allowedHosts: Input should be a valid list", id="no list"
        ),
        pytest.param({"allowedHosts": []}, "body: Field required", id="a missing field"),
    ],
)
def test_parameters_that_cannot_be_read_name_the_field(document: Any, problem: str) -> None:
    with pytest.raises(Failure) as failed:
        NotifyConfig.parse(document)

    assert (failed.value.reason, failed.value.message) == ("ParamsInvalid", f"params.json cannot be read: {problem}.")


def test_absent_fields_have_their_defaults() -> None:
    assert (FetchConfig.parse("{}"), CollectConfig.parse("{}")) == (FetchConfig(), CollectConfig())


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        pytest.param([], "the document is no object", id="no object"),
        pytest.param({"timeoutSecond": 1}, "timeoutSecond is not known", id="an unknown field"),
        pytest.param({"timeoutSeconds": "10"}, "timeoutSeconds is '10'", id="a text for a number"),
        pytest.param({"timeoutSeconds": True}, "timeoutSeconds is True", id="a Boolean for a number"),
        pytest.param({"leader": 0.5}, "leader is 0.5", id="a fraction for an integer"),
        pytest.param({"outputs": {}}, "outputs is no list", id="no list"),
        pytest.param({"outputs": [{"required": True}]}, "outputs[0].name is missing", id="a missing field"),
        pytest.param({"keep": {"metric": "loss", "maximize": 0, "reach": 1}}, "keep.maximize is 0", id="a number for a Boolean"),
        pytest.param({"checkpoint": []}, "checkpoint is no object", id="a list for an object"),
        pytest.param(
            {"prune": {"metric": "m", "maximize": True, "group": "../x", "rule": {"median": {}}}}, "prune.group", id="another group"
        ),
        pytest.param(
            {"prune": {"metric": "m", "maximize": True, "group": "x", "rule": {}}}, "exactly one rule", id="no rule"
        ),
    ],
)  # fmt: skip
def test_a_document_that_is_not_the_contracts_is_refused_with_its_field(document: Any, problem: str) -> None:
    with pytest.raises(Failure) as failed:
        CollectConfig.parse(json.dumps(document))

    assert failed.value.reason == "InternalError"
    assert problem in failed.value.message


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"name": "a/b", "artifact": "x"}, "InternalError"),
        ({"name": "a"}, "InternalError"),
        ({"name": "a", "artifact": "x", "volume": {"path": "y"}}, "InternalError"),
        ({"name": "a", "s3": {"uri": "https://bucket/key"}}, "SourceInvalid"),
        ({"name": "a", "s3": {"uri": "s3://"}}, "SourceInvalid"),
    ],
)
def test_an_input_that_is_not_the_contracts_is_refused(entry: Any, reason: str) -> None:
    with pytest.raises(Failure) as failed:
        FetchConfig.parse(json.dumps({"inputs": [entry]}))

    assert failed.value.reason == reason


@pytest.mark.parametrize("share", [pytest.param("0.2", id="text"), pytest.param(0.2, id="a number of builds before")])
def test_a_share_of_labels_is_read_in_every_form(share: str | float) -> None:
    gate, monitor = (
        LabelSource.model_validate({"gate": "a", "maxSourceShare": share}),
        GroundTruth.model_validate({"maxSourceShare": share}),
    )

    assert (gate.max_source_share, monitor.max_source_share) == (0.2, 0.2)
