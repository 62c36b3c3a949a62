"""The parts of a spec that several kinds share."""

import re

import pytest

from flywheel.core.resource import schema


@pytest.mark.parametrize("cron", ["0 3 31 2 *", "0 3 30 feb ?", "* * 30,31 02 *", "0 3 31 4,6,9,11 *", "0 3 31 Apr *"])
def test_a_day_that_no_month_has_never_comes(cron: str) -> None:
    assert re.search(schema._NEVER, cron)


@pytest.mark.parametrize(
    "cron", ["0 3 29 2 *", "0 3 31 * *", "0 3 31 2,3 *", "0 3 31 2 1", "0 3 30 4 *", "*/5 * * * *", "0 3 1,31 2 *"]
)
def test_a_day_that_comes_is_let_be(cron: str) -> None:
    assert not re.search(schema._NEVER, cron)
