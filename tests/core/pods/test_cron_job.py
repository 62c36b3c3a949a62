"""The CronJob of a schedule, and days that a schedule may not name."""

import re
from datetime import UTC, datetime

import pytest

from flywheel.core.pods import cron_job
from flywheel.core.pods.cron_job import Schedule, cron_jobs
from flywheel.core.resource.names import STEP_LABEL
from tests.core.toy import KIND
from tests.simulation import job, resource

FLIGHTS = resource(KIND, "flights", {"source": {"s3": {"uri": "s3://bucket/"}}})


def test_the_last_tick_stays_until_the_next_so_that_it_is_seen_after_a_restart() -> None:
    [child] = cron_jobs(FLIGHTS, Schedule.model_validate({"cron": "0 3 * * *"}), suspend=False)
    spec = child.manifest["spec"]

    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"], spec["suspend"]) == (1, 1, False)


def test_nothing_is_made_without_a_schedule() -> None:
    assert cron_jobs(FLIGHTS, None, suspend=False) == ()


@pytest.mark.parametrize("cron", ["0 3 31 2 *", "0 3 30 feb ?", "* * 30,31 02 *", "0 3 31 4,6,9,11 *", "0 3 31 Apr *"])
def test_a_day_that_no_month_has_never_comes(cron: str) -> None:
    assert re.search(cron_job._NEVER, cron)


@pytest.mark.parametrize(
    "cron", ["0 3 29 2 *", "0 3 31 * *", "0 3 31 2,3 *", "0 3 31 2 1", "0 3 30 4 *", "*/5 * * * *", "0 3 1,31 2 *"]
)
def test_a_day_that_comes_is_let_be(cron: str) -> None:
    assert not re.search(cron_job._NEVER, cron)


def test_a_tick_knows_for_when_it_was_scheduled() -> None:
    labels = {STEP_LABEL: cron_job.TICK}
    at_three = job(
        FLIGHTS, "by-schedule", labels=labels, annotations={cron_job.SCHEDULED_ANNOTATION: "2026-01-01T03:00:00Z"}
    )
    by_hand = job(FLIGHTS, "by-hand", labels=labels)

    found = {tick.name: tick.scheduled for tick in cron_job.pending_ticks([at_three, by_hand])}

    assert found == {"by-schedule": datetime(2026, 1, 1, 3, tzinfo=UTC), "by-hand": None}


@pytest.mark.parametrize(("days", "is_backwards"), [("sun-tue", False), ("mon-fri", False), ("tue-sun", True)])
def test_a_range_of_days_rises(days: str, is_backwards: bool) -> None:
    assert bool(re.search(cron_job._BACKWARDS, days)) == is_backwards
