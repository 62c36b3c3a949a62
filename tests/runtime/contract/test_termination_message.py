"""Termination messages within the kubelet's 4,096 bytes."""

import json
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.contract import termination_message

FINISHED: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "contracts" / "collect_finished.json").read_text(encoding="utf-8")
)["message"]
METRICS = {f"metric_{number:03}": number / 7 for number in range(300)}


def test_a_message_that_fits_is_left_as_it_is() -> None:
    assert termination_message.shorten(FINISHED) == FINISHED


def test_facts_go_first() -> None:
    facts = {"text": "x" * 1900}
    long = {**FINISHED, "facts": facts, "metrics": dict(list(METRICS.items())[:60])}

    short = termination_message.shorten(long)

    assert short == {**long, "facts": {}, "shortened": ["facts"]}


def test_then_the_last_metrics() -> None:
    short = termination_message.shorten({**FINISHED, "metrics": METRICS})

    kept = list(short["metrics"])
    assert kept == list(METRICS)[: len(kept)]
    assert 50 < len(kept) < 300
    assert short["shortened"] == ["facts", "metrics"]
    assert short["outputs"] == FINISHED["outputs"]
    assert (
        termination_message.MAX_MESSAGE_BYTES - 50
        < len(termination_message.encode(short))
        <= termination_message.MAX_MESSAGE_BYTES
    )


@pytest.mark.parametrize("text", ["é" * 3000, "𝄞" * 3000, "x" * 3000])
def test_a_clipped_text_has_at_most_a_thousand_bytes_and_whole_characters(text: str) -> None:
    clipped = termination_message.clip(text)

    assert 990 < len(clipped.encode()) <= 1000
    assert set(clipped) == {text[0], "…"}


def test_text_that_cannot_be_encoded_is_written_all_the_same(tmp_path: Path) -> None:
    termination_message.write(tmp_path / "log", {"message": "caf\udce9"})

    assert json.loads((tmp_path / "log").read_bytes()) == {"message": "caf?"}
