"""What is recorded of a run: its steps container and evaluate, and its search with the names of run and pipeline."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import DATASET, EXPERIMENT, TRAINING_PIPELINE, Manifest, Reference
from tests.kinds.trainingrun.situations import Runs, container, run
from tests.simulation.resources import custom

INPUTS = [{"name": "flights", "dataset": "flights"}]
TRAIN = {"name": "model", "train": {"from": "flights", "trainer": {"sklearn": {}}}}
PREPARE = {"name": "table", "prepare": {"from": ["flights"]}}
READY = {"type": "Ready", "status": "True", "observedGeneration": 1, "reason": "Verified", "message": "It is verified."}


def runs_on_data(*steps: Mapping[str, Any]) -> Runs:
    """Runs of a pipeline with labels and a retention, on a Dataset with one version."""
    runs = Runs({"inputs": INPUTS, "steps": list(steps)})
    version = {"name": "v-1", "digest": "sha256:" + "b" * 64, "imported": "2026-01-01T12:00:00Z"}
    runs.put(custom(DATASET, "flights", {}, status={"versions": [version], "conditions": [READY]}))
    pipeline = dict(runs.manifest(Reference(TRAINING_PIPELINE, "default", "loop")))
    labels = {"team": "delays", "app.kubernetes.io/managed-by": "Helm"}
    runs.put(
        {
            **pipeline,
            "metadata": {**pipeline["metadata"], "labels": labels},
            "spec": {**pipeline["spec"], "retention": {"succeeded": 10, "failed": 10, "tracking": "720h"}},
        }
    )
    return runs


def track(job: Manifest) -> dict[str, Any] | None:
    """The field `track` of FLYWHEEL_COLLECT."""
    collect = job["spec"]["template"]["spec"]["initContainers"][0]
    value = next(each["value"] for each in collect["env"] if each["name"] == "FLYWHEEL_COLLECT")
    found: dict[str, Any] | None = json.loads(value).get("track")
    return found


def test_a_container_is_recorded_with_its_run_pipeline_tags_and_retention() -> None:
    runs = runs_on_data(container("work"))

    runs.start(replace(run(), labels={"stage": "nightly"}))

    found = track(runs.running()[0])
    assert found is not None
    assert (found["kind"], found["name"], found["pipeline"], found["run"]) == ("TrainingRun", "one", "loop", "one")
    assert (found["tags"], found["retention"]) == ({"stage": "nightly", "team": "delays"}, "720h")


def test_a_step_that_trains_and_evaluates_nothing_is_not_recorded_and_has_no_token() -> None:
    runs = runs_on_data(PREPARE)

    runs.start(run())

    job = runs.running()[0]
    assert track(job) is None
    assert "serviceAccountToken" not in json.dumps(job)


def test_a_search_knows_its_run_and_pipeline_and_takes_their_labels_for_tags() -> None:
    runs = runs_on_data(TRAIN)

    runs.start(run())

    [experiment] = runs.cluster.objects(EXPERIMENT)
    annotations, labels = experiment["metadata"]["annotations"], experiment["metadata"]["labels"]
    assert (annotations[names.RUN_ANNOTATION], annotations[names.PIPELINE_ANNOTATION]) == ("one", "loop")
    assert names.user_labels(labels) == {"team": "delays"}
    assert experiment["spec"]["retention"] == "720h"
