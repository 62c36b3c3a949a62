"""`flywheel why`: what it prints, and the receipt that it writes and checks."""

import json
from pathlib import Path
from typing import Any

import pytest

from flywheel.cli import main
from tests.client.local_cluster import LocalCluster
from tests.client.receipts.sample_service import ID, SampleService, row


@pytest.fixture
def sample(cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SampleService:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = SampleService(cluster)
    found.build()
    return found


def test_a_prediction_is_printed_with_its_version_and_what_let_it_in(
    sample: SampleService, capsys: pytest.CaptureFixture[str]
) -> None:
    explanation = {
        "method": "LinearSHAP",
        "scale": "LogOdds",
        "outputs": {"1": {"value": 1.0, "base": 0.5, "contributions": {"hour": -0.75, "month": 1.25}}},
    }
    sample.rows = [row(explanation=json.dumps(explanation), features={"month": 3.0, "hour": "\x1b[31m"})]

    assert main(["why", ID, "--no-replay"]) == 0

    lines = capsys.readouterr().out.splitlines()
    for each in (
        f"prediction {ID}, row 0, of InferenceService 'delay' in namespace 'shop'",
        "  input         month = 3.0",
        '                hour = "\\u001b[31m"',
        "  contributions LinearSHAP, in LogOdds, from the log",
        "                1: 1 = base 0.5",
        "                  -0.75  hour",
        "  replay        not replayed: it was not asked for",
        "  gates         quality passed: 0.81 is above 0.7",
        "  approval      by jane at 2026-11-02T10:00:00Z: ticket 7",
        "  promotion     audit record 4, since 2026-11-03T00:00:00Z, approved by jane: better by 0.01",
    ):
        assert each in lines
    assert any(
        line.startswith("  audit         records 2 to 5 are a chain; the last one has SHA-256 ") for line in lines
    )


def test_a_receipt_is_written_and_checked_and_a_changed_one_refused(
    sample: SampleService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = tmp_path / "receipt.json"
    assert main(["why", ID, "--no-replay", "--to", str(receipt)]) == 0
    assert receipt.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    capsys.readouterr()

    assert main(["why", "--check", str(receipt)]) == 0
    held = capsys.readouterr().out
    receipt.write_text(receipt.read_text().replace('"by":"jane"', '"by":"joe"'))
    assert main(["why", "--check", str(receipt)]) == 1
    changed = capsys.readouterr().out

    assert "holds  the audit records 2 to 5 of Model 'delay' are a chain" in held
    assert "A receipt has no signature" in held
    assert "FAILS  the part 'version' was changed" in changed


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param([], 2, "give the id of a prediction, or the receipt to --check", id="neither"),
        pytest.param([ID, "--check", "x"], 2, "and not both", id="both"),
        pytest.param([ID, "--head", "x"], 2, "--model and --head belong to --check", id="a head without a receipt"),
        pytest.param(["--check", "nowhere.json"], 1, "'nowhere.json' cannot be read", id="no such file"),
        pytest.param(["unknown-id"], 1, "has no logged row with the id", id="no such prediction"),
        pytest.param(
            [ID, "--service", "other"],
            1,
            "you may not read the predictions of InferenceService 'other'",
            id="another service",
        ),
    ],
)
def test_bad_input(
    sample: SampleService, arguments: list[Any], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["why", *arguments]) == code

    assert says in capsys.readouterr().err
