"""Trials in several pods: what they need beside their Jobs, and what becomes of a trial whose rank is lost or whose turn has not come."""

from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import JOB, POD, SERVICE
from flywheel.core.resource.names import INDEX_LABEL
from flywheel.core.resource.plan import Child
from flywheel.kinds.experiment.decide import decide
from flywheel.kinds.experiment.kind import KIND
from flywheel.kinds.experiment.observe import observe
from flywheel.kinds.experiment.schema.immutable import fingerprint
from tests.kinds.experiment.situations import Search, experiment
from tests.simulation import pod, running_state

TRAINER = {"container": {"image": "train:1"}}
AIM = {"trainer": TRAINER, "objective": {"metric": "roc_auc"}, "budget": {"maxTrials": 1}}
GROUP = {**AIM, "distributed": {"framework": "XGBoost", "nodes": 2}}


def started(spec: dict[str, Any]) -> Search:
    search = Search(experiment(spec), lambda *_: {"metrics": {"roc_auc": 0.7}})
    search.settle()
    return search


def services(search: Search) -> list[str]:
    plan = decide(search.resource, observe(search.resource, search.cluster))
    return [child.name for child in plan.children or () if isinstance(child, Child) and child.api == SERVICE]


def test_ranks_find_one_another_by_a_service() -> None:
    assert services(started(GROUP)) == ["flight-delay-ranks"]
    assert services(started(AIM)) == []


def test_a_search_of_before_is_the_same_search() -> None:
    """A field that is absent must not make another search of those that run while the operator is upgraded."""
    fields = {"dataset": "flights", "trainer": {"sklearn": {}}}

    assert fingerprint(experiment().spec) == names.digest(fields)[:8]


def test_a_lost_rank_means_another_attempt_of_the_same_trial() -> None:
    search = started(GROUP)
    [job] = search.jobs()
    for rank in (0, 1):
        name = f"{job['metadata']['name']}-{rank}-abcde"
        search.cluster.put(
            pod(
                search.resource,
                name,
                job=job["metadata"]["name"],
                main=running_state(),
                labels={INDEX_LABEL: str(rank)},
            )
        )
    [lost] = [
        each for each in search.cluster.children(search.resource.uid, POD) if "-1-abcde" in each["metadata"]["name"]
    ]
    search.cluster.put({**lost, "metadata": {**lost["metadata"], "deletionTimestamp": "2026-01-01T12:02:00Z"}})

    plan = search.settle()

    assert (plan.reason, search.status.running[0].attempt) == ("Retrying", 2)
    assert "Rank 1" in plan.message
    assert search.status.trials is not None
    assert search.status.trials.failed == 0


def test_a_queued_trial_is_diagnosed_and_goes_on_when_it_is_admitted() -> None:
    search = started({**AIM, "placement": {"queueName": "team"}})
    [job] = search.jobs()
    search.cluster.queue(job, QuotaReserved="insufficient quota for cpu")
    search.advance(minutes=1)

    waiting = search.settle()
    search.cluster.put({**job, "spec": {**job["spec"], "suspend": False}})
    over = search.finish()

    assert (waiting.reason, waiting.ready) == ("Queued", False)
    assert "insufficient quota for cpu" in waiting.message
    assert over.ready


def test_only_kueue_reads_the_queue() -> None:
    search = started({**AIM, "placement": {"queueName": "team", "nodeSelector": {"gpu": "a100"}}})
    [job] = search.jobs()

    assert job["spec"]["template"]["spec"]["nodeSelector"] == {"gpu": "a100"}
    assert "kueue.x-k8s.io/queue-name" not in job["spec"]["template"]["metadata"]["labels"]
    assert {JOB, SERVICE} <= set(KIND.owns)
