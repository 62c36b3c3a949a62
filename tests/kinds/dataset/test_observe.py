"""What a Dataset sees of its cluster."""

from typing import Any

from flywheel.core.pods.cron_job import Tick
from flywheel.core.resource.api import BATCH_INFERENCE, EXPERIMENT, MODEL_VERSION
from flywheel.kinds.batchinference.kind import KIND as BATCH_KIND
from flywheel.kinds.dataset.children import CAUSE_ANNOTATION
from flywheel.kinds.dataset.kind import KIND
from flywheel.kinds.dataset.observe import observe
from flywheel.kinds.experiment.kind import KIND as EXPERIMENT_KIND
from flywheel.kinds.modelversion.kind import KIND as VERSION_KIND
from tests.simulation import NOON, FakeCluster, job, pod, resource, terminated_state, waiting_state
from tests.simulation.resources import custom

FLIGHTS = resource(KIND, "flights", {"source": {"s3": {"uri": "s3://flywheel/demo/flights/"}}})
KINDS = (KIND, EXPERIMENT_KIND, VERSION_KIND, BATCH_KIND)
CHECK = {"flywheel.ml/step": "check", "flywheel.ml/attempt": "4"}
TICK = {"flywheel.ml/step": "tick"}
CAUSE = {CAUSE_ANNOTATION: '{"generation": 2, "request": "today", "tick": "2026-01-01T12:00:00+00:00"}'}


def cluster(*manifests: Any) -> FakeCluster:
    return FakeCluster(FLIGHTS_MANIFEST, *manifests, kinds=KINDS)


FLIGHTS_MANIFEST = custom(KIND.api, "flights", {"source": {"s3": {"uri": "s3://flywheel/demo/flights/"}}})


def test_a_running_check_has_its_cause_and_a_diagnosis() -> None:
    running = job(FLIGHTS, "flights-check-4-uid", labels=CHECK, annotations=CAUSE)
    stuck = pod(
        FLIGHTS,
        "p",
        job="flights-check-4-uid",
        main=waiting_state(),
        init={"fetch": waiting_state("CreateContainerConfigError", 'secret "s3-read" not found')},
    )

    [found] = observe(FLIGHTS, cluster(running, stuck)).checks
    check = found.check

    assert (check.number, check.generation, check.request, check.tick) == (4, 2, "today", NOON)
    assert found.diagnosis is not None
    assert (found.outcome, found.diagnosis.reason) == (None, "SecretNotFound")


def test_a_check_that_ended_is_read_from_its_own_pod() -> None:
    """Another check's pod says nothing about it."""
    over = job(FLIGHTS, "flights-check-4-uid", state="Complete", labels=CHECK, annotations=CAUSE)
    facts = {"content": "sha256:" + "1" * 64}
    content = {"v": 1, "phase": "Finished", "complete": True, "outputs": {}, "metrics": {}, "facts": facts}
    ends = {"collect": terminated_state(0, content), "fetch": terminated_state()}
    mine = pod(FLIGHTS, "a", job="flights-check-4-uid", main=terminated_state(), init=ends)
    other = pod(FLIGHTS, "b", job="flights-check-3-uid", main=terminated_state(1), init={"collect": terminated_state()})

    [check] = observe(FLIGHTS, cluster(over, mine, other)).checks

    assert check.outcome is not None
    assert (check.outcome.result, check.outcome.facts) == ("Succeeded", facts)


def test_only_open_ticks_wait_for_an_answer() -> None:
    seen = observe(
        FLIGHTS,
        cluster(
            job(FLIGHTS, "flights-29000001", state="Complete", labels=TICK),
            job(FLIGHTS, "flights-29001441", state="Pending", labels=TICK),
        ),
    )

    assert (seen.ticks, seen.checks) == ((Tick("flights-29001441", NOON),), ())


def test_versions_that_experiments_and_model_versions_name_are_cited() -> None:
    pins = custom(EXPERIMENT, "pins", {"dataset": "flights", "datasetVersion": "flights-1", "trainer": {"sklearn": {}}})
    data = {"version": "flights-2", "digest": "sha256:" + "2" * 64}
    used = custom(EXPERIMENT, "used", {"dataset": "flights", "trainer": {"sklearn": {}}}, status={"data": data})
    other = custom(
        EXPERIMENT, "other", {"dataset": "weather", "datasetVersion": "weather-1", "trainer": {"sklearn": {}}}
    )
    version = custom(
        MODEL_VERSION,
        "delay-1",
        {
            "model": "delay",
            "source": {"artifact": {"digest": "sha256:" + "3" * 64}},
            "lineage": {"dataset": "flights", "datasetVersion": "flights-3"},
        },
    )

    assert observe(FLIGHTS, cluster(pins, used, other, version)).cited == {"flights-1", "flights-2", "flights-3"}


def test_versions_in_which_features_were_looked_up_are_cited() -> None:
    def pin(dataset: str, version: str) -> dict[str, Any]:
        used = {"name": dataset, "version": version, "digest": "sha256:" + "4" * 64}
        return {"name": "context", "digest": "sha256:" + "5" * 64, "datasets": [used]}

    version = custom(
        MODEL_VERSION,
        "delay-1",
        {
            "model": "delay",
            "source": {"artifact": {"digest": "sha256:" + "3" * 64}},
            "lineage": {"featureSets": [pin("flights", "flights-4"), pin("weather", "weather-9")]},
        },
    )
    data = {"version": "weather-1", "digest": "sha256:" + "2" * 64, "featureSets": [pin("flights", "flights-5")]}
    searching = custom(EXPERIMENT, "e", {"dataset": "weather", "trainer": {"sklearn": {}}}, status={"data": data})
    place = {"s3": {"uri": "s3://acme/rows/"}}
    run = {
        "number": 2, "phase": "Scoring", "spec": "0", "time": "2026-01-01T12:00:00Z", "startedAt": "2026-01-01T12:00:00Z", "version": "delay-1",
        "digest": "sha256:" + "3" * 64, "input": "s3://acme/rows/", "output": "s3://acme/out/", "retries": 0, "featureSets": [pin("flights", "flights-6")],
    }  # fmt: skip
    scoring = custom(
        BATCH_INFERENCE, "b", {"model": "delay", "input": place, "output": place, "features": {}}, status={"run": run}
    )

    cited = observe(FLIGHTS, cluster(version, searching, scoring)).cited

    assert {"flights-4", "flights-5", "flights-6"} <= cited
    assert "weather-9" not in cited
