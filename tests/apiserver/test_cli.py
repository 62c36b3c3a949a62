"""The command `flywheel` on a real API server: what it reads, what it writes, and what the server says of that."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.waiting import wait_until
from flywheel.cli import main
from flywheel.cluster.client import Client
from flywheel.cluster.credentials import configuration
from flywheel.core.resource.api import (
    DATASET,
    EXPERIMENT,
    INFERENCE_SERVICE,
    JOB,
    MODEL,
    MODEL_VERSION,
    TRAINING_RUN,
    Api,
    Manifest,
    Reference,
)
from tests.apiserver.manifests import Kubectl
from tests.cli import sample_namespace
from tests.documents import CHECKOUT, documents

pytestmark = pytest.mark.apiserver

Printed = Callable[[], tuple[str, str]]
NAMESPACES = Api("", "v1", "Namespace", "namespaces")
PRIORITY_CLASSES = Api("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses")
CRDS = Api("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
NAMESPACE, TARGET = "cli", "cli-target"
EXAMPLES = [(where, text) for where, text in documents() if where.startswith("crds/examples/")]


@pytest.fixture(scope="module")
def client(installed: Kubectl, apiserver: Path) -> Client:
    """The API server, with the world of tests/cli in a namespace."""
    found = Client(configuration({"KUBECONFIG": str(apiserver)}))
    for name in (NAMESPACE, TARGET):
        found.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "namespace": ""}})
    # One of the examples asks for it, and its pods would be refused rightly.
    batch = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "batch", "namespace": ""},
        "value": 1,
    }
    found.create(PRIORITY_CLASSES, batch)
    made = put(found, EXPERIMENT, sample_namespace.SEARCH)
    for api, manifests in sample_namespace.EVERYTHING.items():
        for manifest in manifests if api != EXPERIMENT else ():
            put(found, api, with_uid(manifest, str(made["metadata"]["uid"])))
    return found


def with_uid(manifest: Manifest, uid: str) -> Manifest:
    """A version that says from which Experiment it is."""
    if "lineage" not in manifest["spec"]:
        return manifest
    return {**manifest, "spec": {**manifest["spec"], "lineage": {**manifest["spec"]["lineage"], "experimentUid": uid}}}


def put(client: Client, api: Api, manifest: Manifest) -> Manifest:
    """Spec, then status, as a user and the operator write them."""
    head = {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"]}
    metadata = {"name": manifest["metadata"]["name"], "namespace": NAMESPACE}
    made, _ = client.apply(api, {**head, "metadata": metadata, "spec": manifest["spec"]}, "user")
    if "status" in manifest:
        client.apply(api, {**head, "metadata": metadata, "status": manifest["status"]}, "operator", "status")
    return made


@pytest.fixture
def flywheel(
    client: Client, apiserver: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs a command in that namespace; its exit code, and all that it printed."""
    monkeypatch.setenv("KUBECONFIG", str(apiserver))

    def call(*words: str | Path, namespace: str = NAMESPACE) -> tuple[int, str]:
        code = main([*(str(word) for word in words), "--namespace", namespace])
        told = capsys.readouterr()
        return code, told.out + told.err

    return call


Flywheel = Callable[..., tuple[int, str]]


@pytest.mark.parametrize("form", ["card", "bom", "json"])
def test_what_is_exported_is_checked_and_found_unmodified(flywheel: Flywheel, tmp_path: Path, form: str) -> None:
    file = tmp_path / "exported"

    assert flywheel("export", sample_namespace.CHAMPION, "--format", form, "--to", file)[0] == 0
    code, told = flywheel("export", "--check", file)

    assert (code, told) == (
        0,
        f"{file} is unmodified, and matches the cluster's ModelVersion '{sample_namespace.CHAMPION}'\n",
    )


