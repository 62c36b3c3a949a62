"""An Experiment with FeatureSets: their features are added to the data before the first trial."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from flywheel.core.resource.api import DATASET, FEATURE_SET, MODEL_VERSION, Manifest, Reference
from flywheel.core.resource.plan import Plan
from flywheel.core.settings import Settings
from flywheel.kinds.experiment.children import JOIN_STEP
from flywheel.kinds.experiment.kind import KIND
from flywheel.kinds.experiment.preview import preview
from tests.kinds.experiment.situations import DIGEST, Search, experiment, succeeds
from tests.simulation import params, terminated_state
from tests.simulation.resources import custom

DEFINITION, JOINED, NEWER, OTHER = (f"sha256:{letter * 64}" for letter in "bcde")
SETS = {"featureSets": ["context"], "register": "delay", "budget": {"maxTrials": 1}}


def feature_set(digest: str = DEFINITION, flights: str = DIGEST, **condition: Any) -> Manifest:
    """FeatureSet `context`, which was checked against a version of Dataset `flights`."""
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Checked",
        "message": "",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T12:00:00Z",
    }
    status = {
        "conditions": [{**ready, **condition}],
        "digest": digest,
        "generation": 1,
        "datasets": [{"name": "flights", "version": "flights-3f9a1c2e", "digest": flights}],
    }
    return custom(FEATURE_SET, "context", {}, status=status)


def search(*objects: Manifest, spec: Mapping[str, Any] = SETS) -> Search:
    found = Search(experiment(spec), succeeds)
    found.put(*objects)
    return found


def end_join(found: Search, digest: str = JOINED, failure: tuple[str, str] | None = None) -> Plan:
    """Let the Job that adds the features end."""
    [job] = [each for each in found.running() if each["metadata"]["labels"]["flywheel.ml/step"] == JOIN_STEP]
    outputs = {} if failure else {"data": {"digest": digest, "size": 1, "files": 1}}
    collected = {
        "v": 1, "phase": "Finished", "complete": True, "repeated": False, "timedOut": False, "oomKills": 0,
        "outputs": outputs, "metrics": {}, "facts": {"task": "Classification", "classes": 2}, "error": None,
    }  # fmt: skip
    said = {"reason": failure[0], "message": failure[1]} if failure else ""
    found.end_job(
        job["metadata"]["name"],
        failed=failure is not None,
        main=terminated_state(2 if failure else 0, said),
        init={"collect": terminated_state(0, collected), "fetch": terminated_state(0, {"v": 1, "reason": "Fetched"})},
        phase="Failed" if failure else "Succeeded",
    )
    return found.settle()


def trial_data(found: Search) -> list[str]:
    """The artifacts on which trials run."""
    return [
        each["value"]
        for job in found.running()
        for container in job["spec"]["template"]["spec"]["initContainers"]
        for each in container["env"]
        if each["name"] == "FLYWHEEL_FETCH"
    ]


def test_the_features_are_joined_once_and_every_trial_reads_the_result() -> None:
    found = search(feature_set())

    joining = found.settle()
    [join] = found.running()
    searching = end_join(found)

    assert (joining.reason, joining.summary) == ("JoiningFeatures", "adding features")
    assert params(join)["featureSets"] == [
        {"name": "context", "digest": DEFINITION, "input": "set-0", "tables": {"flights": "table-0"}}
    ]
    assert searching.reason == "Searching"
    assert all(JOINED in each for each in trial_data(found))


def test_the_version_pins_the_definition_and_the_data() -> None:
    found = search(feature_set())
    found.settle()
    end_join(found)

    found.finish()

    version = found.cluster.get(Reference(MODEL_VERSION, "default", found.status.model_version or ""))
    assert version is not None
    lineage = version["spec"]["lineage"]
    assert (lineage["datasetVersion"], lineage["datasetDigest"]) == ("flights-3f9a1c2e", JOINED)
    assert lineage["featureSets"] == [
        {
            "name": "context",
            "digest": DEFINITION,
            "datasets": [{"name": "flights", "version": "flights-3f9a1c2e", "digest": DIGEST}],
        }
    ]
    assert found.jobs() == ()


def test_a_feature_set_that_changes_later_changes_no_search() -> None:
    found = search(feature_set(), spec={**SETS, "budget": {"maxTrials": 2}, "parallelism": 1})
    found.settle()
    end_join(found)

    found.put(feature_set(OTHER))
    found.settle()

    assert found.status.data.feature_sets[0].digest == DEFINITION
    assert all(JOINED in each for each in trial_data(found))


def test_what_is_not_there_is_waited_for() -> None:
    found = search()
    missing = found.settle()
    found.put(feature_set(status="False", reason="FeatureSetInvalid", message="column 'x' is lacking."))
    not_ready = found.settle()
    found.put(feature_set(flights=NEWER))
    behind = found.settle()
    found.put(feature_set())
    there = found.settle()

    assert [each.reason for each in (missing, not_ready, behind, there)] == [
        "FeatureSetNotFound",
        "FeatureSetNotReady",
        "FeatureSetNotReady",
        "JoiningFeatures",
    ]
    assert "create it or correct spec.featureSets" in missing.message
    assert "column 'x' is lacking." in not_ready.message
    assert "against version flights-3f9a1c2e of Dataset 'flights'" in behind.message


def test_features_that_do_not_fit_the_data_stall_and_are_joined_again_when_the_set_changes() -> None:
    found = search(feature_set())
    found.settle()

    failed = end_join(found, failure=("FeatureSetInvalid", "the data has no column 'origin'."))
    found.put(feature_set(OTHER))
    again = found.settle()

    assert (failed.succeeded, failed.stalled, failed.reason) == (False, True, "FeatureSetInvalid")
    assert "the data has no column 'origin'." in failed.message
    assert (again.reason, again.stalled) == ("JoiningFeatures", False)
    assert [params(job)["featureSets"][0]["digest"] for job in found.running()] == [OTHER]


def test_versions_that_come_while_it_runs_change_no_join() -> None:
    found = search(feature_set())
    found.settle()
    [job] = found.running()

    found.put(feature_set(NEWER, reason="Checking", status="False"))
    found.settle()
    unready = found.running()
    found.put(feature_set(NEWER))
    found.settle()

    assert [each["metadata"]["name"] for each in (*unready, *found.running())] == [job["metadata"]["name"]] * 2
    end_join(found)
    assert found.status.data is not None
    assert [str(each.digest) for each in found.status.data.feature_sets] == [DEFINITION]


@pytest.mark.parametrize("by", ["another spec", "another release"])
def test_what_another_spec_or_release_may_mend_is_joined_again(by: str) -> None:
    found = search(feature_set())
    found.settle()
    failed = end_join(found, failure=("TrainingFailed", "the container took more than its memory."))
    found.wake_all()
    resting = found.settle()

    if by == "another release":
        found.restart_with(replace(found.cluster.settings, runtime_image=f"registry.example/runtime@{NEWER}"))
    else:
        found.patch_spec(resources={"limits": {"memory": "4Gi"}})
    found.wake_all()
    again = found.settle()

    assert "Change the spec; then they are added again" in failed.message
    assert (resting.reason, resting.stalled) == (failed.reason, True)
    assert (again.reason, again.stalled) == ("JoiningFeatures", False)
    assert [each["metadata"]["labels"]["flywheel.ml/attempt"] for each in found.running()] == ["2"]


def test_a_lost_pod_joins_again_after_a_pause() -> None:
    found = search(feature_set())
    found.settle()
    [job] = found.running()

    found.end_job(job["metadata"]["name"], failed=True, lost=True, main=None, init={}, phase="Failed")
    waiting = found.settle()
    found.advance(minutes=1)
    found.wake_all()
    plan = found.settle()

    assert "Trying again at" in waiting.message
    assert plan.reason == "JoiningFeatures"
    assert [each["metadata"]["labels"]["flywheel.ml/attempt"] for each in found.running()] == ["2"]


def test_the_join_survives_a_restart_of_the_operator_after_any_write() -> None:
    for crash_after in range(1, 8):
        found = Search(experiment(SETS), succeeds, crash_after=crash_after)
        found.put(feature_set())
        found.settle()
        end_join(found)
        found.finish()

        assert found.status.data.digest == JOINED
        assert len([write for write in found.writes if f"-{JOIN_STEP}-" in write and write.startswith("create")]) == 1


def test_a_preview_shows_the_join_and_a_trial() -> None:
    made = preview(experiment(SETS), Settings())

    steps = [child.manifest["metadata"]["labels"]["flywheel.ml/step"] for child in made]
    assert steps == [JOIN_STEP, "trial-1"]


def test_the_experiment_refers_to_its_feature_sets() -> None:
    found = experiment(SETS)

    assert Reference(FEATURE_SET, "default", "context") in KIND.references(found)
    assert Reference(DATASET, "default", "flights") in KIND.references(found)
