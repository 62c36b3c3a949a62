"""What is told of a Job that waits in Kueue's queue."""

import pytest

from flywheel.core.diagnosis import kueue
from flywheel.core.resource.api import KUEUE
from flywheel.core.resource.names import QUEUE_LABEL
from tests.core.toy import KIND
from tests.simulation import FakeCluster, job, resource

TOY = resource(KIND, "flights", {"source": {"s3": {"uri": "s3://bucket/"}}})
QUEUED = {QUEUE_LABEL: "team"}
HELD = job(TOY, "flights-trial-1-1", state="Suspended", labels=QUEUED)


def test_the_diagnosis_has_kueues_own_message() -> None:
    cluster = FakeCluster(HELD).queue(
        HELD, QuotaReserved="couldn't assign flavors to pod set main: insufficient quota for cpu"
    )

    found = kueue.diagnose_queue(HELD, cluster)

    assert found is not None
    assert found.reason == "Queued"
    assert found.message.endswith(
        "in queue 'team': couldn't assign flavors to pod set main: insufficient quota for cpu."
    )


def test_quota_matters_more_than_a_check_that_comes_after_it() -> None:
    cluster = FakeCluster(HELD).queue(HELD, Admitted="waiting for checks", QuotaReserved="insufficient quota")

    found = kueue.diagnose_queue(HELD, cluster)

    assert found is not None
    assert "insufficient quota" in found.message


def test_a_workload_without_conditions_is_waited_for() -> None:
    found = kueue.diagnose_queue(HELD, FakeCluster(HELD, groups=(KUEUE,)))

    assert found is not None
    assert "kubectl get localqueue team" in found.message


def test_without_kueue_the_job_would_never_start() -> None:
    found = kueue.diagnose_queue(HELD, FakeCluster(HELD))

    assert found is not None
    assert found.reason == "KueueMissing"


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(job(TOY, "a", state="Running", labels=QUEUED), id="it was let in"),
        pytest.param(job(TOY, "a", state="Suspended"), id="somebody else holds it"),
    ],
)
def test_a_job_that_does_not_wait_in_a_queue_has_no_diagnosis(job: dict[str, object]) -> None:
    assert kueue.diagnose_queue(job, FakeCluster(groups=(KUEUE,))) is None


def test_a_condition_that_is_met_holds_nothing() -> None:
    cluster = FakeCluster(HELD).queue(HELD, Admitted="waiting for checks")
    [workload] = cluster.kueue_workloads(HELD)
    met = {"type": "QuotaReserved", "status": "True", "reason": "QuotaReserved", "message": "quota was reserved"}
    workload["status"]["conditions"].append(met)

    found = kueue.diagnose_queue(HELD, cluster)

    assert found is not None
    assert found.message.endswith("waiting for checks.")