def test_an_export_tells_of_data_search_and_services(flywheel: Flywheel) -> None:
    code, told = flywheel("export", sample_namespace.CHAMPION, "--format", "json")
    facts = json.loads(told)

    assert code == 0
    assert facts["dataset"]["splits"] == {"train": 229142, "validation": 49102, "test": 49102}
    assert facts["experiment"]["trial"]["usage"] == {"cpuSeconds": 31, "memoryPeakBytes": 312000000}
    assert facts["services"] == [{"name": "delay", "role": "serves", "url": "http://delay.shop.svc:8080"}]
    assert facts["standing"]["verdict"] == "Champion"


def test_a_changed_file_is_found_and_its_field_named(flywheel: Flywheel, tmp_path: Path) -> None:
    file = tmp_path / "card.md"
    flywheel("export", sample_namespace.CHAMPION, "--to", file)
    file.write_text(file.read_text().replace("- Owner: operations-research", "- Owner: nobody"))

    code, told = flywheel("export", "--check", file)

    assert code == 1
    assert "was modified after its export" in told
    assert 'the file says "- Owner: nobody", the cluster "- Owner: operations-research"' in told


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        pytest.param(("ONNX", "ONNX"), "is unmodified", id="unmodified"),
        pytest.param(("ONNX", "Pickle"), "was modified after its export", id="changed"),
    ],
)
def test_a_file_whose_version_is_gone_is_checked_by_itself(
    flywheel: Flywheel, tmp_path: Path, change: tuple[str, str], finding: str
) -> None:
    file = tmp_path / "card.md"
    flywheel("export", sample_namespace.CHAMPION, "--to", file)
    file.write_text(file.read_text().replace(*change))

    code, told = flywheel("export", "--check", file, namespace=TARGET)

    assert code == 1
    assert f"{finding}, and cannot be compared with the cluster: ModelVersion" in told


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        pytest.param(("export", "nobody"), 1, "ModelVersion 'nobody' in namespace 'cli' does not exist", id="no such version"),
        pytest.param(("export", sample_namespace.OLDER), 1, "is not verified, so there is nothing to export yet: Its verify Job runs", id="not verified"),
        pytest.param(("export",), 2, "name the ModelVersion to export, or the file to --check", id="nothing to do"),
        pytest.param(("export", "--check", "nowhere.md"), 1, "'nowhere.md' cannot be read", id="no such file"),
        pytest.param(("promote", "nobody", "--to", "x"), 1, "Model 'nobody' in namespace 'cli' does not exist", id="no such model"),
        pytest.param(
            ("promote", "delay", "--version", sample_namespace.FOREIGN, "--to", "x"), 1, "is of Model 'fraud', not of 'delay'", id="another's version"
        ),
        pytest.param(("promote", "delay", "--version", sample_namespace.OLDER, "--to", "x"), 1, "is not verified, so it is promoted nowhere", id="unproven"),
        pytest.param(("run", "nothing"), 1, "TrainingPipeline 'nothing' in namespace 'cli' does not exist", id="no such pipeline"),
        pytest.param(("run", "monthly", "-p", "months"), 2, "write NAME=VALUE, such as -p months=6", id="no value"),
        pytest.param(("run", "monthly", "-p", "a=1", "-p", "a=2"), 2, "-p a is given twice", id="two values"),
        pytest.param(("run", "monthly", "--timeout", "2h"), 2, "--timeout needs --wait", id="a timeout of nothing"),
        pytest.param(("run", "monthly", "--wait", "--timeout", "2 h"), 2, "must be an integer followed by s, m, h or d", id="no duration"),
        pytest.param(("run", "monthly", "--reproduce-of", "x", "-p", "a=1"), 2, "takes the parameters of that run", id="both"),
        pytest.param(("test", "-f", "nowhere.yaml"), 1, "'nowhere.yaml' cannot be read", id="no such manifest"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(flywheel: Flywheel, words: tuple[str, ...], code: int, sentence: str) -> None:
    answer = flywheel(*words)

    assert answer[0] == code
    assert sentence in answer[1]


def test_a_lineage_is_printed(flywheel: Flywheel) -> None:
    code, told = flywheel("lineage", sample_namespace.CHAMPION)

    assert code == 0
    assert "         └─ Source s3://flywheel/demo/flights/" in told
    assert "├─ InferenceService delay, http://delay.shop.svc:8080, serves it" in told


def test_a_lineage_is_json_for_programs(flywheel: Flywheel) -> None:
    told = json.loads(flywheel("lineage", "flights-aaaaaaaa", "--format", "json")[1])

    assert {"from": "datasetversion/flights-aaaaaaaa", "to": "experiment/delay-search"} in told["edges"]
    assert f"modelversion/{sample_namespace.CHAMPION}" in {each["id"] for each in told["nodes"]}


@pytest.mark.parametrize(
    ("model", "more"),
    [
        pytest.param("delay", (), id="by digest"),
        pytest.param("delay", ("--source", "s3://production/delay.onnx", "--sha256", "7" * 64), id="by file"),
        pytest.param("fraud", (), id="brought"),
    ],
)
def test_what_is_promoted_is_taken_elsewhere(
    flywheel: Flywheel, installed: Kubectl, tmp_path: Path, model: str, more: tuple[str, ...]
) -> None:
    code, told = flywheel("promote", model, "--to", tmp_path, "--target-namespace", TARGET, *more)
    assert code == 0, told

    done = installed("apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename", str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert {yaml.safe_load(file.read_text())["metadata"]["namespace"] for file in tmp_path.iterdir()} == {TARGET}


@pytest.mark.parametrize("document", [pytest.param(text, id=where) for where, text in EXAMPLES])
def test_every_example_leads_to_what_the_server_takes(
    flywheel: Flywheel, client: Client, tmp_path: Path, document: str
) -> None:
    (tmp_path / "one.yaml").write_text(document)

    code, told = flywheel("test", "-f", tmp_path / "one.yaml", namespace=TARGET)

    assert code == 0, told
    assert told.endswith("0 refused; nothing was created\n")
    assert [
        each
        for api in (DATASET, MODEL, MODEL_VERSION, EXPERIMENT, INFERENCE_SERVICE, JOB)
        for each in client.list_objects(api, TARGET)
    ] == []


@pytest.mark.parametrize(
    ("example", "children"),
    [
        pytest.param("dataset", ["CronJob", "Job"], id="a Dataset"),
        pytest.param("modelversion", ["Job"], id="a version"),
        pytest.param("inferenceservice", ["Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount"], id="a service"),
        pytest.param("batchinference", ["CronJob", "Job"], id="a batch"),
    ],
)  # fmt: skip
def test_each_child_is_tested(flywheel: Flywheel, example: str, children: list[str]) -> None:
    _code, told = flywheel("test", "-f", CHECKOUT / f"crds/examples/{example}.yaml", namespace=TARGET)

    lines = [line.split() for line in told.splitlines()]
    asked = {words[1] for words in lines if len(words) > 3 and words[0] == "accepted" and words[3] == "of"}
    assert asked >= set(children), told


def test_a_pod_that_the_namespace_refuses_is_found_before_it_runs(
    flywheel: Flywheel, installed: Kubectl, tmp_path: Path
) -> None:
    limits = {"type": "Container", "max": {"memory": "32Mi"}}
    narrow = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cli-narrow"}},
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "narrow", "namespace": "cli-narrow"},
            "spec": {"limits": [limits]},
        },
    ]
    made = installed("apply", "--filename", "-", stdin=yaml.safe_dump_all(narrow))
    assert made.returncode == 0, made.stderr

    code, told = flywheel("test", "-f", CHECKOUT / "crds/examples/dataset.yaml", namespace="cli-narrow")

    assert code == 1
    assert "refused   a pod of Job 'flights-check-1-" in told
    assert "limit of 32Mi" in told


