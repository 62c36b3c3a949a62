"""The golden messages are ones that these programs can write."""

import json
from pathlib import Path

import pytest

from flywheel_runtime.commands.collect.main import final_message
from flywheel_runtime.contract import termination_message

GOLDEN = Path(__file__).parents[2] / "contracts"  # literals.json and route_*.json are no messages
EXIT_CODES = {"Fetched": 0, "Repeated": 3}


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("[!lr]*.json")), ids=lambda file: file.stem)
def test_every_golden_message_fits_and_has_the_keys_of_its_writer(file: Path) -> None:
    body = json.loads(file.read_text(encoding="utf-8"))
    if file.stem.startswith("pod_"):
        assert set(body) == {"description", "pod", "reading"}
        return

    told = body["message"]
    assert len(termination_message.encode(told)) <= termination_message.MAX_MESSAGE_BYTES
    if told.get("phase") == "Finished":
        assert [key for key in told if key not in ("shortened", "pruned", "audit", "refused")] == list(final_message())
        assert told["complete"] is (told["error"] is None)
    elif file.stem.startswith("fetch_"):
        assert list(told) == ["v", "reason", "message", "retry"]
        assert body["exitCode"] == EXIT_CODES.get(told["reason"], 1 if told["retry"] else 2)
