"""Labels of a ModelMonitor that cannot be found: what is said, while every other signal goes on."""

from typing import Any

import pytest

from flywheel.core.resource.api import DATASET, Manifest
from flywheel.kinds.modelmonitor.gauges import GAUGES
from tests.kinds.modelmonitor.situations import QUIET, Monitor, service, version
from tests.simulation.resources import custom

STORED: dict[str, Any] = {"dataset": "landed", "key": "flight_id", "column": "late"}
LOGGED = service(logging={"key": "flight_id"})
NO_LABELS = {"state": "Unknown", "reason": "TooFewLabels", "message": "no labels yet"}


def landed(digest: str | None = "sha256:" + "d" * 64) -> Manifest:
    spec = {"source": {"s3": {"uri": "s3://a/b"}}}
    return custom(DATASET, "landed", spec, status={"digest": digest} if digest else {})


def labelled(*objects: Manifest, truth: dict[str, Any] = STORED, result: dict[str, Any] = NO_LABELS) -> Monitor:
    found = Monitor(*objects, groundTruth=truth, performance={"metric": "roc_auc"})
    return found.tick_and_run({**QUIET, "signals": {**QUIET["signals"], "performance": result}})


@pytest.mark.parametrize(
    ("objects", "reason", "sentence"),
    [
        pytest.param((LOGGED, version()), "DatasetNotReady", "create it, or see its condition Ready", id="no Dataset"),
        pytest.param((LOGGED, version(), landed(None)), "DatasetNotReady", "has no version", id="no version yet"),
        pytest.param((service(), version(), landed()), "KeyNotLogged", "has no spec.logging.key", id="no key"),
        pytest.param(
            (service(logging={"sample": "0%", "key": "flight_id"}), version(), landed()),
            "RowsNotLogged",
            "set a share above 0%",
            id="no rows",
        ),
        pytest.param(
            (LOGGED, version(), landed()), "TooFewLabels", "No labels yet.", id="nothing but labels is missing"
        ),
    ],
)
def test_what_keeps_labels_away_is_said_and_keeps_no_other_signal_away(
    objects: tuple[Manifest, ...], reason: str, sentence: str
) -> None:
    monitor = labelled(*objects)

    assert monitor.condition["NoDrift"] == ("True", "WithinThreshold")
    assert monitor.condition["Performing"] == ("Unknown", reason)
    [message] = [each.message for each in monitor.status.conditions if each.type == "Performing"]
    assert sentence.lower() in message.lower()


def test_posted_labels_need_rows_and_no_key() -> None:
    assert labelled(service(), version(), truth={}).condition["Performing"] == ("Unknown", "TooFewLabels")


def test_a_version_that_was_replaced_is_joined_until_its_last_window_is_frozen() -> None:
    monitor = Monitor(service(), version(), groundTruth={"delay": {"max": "2h"}}, performance={"metric": "roc_auc"})
    monitor.tick_and_run(QUIET)
    monitor.put(service_of("delay-2"))
    monitor.put(version("delay-2", "sha256:" + "e" * 64))
    asked = []
    for hour in range(2, 6):
        monitor.advance(hours=1)
        monitor.add_tick(f"drift-{hour}")
        monitor.settle()
        asked.append({each["name"]: each.get("labelsOnly", False) for each in monitor.params(hour)["versions"]})
        monitor.end(hour, {**QUIET, "versions": {"delay-2": 500}})
        monitor.settle()

    # The last run of the first version ended at 11:00 with its windows, which are frozen at 13:00.
    both, labels = {"delay-1": False, "delay-2": False}, {"delay-1": True, "delay-2": False}
    assert asked == [both, labels, {"delay-2": False}, {"delay-2": False}]
    assert [each.version for each in monitor.status.versions] == ["delay-2"]


def test_without_labels_only_versions_with_traffic_are_kept() -> None:
    monitor = Monitor().tick_and_run(QUIET)
    monitor.put(service_of("delay-2"))
    monitor.advance(hours=1)
    monitor.tick_and_run({**QUIET, "versions": {"delay-2": 500}}, tick="drift-2")

    assert [each.version for each in monitor.status.versions] == ["delay-2"]


def service_of(name: str) -> Manifest:
    """The service with another version."""
    return {**service(), "status": {"version": name, "digest": "sha256:" + "e" * 64}}


def test_a_finding_stands_although_the_dataset_is_gone() -> None:
    worse = {"state": "False", "reason": "Dropped", "message": "roc_auc is 0.61"}

    assert labelled(LOGGED, version(), result=worse).condition["Performing"] == ("False", "Dropped")


REFUSED = {
    "admitted": 95,
    "refused": {"overShare": 40, "conflicts": 2},
    "sources": [["system:serviceaccount:shop:stranger", 40]],
}


def test_labels_that_do_not_count_are_in_the_status_and_in_a_gauge() -> None:
    monitor = Monitor(service(), version(), groundTruth={}, performance={"metric": "roc_auc"})
    monitor.tick_and_run({**QUIET, "labels": REFUSED})

    refused = monitor.status.refused_labels
    assert refused is not None
    assert refused.admitted == 95
    assert [(each.reason, each.rows) for each in refused.reasons] == [("Conflicts", 2), ("OverShare", 40)]
    assert [(each.source, each.rows) for each in refused.sources] == [("system:serviceaccount:shop:stranger", 40)]
    [gauge] = [each for each in GAUGES if each.name == "flywheel_monitor_refused_labels"]
    assert [*gauge.read(monitor.resource)] == [(("Conflicts",), 2.0), (("OverShare",), 40.0)]


def test_counts_of_refused_labels_that_cannot_be_read_are_left_out() -> None:
    monitor = Monitor(service(), version(), groundTruth={}, performance={"metric": "roc_auc"})
    monitor.tick_and_run({**QUIET, "labels": {"refused": {"overShare": -1}, "sources": "?"}})

    assert monitor.status.refused_labels is None