def test_a_manifest_that_breaks_a_rule_leads_to_nothing_more(flywheel: Flywheel, tmp_path: Path) -> None:
    wrong = {
        "apiVersion": "flywheel.ml/v1alpha1",
        "kind": "Dataset",
        "metadata": {"name": "wrong"},
        "spec": {"source": {}},
    }
    other = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}}
    (tmp_path / "two.yaml").write_text(yaml.safe_dump_all([wrong, other]))

    code, told = flywheel("test", "-f", tmp_path / "two.yaml")

    assert code == 1
    assert "refused   Dataset 'wrong'" in told
    assert "give exactly one of s3, pvc, http and sql" in told
    assert "Secret 's3': is no kind of Flywheel's" in told
    assert "1 object tested, 1 refused" in told


def test_a_field_that_nobody_knows_is_refused(flywheel: Flywheel, tmp_path: Path) -> None:
    wrong = yaml.safe_load((CHECKOUT / "crds/examples/dataset.yaml").read_text())
    wrong["spec"]["mood"] = "good"
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(wrong))

    code, told = flywheel("test", "-f", tmp_path / "one.yaml")

    assert code == 1
    assert ".spec.mood: field not declared in schema" in told


class Operator:
    """Plays the operator for the one run that comes next: writes these statuses, each as soon as the one before was printed."""

    def __init__(self, client: Client, statuses: list[dict[str, Any]]) -> None:
        self._client = client
        self._statuses = statuses
        self._before = {each["metadata"]["name"] for each in client.list_objects(TRAINING_RUN, NAMESPACE)}
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.run: Manifest = {}

    def _work(self) -> None:
        wait_until(lambda: bool(self._new()))
        self.run = self._new()[0]
        for status in self._statuses:
            metadata = {"name": self.run["metadata"]["name"], "namespace": NAMESPACE}
            head = {"apiVersion": TRAINING_RUN.api_version, "kind": TRAINING_RUN.kind, "metadata": metadata}
            self._client.apply(TRAINING_RUN, {**head, "status": status}, "operator", "status")
            time.sleep(1.5)

    def _new(self) -> list[Manifest]:
        found = self._client.list_objects(TRAINING_RUN, NAMESPACE)
        return [each for each in found if each["metadata"]["name"] not in self._before]


