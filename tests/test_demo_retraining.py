"""The demo's last table says what the finding led to, also where the version was held."""

from typing import Any

import pytest
import yaml

from demo import retraining
from demo.__main__ import HERE

RUN = {
    "metadata": {"name": "flight-delay-worse-1"},
    "spec": {"cause": {"message": "ModelMonitor 'flight-delay' finds brier worse", "version": "first"}},
    "status": {"result": "Succeeded", "challenger": {"version": "second"}},
}
PASSED = {"name": "better-than-today", "passed": True, "message": "gain 0.05"}
FAILED = {"name": "every-airport", "passed": False, "message": "0.52 of JFK"}
UNMEASURED = {"name": "small-and-quick", "passed": False, "measured": False, "message": "no rows"}


def model(champion: str) -> dict[str, Any]:
    return {"status": {"champion": champion, "candidates": [{"version": "second", "verdict": "NotBetter"}]}}


@pytest.mark.parametrize(
    ("champion", "last"),
    [
        pytest.param("second", "champion second took over from first", id="a better version is champion"),
        pytest.param("first", "champion first stays; second is NotBetter", id="a version that is not better is held"),
    ],
)
def test_the_way_from_the_finding_ends_with_the_champion(champion: str, last: str) -> None:
    version = {"metadata": {"name": "second"}, "status": {"gates": {"entries": [PASSED, FAILED, UNMEASURED]}}}

    _, *lines = retraining.describe_loop(RUN, version, model(champion))

    assert [" ".join(line.split()) for line in lines] == [
        "found ModelMonitor 'flight-delay' finds brier worse",
        "run flight-delay-worse-1 Succeeded",
        "version second",
        "gate passed better-than-today: gain 0.05",
        "gate failed every-airport: 0.52 of JFK",
        "gate not measured small-and-quick: no rows",
        last,
    ]


def test_the_trigger_of_the_demo_waits_for_what_its_monitor_finds() -> None:
    pipeline = list(yaml.safe_load_all((HERE / "4-pipeline.yaml").read_text()))[1]["spec"]
    monitor = yaml.safe_load((HERE / "6-modelmonitor.yaml").read_text())
    [trigger] = [each for each in pipeline["triggers"] if each["name"] == retraining.TRIGGER]

    assert trigger["monitor"]["name"] == monitor["metadata"]["name"]
    assert (trigger["monitor"]["when"], "performance" in monitor["spec"]) == ("Performance", True)
