"""`flywheel trials` and `flywheel compare`: what they ask the reader for, and what they print."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flywheel.cli import main
from flywheel.cli.read.compare_trials import compare_records
from tests.client.local_cluster import Call, LocalCluster, Reply, reader_error
from tests.client.sample_records import record

TRIALS = "/v1/namespaces/shop/trials"


def page(*records: dict[str, Any]) -> Reply:
    return Reply({"items": list(records), "total": len(records), "next": None})


def test_a_table_has_metric_data_and_code(cluster: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.reader[TRIALS] = page(
        record(7, metrics={"accuracy": 0.9, "roc_auc": 0.639}), record(8, state="Failed", metrics={})
    )

    assert main(["trials"]) == 0

    assert capsys.readouterr().out.splitlines() == [
        "TRIAL            STATE       ESTIMATOR   roc_auc   DATA               CODE       ENDED",
        "flight-delay/7   Succeeded   Ridge         0.639   flights-f430cdc0   9f8e7d6c   2026-11-28 12:01",
        "flight-delay/8   Failed      Ridge             -   flights-f430cdc0   9f8e7d6c   2026-11-28 12:01",
    ]


def test_wide_has_every_metric_and_parameter_and_the_id(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.reader[TRIALS] = page(record(7, metrics={"accuracy": 0.9, "roc_auc": 0.639}))

    main(["trials", "-o", "wide"])

    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "TRIAL",
        "STATE",
        "ESTIMATOR",
        "roc_auc",
        "accuracy",
        "alpha",
        "DATA",
        "CODE",
        "ENDED",
        "ID",
        "REASON",
    ]
    assert record(7)["id"] in line


def test_a_metric_and_a_parameter_of_one_name_have_two_titles(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.reader[TRIALS] = page(record(7, metrics={"alpha": 0.9, "roc_auc": 0.6}, parameters={"alpha": 1, "beta": 2}))

    main(["trials", "-o", "wide"])

    titles = capsys.readouterr().out.splitlines()[0].split()
    assert titles[3:7] == ["roc_auc", "metrics.alpha", "params.alpha", "beta"]


def test_a_watch_for_programs_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trials", "--watch", "-o", "json"]) == 2

    assert "--watch shows a table; leave it out with -o json" in capsys.readouterr().err


def test_a_watch_shows_what_has_changed_over_a_short_interruption(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    away = reader_error(503, "StoreUnreachable", "the store does not respond")
    replies = [page(), away, page(record(7)), reader_error(403, "Forbidden", "you may not list trials")]
    cluster.reader[TRIALS] = lambda _call: replies.pop(0)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)

    assert main(["trials", "--watch"]) == 1

    printed = capsys.readouterr()
    assert printed.out.startswith("no trial matches")
    assert "flight-delay/7" in printed.out
    assert "you may not list trials" in printed.err


def test_options_become_the_request(cluster: LocalCluster) -> None:
    cluster.reader[TRIALS] = page()

    main(
        [
            "trials",
            "--pipeline",
            "monthly",
            "--filter",
            "metrics.roc_auc > 0.7",
            "--order-by",
            "metrics.roc_auc DESC",
            "--limit",
            "3",
        ]
    )

    assert dict(cluster.calls[-1].query) == {
        "pipeline": "monthly",
        "filter": "metrics.roc_auc > 0.7",
        "orderBy": "metrics.roc_auc DESC",
        "limit": "3",
    }


def test_chosen_columns(cluster: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.reader[TRIALS] = page(record(7))

    main(["trials", "--columns", "params.alpha,tags.team,state"])

    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["TRIAL", "params.alpha", "tags.team", "STATE"],
        ["flight-delay/7", "0.7", "ops", "Succeeded"],
    ]


@pytest.mark.parametrize("option", ["--release-namespace", "--flywheel-namespace"])
def test_the_reader_of_another_installation_is_reached(cluster: LocalCluster, option: str) -> None:
    cluster.api["/api/v1/namespaces/ml/services/http:flywheel-reader:8080/proxy" + TRIALS] = page()

    assert main(["trials", option, "ml"]) == 0


def test_json_has_the_whole_records(cluster: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.reader[TRIALS] = page(record(7), record(8))

    main(["trials", "-o", "json"])

    assert json.loads(capsys.readouterr().out) == {"items": [record(7), record(8)]}


def test_hostile_names_do_not_reach_the_terminal(cluster: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {"\x1b[2J": 1.0, "a[/b]": 1.0, "w[i]": 1.0, ":smile:": 1.0}
    cluster.reader[TRIALS] = page(record(7, name="a\x1b]0;x\x07", estimator="\u202eevil", metrics=metrics))

    main(["trials", "-o", "wide"])

    printed = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\u202e"} & set(printed)
    assert all(name in printed for name in ("a\\x1b]0;x\\x07", "a[/b]", "w[i]", ":smile:"))


def test_without_trials_there_is_a_sentence(cluster: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.reader[TRIALS] = page()

    assert main(["trials"]) == 0
    assert "no trial matches" in capsys.readouterr().out


def test_a_store_that_is_away_leaves_what_is_known(cluster: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.reader[TRIALS] = reader_error(
        503, "StoreUnreachable", "the store did not respond; 'items' are what was known", items=[record(7)]
    )

    assert main(["trials"]) == 1

    found = capsys.readouterr()
    assert "flight-delay/7" in found.out
    assert found.err == "flywheel: the store did not respond; 'items' are what was known\n"


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        pytest.param(reader_error(403, "Forbidden", "you may not list experiments, or there are none"), "you may not list experiments", id="no right"),
        pytest.param(reader_error(401, "Unauthorized", "the token has expired"), "the token has expired", id="an expired token"),
        pytest.param(reader_error(400, "BadFilter", "filter: '>' is expected at 12"), "'>' is expected at 12", id="a bad filter"),
        pytest.param(reader_error(400, "BadFilter", "evil \x1b[31m"), "evil \\x1b[31m", id="a hostile message"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_sentence(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str], reply: Reply, message: str
) -> None:
    cluster.reader[TRIALS] = reply

    assert main(["trials"]) == 1

    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("flywheel: ")
    assert message in found.err


@pytest.mark.parametrize("words", [["--limit", "-1"], ["--columns", "a,,b"], ["--experiment", "a", "--pipeline", "b"]])
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["trials", *words])

    assert caught.value.code == 2
    assert "error: argument" in capsys.readouterr().err


def test_a_pipe_that_closes_ends_the_command_quietly(cluster: LocalCluster, kubeconfig: Path) -> None:
    cluster.reader[TRIALS] = page(*(record(number) for number in range(1000)))
    script = "import sys; from flywheel.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", script, "trials", "--limit", "0", "-o", "json"]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_compare_prints_what_differs_first(cluster: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    def trial(call: Call) -> Reply:
        number = int(dict(call.query)["filter"].rpartition(" ")[2])
        return page(record(number, metrics={"roc_auc": 0.6 + number / 100, "loss": "NaN"}))

    cluster.reader[TRIALS] = trial

    assert main(["compare", "flight-delay/7", "flight-delay/9"]) == 0

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["GROUP", "FIELD", "flight-delay/7", "flight-delay/9"]
    assert lines[1:4] == [
        ["differs", "parameter", "alpha", "0.7", "0.9"],
        ["differs", "metric", "roc_auc", "0.67", "0.69"],
        ["same", "parameter", "estimator", "Ridge", "Ridge"],
    ]
    assert ["same", "metric", "loss", "NaN", "NaN"] in lines
    assert ["same", "data", "dataset_digest", record(1)["datasetDigest"], record(1)["datasetDigest"]] in lines


def test_compare_shows_differences_alone(cluster: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.reader[TRIALS] = page(record(7))

    main(["compare", "flight-delay/7", "flight-delay/7", "--differences"])

    assert capsys.readouterr().out == "the trials do not differ\n"


def test_a_field_that_one_trial_lacks_differs() -> None:
    rows = compare_records([record(1, tags={}), record(1)])

    assert [(row["group"], row["field"], row["values"]) for row in rows if row["differs"]] == [
        ("tag", "team", [None, "ops"])
    ]


@pytest.mark.parametrize("count", [1, 21])
def test_compare_takes_several_trials(count: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *["flight-delay/7"] * count]) == 2
    assert "give 2 to 20 trials to compare" in capsys.readouterr().err