@pytest.fixture
def operator(client: Client) -> Iterator[Callable[..., Operator]]:
    started: list[Operator] = []

    def start(*statuses: dict[str, Any]) -> Operator:
        started.append(Operator(client, list(statuses)))
        started[-1].thread.start()
        return started[-1]

    yield start
    for each in started:
        each.thread.join(30)
        assert not each.thread.is_alive()


def status(succeeded: str, reason: str, message: str, *steps: dict[str, Any]) -> dict[str, Any]:
    conditions = [sample_namespace.condition(kind, succeeded, reason, message) for kind in ("Ready", "Succeeded")]
    return {"conditions": conditions, "steps": list(steps)}


RUNNING = status("Unknown", "Running", "Step 'search' runs.", {"name": "search", "state": "Running"})
STEP_DONE = {"name": "search", "state": "Succeeded", "cache": "Hit"}


@pytest.mark.parametrize(
    ("end", "code", "last"),
    [
        pytest.param(status("True", "Succeeded", "All steps ended well.", STEP_DONE), 0, "Succeeded: All steps ended well.", id="well"),
        pytest.param(
            status("False", "StepFailed", "Step 'search' failed.", {"name": "search", "state": "Failed"}), 1, "StepFailed: Step 'search' failed.", id="badly"
        ),
    ],
)  # fmt: skip
def test_a_run_is_followed_to_its_end(
    flywheel: Flywheel, operator: Callable[..., Operator], end: dict[str, Any], code: int, last: str
) -> None:
    played = operator(RUNNING, end)

    answer, told = flywheel("run", "monthly", "-p", "months=6", "--wait", "--timeout", "1m")

    assert answer == code
    lines = [line.partition(" ")[2] for line in told.splitlines()]
    assert "step 'search' Running" in lines
    assert lines.index("Running: Step 'search' runs.") < lines.index(last) == len(lines) - 1
    assert played.run["spec"]["parameters"] == {"months": "6"}
    assert str(played.run["metadata"]["name"]).startswith("monthly-")


def test_a_run_that_takes_too_long_goes_on(flywheel: Flywheel) -> None:
    code, told = flywheel("run", "monthly", "--wait", "--timeout", "1s")

    assert code == 1
    assert "has not ended within --timeout; it continues" in told


