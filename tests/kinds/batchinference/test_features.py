"""A BatchInference that looks features up: by the definitions that its version pins, in the present versions of their Datasets."""

import json
from typing import Any

import pytest

from flywheel.core.resource.api import DATASET, FEATURE_SET, MODEL_VERSION, Manifest, Reference
from flywheel.kinds.batchinference.kind import KIND
from flywheel.kinds.batchinference.preview import preview
from tests.kinds.batchinference.situations import DIGEST, PLANNED, SPEC, Batch, failing, model
from tests.simulation import params, resource
from tests.simulation.resources import custom

OLD, NOW, NEWER, DEFINITION, OTHER = (f"sha256:{letter * 64}" for letter in "1234d")
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Checked",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def version(name: str = "fraud-1", *sets: str) -> Manifest:
    """A version that was trained with these sets, on earlier versions of their Datasets."""
    used = [{"name": "payments", "version": "payments-1", "digest": OLD}]
    digests = {"context": DEFINITION, "accounts": OTHER}
    pins = [{"name": each, "digest": digests[each], "datasets": used} for each in sets]
    lineage = {"datasetVersion": "orders-1", "datasetDigest": OLD, **({"featureSets": pins} if pins else {})}
    spec = {"model": "fraud", "format": "ONNX", "source": {"artifact": {"digest": DIGEST}}, "lineage": lineage}
    return custom(MODEL_VERSION, name, spec, status={"digest": DIGEST, "conditions": [READY]})


def dataset(digest: str = NOW, **condition: Any) -> Manifest:
    status = {"conditions": [{**READY, **condition}], "versions": [{"name": "payments-2", "digest": digest}]}
    return custom(DATASET, "payments", {}, status=status)


def looking_up(*manifests: Manifest, features: Any = None) -> Batch:
    found = manifests or (model(), version("fraud-1", "context"), dataset())
    return Batch(*found, features={"from": "context"} if features is None else features)


PRESENT = [{"name": "payments", "version": "payments-2", "digest": NOW}]


def pinned(batch: Batch) -> list[tuple[str, str, list[dict[str, str]]]]:
    """The sets of the run, each with its digest and its Datasets."""
    run = batch.status.run
    return [
        (each.name, str(each.digest), [dataset.model_dump(mode="json") for dataset in each.datasets])
        for each in run.feature_sets
    ]


def test_a_run_takes_the_pinned_definition_and_the_present_data() -> None:
    batch = looking_up()

    plan = batch.reconcile()

    assert plan.reason == "Planning"
    assert pinned(batch) == [("context", DEFINITION, PRESENT)]
    told = params(batch.job("plan", 1))
    assert told["featureSets"] == [
        {"name": "context", "digest": DEFINITION, "input": "set-0", "tables": {"payments": "table-0"}, "datasets": PRESENT}
    ]  # fmt: skip


def fetched(job: Manifest) -> dict[str, dict[str, Any]]:
    """The artifacts that the pod of a Job downloads, by the names of the inputs."""
    spec = job["spec"]["template"]["spec"]
    [fetch] = [each for each in spec["initContainers"] if each["name"] == "fetch"]
    [config] = [each["value"] for each in fetch["env"] if each["name"] == "FLYWHEEL_FETCH"]
    return {each.pop("name"): each for each in json.loads(config)["inputs"]}


def test_the_plan_reads_schemas_and_a_shard_reads_rows() -> None:
    batch = looking_up()
    batch.reconcile()
    planning = fetched(batch.job("plan", 1))
    batch.end("plan", 1, **PLANNED)
    batch.reconcile()

    scoring = fetched(batch.job("score", 2))

    # Its main says what to do if the definition is gone.
    assert planning["set-0"] == scoring["set-0"] == {"artifact": DEFINITION, "optional": True}
    assert planning["table-0"] == {"artifact": NOW, "files": ["schema.json"]}
    rows = ["schema.json", "train.parquet", "validation.parquet", "test.parquet"]
    assert scoring["table-0"] == {"artifact": NOW, "files": rows}
    assert "features.json" in planning["model"]["files"]


