"""The condition EstimatedPerforming, which needs neither labels nor logged rows."""

from typing import Any

from tests.kinds.modelmonitor.situations import QUIET, Monitor, service, version

ASKED = {"estimatedPerformance": {"metric": "roc_auc"}}
NOT_LOGGED = service(logging={"sample": "0%"})


def facts(state: str, **fields: Any) -> dict[str, Any]:
    signal = {"state": state, "message": "as estimated without labels", **fields}
    return {**QUIET, "signals": {**QUIET["signals"], "estimatedPerformance": signal}}


def test_it_is_asked_for_with_its_default() -> None:
    monitor = Monitor(NOT_LOGGED, version(), **ASKED)
    monitor.add_tick("drift-1")
    monitor.settle()

    assert monitor.params(1)["signals"]["estimatedPerformance"] == {"metric": "roc_auc", "maxDrop": "0.03"}
    assert "rows" not in monitor.inputs(1)


def test_the_rows_are_fetched_where_servers_do_not_count_what_the_estimate_needs() -> None:
    monitor = Monitor(service(), version(), estimatedPerformance={"metric": "mae", "maxDrop": "4"})
    monitor.add_tick("drift-1")
    monitor.settle()

    assert monitor.inputs(1)["rows"]["folder"]["path"] == "predictions/delays/rows/"
    assert "loss_model.onnx" in monitor.inputs(1)["version-delay-1"]["files"]


def test_a_drop_is_false_and_an_event() -> None:
    monitor = Monitor(NOT_LOGGED, version(), **ASKED).tick_and_run(facts("False"))

    assert monitor.condition["EstimatedPerforming"] == ("False", "ThresholdExceeded")
    assert "Performing" not in monitor.condition
    assert monitor.events().count("ThresholdExceeded") == 1


def test_a_version_that_cannot_be_estimated_is_unknown_with_the_reason_of_the_run() -> None:
    monitor = Monitor(**ASKED).tick_and_run(facts("Unknown", reason="CalibrationMissing"))

    assert monitor.condition["EstimatedPerforming"] == ("Unknown", "CalibrationMissing")


def test_it_is_absent_where_it_is_not_asked_for() -> None:
    assert "EstimatedPerforming" not in Monitor().tick_and_run(QUIET).condition