def test_a_run_that_is_deleted_is_not_waited_for(flywheel: Flywheel, client: Client) -> None:
    before = {each["metadata"]["name"] for each in client.list_objects(TRAINING_RUN, NAMESPACE)}

    def delete() -> None:
        def new() -> list[Manifest]:
            return [
                each for each in client.list_objects(TRAINING_RUN, NAMESPACE) if each["metadata"]["name"] not in before
            ]

        wait_until(lambda: bool(new()))
        metadata = new()[0]["metadata"]
        client.delete(Reference(TRAINING_RUN, NAMESPACE, metadata["name"]), metadata["uid"])

    thread = threading.Thread(target=delete, daemon=True)
    thread.start()
    code, told = flywheel("run", "monthly", "--wait", "--timeout", "1m")
    thread.join(30)

    assert code == 1
    assert "was deleted while it ran" in told


def test_who_stops_waiting_is_told_how_to_cancel(flywheel: Flywheel, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flywheel.cli.run.time.sleep", interrupted)

    code, told = flywheel("run", "monthly", "--wait")

    assert code == 130
    assert "The run continues. To cancel it: flywheel cancel monthly-" in told


def test_a_run_without_wait_says_where_to_look(flywheel: Flywheel) -> None:
    code, told = flywheel("run", "monthly")

    assert code == 0
    assert "'flywheel explain trainingrun/monthly-" in told


def test_whoever_has_no_kubeconfig_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))

    assert main(["lineage", "x"]) == 1
    assert "there is no cluster to connect to" in capsys.readouterr().err


def test_another_context_that_is_not_there_is_told(flywheel: Flywheel) -> None:
    code, told = flywheel("lineage", "x", "--context", "elsewhere")

    assert code == 1
    assert "elsewhere" in told


def test_every_step_of_a_pipeline_is_tested_and_what_steps_lead_to(flywheel: Flywheel) -> None:
    code, told = flywheel("test", "-f", CHECKOUT / "crds/examples/trainingpipeline.yaml", namespace=TARGET)

    assert code == 0, told
    asked = [line.split(maxsplit=2)[1:] for line in told.splitlines() if line.startswith("accepted")]
    jobs = {words[1].split("'")[1].rpartition("-run-")[2].partition("-")[0] for words in asked if words[0] == "Job"}
    assert {"window", "slices", "pack", "alert", "clean", "fit", "publish"} <= jobs, told
    assert {"TrainingPipeline", "ControllerRevision", "CronJob", "Experiment", "Model", "ModelVersion"} <= {
        words[0] for words in asked
    }
    assert any("of Experiment 'flight-delay-monthly-run-search" in words[1] for words in asked), told


def test_a_step_that_takes_what_no_step_leaves_is_found(flywheel: Flywheel, tmp_path: Path) -> None:
    silent = {"name": "silent", "container": {"image": "registry.example/a:1"}}
    wants = {
        "name": "wants",
        "container": {"image": "registry.example/b:1", "inputs": [{"name": "data", "from": "silent"}]},
    }
    pipeline = {
        "apiVersion": "flywheel.ml/v1alpha1",
        "kind": "TrainingPipeline",
        "metadata": {"name": "broken"},
        "spec": {"steps": [silent, wants]},
    }
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(pipeline))

    code, told = flywheel("test", "-f", tmp_path / "one.yaml")

    assert code == 1
    assert "refused   TrainingPipeline 'broken': Step 'silent' left no output" in told


def test_a_pipeline_that_cannot_work_is_refused_as_the_operator_would(flywheel: Flywheel, tmp_path: Path) -> None:
    step = {"name": "one", "container": {"image": "registry.example/a:1", "args": ["$(params.nobody)"]}}
    pipeline = {
        "apiVersion": "flywheel.ml/v1alpha1",
        "kind": "TrainingPipeline",
        "metadata": {"name": "broken"},
        "spec": {"steps": [step]},
    }
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(pipeline))

    code, told = flywheel("test", "-f", tmp_path / "one.yaml")

    assert code == 1
    assert "there is no $(params.nobody)" in told