def test_without_a_name_all_sets_of_the_version_are_looked_up() -> None:
    batch = looking_up(model(), version("fraud-1", "context", "accounts"), dataset(), features={})

    batch.reconcile()

    assert [name for name, *_ in pinned(batch)] == ["context", "accounts"]
    assert {"set-0", "set-1", "table-0"} < {*fetched(batch.job("plan", 1))}


def test_without_a_name_a_version_without_sets_has_nothing_to_look_up() -> None:
    batch = looking_up(model(), version(), features={})

    assert batch.reconcile().reason == "Planning"
    assert pinned(batch) == []
    assert "featureSets" not in params(batch.job("plan", 1))


@pytest.mark.parametrize(
    ("manifests", "reason", "part"),
    [
        pytest.param(
            (model(), version(), dataset()), "FeatureSetNotPinned",
            "ModelVersion 'fraud-1' was trained without FeatureSets; remove spec.features", id="a version without sets",
        ),
        pytest.param(
            (model(), version("fraud-1", "accounts"), dataset()), "FeatureSetNotPinned",
            "was not trained with FeatureSet 'context' but with 'accounts'; correct spec.features.from", id="another set",
        ),
    ],
)  # fmt: skip
def test_a_set_that_the_version_does_not_pin_stalls(manifests: Any, reason: str, part: str) -> None:
    batch = looking_up(*manifests)

    plan = batch.reconcile()

    assert (plan.ready, plan.stalled, plan.reason) == (False, True, reason)
    assert part in plan.message
    assert batch.steps == []


@pytest.mark.parametrize(
    ("manifests", "reason", "part"),
    [
        pytest.param(
            (model(), version("fraud-1", "context")), "DatasetNotFound",
            "Dataset 'payments', in which FeatureSet 'context' looks features up, does not exist", id="no Dataset",
        ),
        pytest.param(
            (model(), version("fraud-1", "context"), dataset(status="False", message="It is checked.")), "DatasetNotReady",
            "to be Ready: It is checked.", id="a Dataset that is not Ready",
        ),
    ],
)  # fmt: skip
def test_a_dataset_is_waited_for(manifests: Any, reason: str, part: str) -> None:
    batch = looking_up(*manifests)

    waiting = batch.reconcile()
    batch.put(dataset())

    assert (waiting.ready, waiting.stalled, waiting.reason) == (False, False, reason)
    assert part in waiting.message
    assert batch.reconcile().reason == "Planning"


def test_another_champion_that_pins_the_set_ends_the_stall() -> None:
    batch = looking_up(model(), version(), dataset())
    batch.reconcile()

    batch.put(model("fraud-2"), version("fraud-2", "context"))

    assert batch.reconcile().reason == "Planning"


def test_newer_data_during_a_run_changes_nothing_until_it_plans_again() -> None:
    batch = looking_up()
    batch.reconcile()
    batch.put(dataset(NEWER))
    batch.end("plan", 1, **PLANNED)
    batch.reconcile()
    before = pinned(batch)

    batch.end("score", 2, main=failing("InputChanged", retry=False))
    batch.reconcile()
    batch.advance(minutes=10)
    batch.reconcile()

    assert before == [("context", DEFINITION, PRESENT)]
    assert pinned(batch) == [("context", DEFINITION, [{**PRESENT[0], "digest": NEWER}])]
    assert batch.steps[-1] == "plan-3"


def test_a_lost_status_keeps_the_sets_of_the_run() -> None:
    batch = looking_up()
    batch.reconcile_and_lose_status()
    batch.put(dataset(NEWER))

    batch.reconcile()

    assert pinned(batch) == [("context", DEFINITION, PRESENT)]


def test_it_refers_to_what_it_looks_up_in() -> None:
    batch = looking_up()
    batch.reconcile()

    found = {*KIND.references(batch.now)}

    assert {Reference(FEATURE_SET, "default", "context"), Reference(DATASET, "default", "payments")} <= found


def test_other_features_are_another_run() -> None:
    batch = looking_up().score()

    batch.patch_spec(features={})
    plan = batch.reconcile()

    assert plan.reason == "Planning"


def test_the_jobs_that_will_be_have_the_definition() -> None:
    batch: Any = resource(KIND, "scores", {**SPEC, "features": {"from": "context"}})

    jobs = [each.manifest for each in preview(batch, Batch().cluster.settings)]

    assert all("set-0" in fetched(each) for each in jobs[:2])
