"""The CronJob of a schedule."""

from flywheel.core.pods.schedule import cron_jobs
from flywheel.core.resource.schema import Schedule
from tests.core.toy import KIND
from tests.simulation import resource

FLIGHTS = resource(KIND, "flights", {"source": {"s3": {"uri": "s3://bucket/"}}})


def test_the_last_tick_stays_until_the_next_so_that_it_is_seen_after_a_restart() -> None:
    [child] = cron_jobs(FLIGHTS, Schedule.model_validate({"cron": "0 3 * * *"}), suspend=False)
    spec = child.manifest["spec"]

    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"], spec["suspend"]) == (1, 1, False)


def test_nothing_is_made_without_a_schedule() -> None:
    assert cron_jobs(FLIGHTS, None, suspend=False) == ()
