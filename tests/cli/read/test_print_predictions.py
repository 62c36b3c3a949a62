"""`flywheel predictions`: the rows that a service has logged, as a table, CSV or JSON."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flywheel.cli import main
from flywheel.cli.read.moments import parse_moment
from tests.client.local_cluster import LocalCluster, Reply, reader_error

LOGGED = "/v1/namespaces/shop/inferenceservices/delay/predictions"
ROW = {
    "id": "r-1",
    "row": 0,
    "time": "2026-11-29T11:00:00Z",
    "version": "delay-1",
    "features": {"month": 3, "origin": "\x1b[31m"},
    "outputs": {"label": 1},
}


@pytest.fixture
def logged(cluster: LocalCluster) -> LocalCluster:
    cluster.reader[LOGGED] = Reply({"items": [ROW], "next": None})
    return cluster


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        ("table", ["time                  version   features.month   features.origin   outputs.label", "2026-11-29 11:00:00   delay-1   3                \\x1b[31m          1"]),
        ("csv", ["id,row,time,version,features.month,features.origin,outputs.label", "r-1,0,2026-11-29 11:00:00+00:00,delay-1,3,\x1b[31m,1"]),
    ],
)  # fmt: skip
def test_rows_are_printed(
    logged: LocalCluster, output: str, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predictions", "delay", "-o", output]) == 0

    assert capsys.readouterr().out.splitlines() == lines


def test_json_has_the_rows_as_the_reader_has_them(logged: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    main(
        [
            "predictions",
            "delay",
            "--since",
            "2026-11-28T00:00:00Z",
            "--until",
            "2026-11-29",
            "--limit",
            "5",
            "-o",
            "json",
        ]
    )

    assert json.loads(capsys.readouterr().out) == {"items": [ROW]}
    query = dict(logged.calls[0].query)
    assert query == {"from": "2026-11-28T00:00:00+00:00", "to": "2026-11-29T00:00:00+00:00", "limit": "5"}


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        (
            {"logging": {"sample": "10%"}},
            0,
            "InferenceService 'delay' has logged nothing in this period; --since chooses",
        ),
        ({}, 1, "InferenceService 'delay' logs no predictions; spec.logging turns it on"),
        (None, 1, "InferenceService 'delay' in namespace 'shop' does not exist; 'kubectl get"),
    ],
)
def test_without_rows_the_message_says_why(
    cluster: LocalCluster, capsys: pytest.CaptureFixture[str], spec: dict[str, Any] | None, code: int, message: str
) -> None:
    cluster.reader[LOGGED] = Reply({"items": [], "next": None})
    if spec is not None:
        cluster.add("inferenceservices", {"metadata": {"name": "delay", "namespace": "shop"}, "spec": spec})

    assert main(["predictions", "delay"]) == code
    printed = capsys.readouterr()
    assert message in printed.out + printed.err


def test_a_missing_right_is_the_readers_message(cluster: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.reader[LOGGED] = reader_error(403, "Forbidden", "you may not read this, or it does not exist")

    assert main(["predictions", "delay"]) == 1
    assert "you may not read this" in capsys.readouterr().err


def test_a_moment_is_how_long_ago_or_a_time() -> None:
    ago = datetime.now(UTC) - parse_moment("6h")

    assert abs(ago - timedelta(hours=6)) < timedelta(minutes=1)
    assert parse_moment("2026-11-28T12:00:00+01:00") == datetime(2026, 11, 28, 11, tzinfo=UTC)


def test_another_text_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["predictions", "delay", "--since", "yesterday"])

    assert "'yesterday' must be a time such as 6h (ago) or 2026-11-28T12:00:00Z" in capsys.readouterr().err
