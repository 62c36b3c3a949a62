"""`flywheel logs`: live by the Kubernetes API, of what has ended by the reader."""

from typing import Any

import pytest

from flywheel.cli import main
from flywheel.cli.errors import CommandError
from flywheel.cli.read.print_logs import parse_target
from flywheel.client.trial_list import short_reference
from tests.client.local_cluster import LocalCluster, Reply, reader_error, status
from tests.client.sample_records import record

TRIALS = "/v1/namespaces/shop/trials"
LOG = f"{TRIALS}/{record(7)['id']}/log"
POD_LOG = "/api/v1/namespaces/shop/pods/{}/log"


def pod(name: str, step: str, phase: str = "Running", created: str = "2026-11-28T12:00:00Z") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"flywheel.ml/step": step}, "creationTimestamp": created},
        "status": {"phase": phase},
    }


def test_a_pod_that_exists_is_read_live(cluster: LocalCluster, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    cluster.add("pods", pod("old", "trial-7", "Failed", "2026-11-28T11:00:00Z"))
    cluster.add("pods", pod("new", "trial-7"))
    cluster.add("pods", pod("other", "trial-70"))
    cluster.api[POD_LOG.format("new")] = Reply(b"epoch 1\nepoch 2\n")

    assert main(["logs", "flight-delay/7", "-f", "--tail", "2"]) == 0

    assert capfdbinary.readouterr().out == b"epoch 1\nepoch 2\n"
    assert dict(cluster.calls[-1].query) == {"container": "main", "follow": "true", "tailLines": "2"}
    assert dict(cluster.calls[0].query)["labelSelector"] == "flywheel.ml/kind=Experiment,flywheel.ml/name=flight-delay"


@pytest.mark.parametrize(
    "reply", [None, status(403, "Forbidden", "pods is forbidden"), status(404, "NotFound", "gone")]
)
def test_what_has_no_readable_pod_is_read_from_the_reader(
    cluster: LocalCluster, capfdbinary: pytest.CaptureFixture[bytes], reply: Reply | None
) -> None:
    if reply is not None:
        cluster.add("pods", pod("new", "trial-7"))
        cluster.api[POD_LOG.format("new")] = reply
    cluster.reader |= {TRIALS: Reply({"items": [record(7)], "next": None}), LOG: Reply(b"epoch 1\nepoch 2\nepoch 3\n")}

    assert main(["logs", "flight-delay/7", "--tail", "2"]) == 0

    assert capfdbinary.readouterr().out == b"epoch 2\nepoch 3\n"


def test_a_user_without_the_right_to_pods_reads_what_was_recorded(
    cluster: LocalCluster, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    cluster.api["/api/v1/namespaces/shop/pods"] = status(403, "Forbidden", "pods is forbidden")
    cluster.reader |= {TRIALS: Reply({"items": [record(7)], "next": None}), LOG: Reply(b"epoch 1\n")}

    assert main(["logs", "flight-delay/7", "--tail", "9"]) == 0
    assert capfdbinary.readouterr().out == b"epoch 1\n"


def test_a_connection_that_ends_within_the_log_is_a_sentence(
    cluster: LocalCluster, capfd: pytest.CaptureFixture[str]
) -> None:
    cluster.add("pods", pod("new", "trial-7"))
    cluster.api[POD_LOG.format("new")] = Reply(b"epoch 1\n" * 100, cut_at=8)

    assert main(["logs", "flight-delay/7"]) == 1

    found = capfd.readouterr()
    assert found.out.startswith("epoch 1\n")
    assert "ended within the log" in found.err


def test_a_container_that_has_not_started_is_awaited(
    cluster: LocalCluster, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flywheel.cli.read.print_logs.POLL_SECONDS", 0.0)
    replies = [status(400, "BadRequest", 'container "main" is waiting to start'), Reply(b"epoch 1\n")]
    cluster.add("pods", pod("new", "trial-7", "Pending"))
    cluster.api[POD_LOG.format("new")] = lambda _call: replies.pop(0)

    assert main(["logs", "flight-delay/7", "-f"]) == 0
    assert capfdbinary.readouterr().out == b"epoch 1\n"


def test_without_follow_it_says_that_nothing_has_started(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.add("pods", pod("new", "trial-7", "Pending"))
    cluster.api[POD_LOG.format("new")] = status(400, "BadRequest", 'container "main" is waiting to start')

    assert main(["logs", "flight-delay/7"]) == 1
    assert (
        "pod 'new' has no log yet: container \"main\" is waiting to start; -f waits for it" in capsys.readouterr().err
    )


def test_a_step_of_a_run_is_chosen(cluster: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.add("pods", pod("a", "window"))
    cluster.add("pods", pod("b", "train"))

    assert main(["logs", "run/monthly"]) == 2
    assert "TrainingRun 'monthly' has several steps: train, window; name one with --step" in capsys.readouterr().err


def test_a_recorded_step_of_a_run_is_found(cluster: LocalCluster, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    step = record(7, kind="TrainingRun", name="monthly", step="window")
    cluster.reader |= {TRIALS: Reply({"items": [step], "next": None}), LOG: Reply(b"rows: 9\n")}

    assert main(["logs", "run/monthly", "--step", "window"]) == 0

    assert capfdbinary.readouterr().out == b"rows: 9\n"
    asked = next(call for call in cluster.calls if call.path.endswith(TRIALS))
    assert (
        dict(asked.query)["filter"]
        == "attributes.kind = 'TrainingRun' and attributes.name = 'monthly' and attributes.step = 'window'"
    )


def test_what_trials_prints_of_a_step_is_a_target(
    cluster: LocalCluster, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    step = record(7, kind="TrainingRun", name="monthly-x7k2p", step="window")
    cluster.add("pods", pod("other", "window-report"))
    cluster.reader |= {TRIALS: Reply({"items": [step], "next": None}), LOG: Reply(b"rows: 9\n")}

    assert main(["logs", short_reference(step)]) == 0
    assert capfdbinary.readouterr().out == b"rows: 9\n"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        pytest.param(
            "dataset/flights", "logs are recorded of Experiments and TrainingRuns alone", id="a kind without records"
        ),
        pytest.param("run/monthly", "has no pod and no recorded log", id="nothing recorded"),
    ],
)
def test_what_has_no_log_is_named(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str], target: str, message: str
) -> None:
    cluster.reader[TRIALS] = Reply({"items": [], "next": None})

    assert main(["logs", target]) == 1
    assert message in capsys.readouterr().err


def test_a_log_that_the_user_may_not_read_says_nothing_else(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.reader[TRIALS] = reader_error(403, "Forbidden", "you may not read this, or it does not exist")

    assert main(["logs", "flight-delay/7"]) == 1
    assert capsys.readouterr().err == "flywheel: you may not read this, or it does not exist\n"


@pytest.mark.parametrize(
    ("text", "step", "labels", "found"),
    [
        ("flight-delay/7", None, "flywheel.ml/kind=Experiment,flywheel.ml/name=flight-delay", "trial-7"),
        ("flight-delay/7-r2", None, "flywheel.ml/kind=Experiment,flywheel.ml/name=flight-delay", "trial-7-r2"),
        ("run/monthly", "window", "flywheel.ml/kind=TrainingRun,flywheel.ml/name=monthly", "window"),
        ("runs/monthly", None, "flywheel.ml/kind=TrainingRun,flywheel.ml/name=monthly", None),
        ("monthly-x7k2p/window", None, "flywheel.ml/kind=TrainingRun,flywheel.ml/name=monthly-x7k2p", "window"),
        ("version/a-1", None, "flywheel.ml/kind=ModelVersion,flywheel.ml/name=a-1", None),
        ("fwexp/a", None, "flywheel.ml/kind=Experiment,flywheel.ml/name=a", None),
        ("experiments.flywheel.ml/a", None, "flywheel.ml/kind=Experiment,flywheel.ml/name=a", None),
        ("Datasets/flights", None, "flywheel.ml/kind=Dataset,flywheel.ml/name=flights", None),
        ("0c7a5f0e-6f6d.trial-3", None, "flywheel.ml/uid=0c7a5f0e-6f6d", "trial-3"),
    ],
)
def test_parse_target(text: str, step: str | None, labels: str, found: str | None) -> None:
    target = parse_target(text, step)

    assert ",".join(f"{name}={value}" for name, value in target.labels.items()) == labels
    assert target.step == found


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("flight-delay", None),
        ("flight-delay/7", "window"),
        ("monthly/window", "window"),
        ("service/a", None),
        ("pipeline/a", None),
        ("Pod/A", None),
    ],
)
def test_another_target_is_refused(text: str, step: str | None) -> None:
    with pytest.raises(CommandError) as caught:
        parse_target(text, step)

    assert caught.value.code == 2
