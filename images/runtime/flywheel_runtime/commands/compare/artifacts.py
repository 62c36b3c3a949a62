"""Files of two artifacts by path and content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from flywheel_runtime.commands.compare.difference import Difference
from flywheel_runtime.contract.step import canonical_json

# Of our trainer's run.json: when and where it ran, and what it took. All else in it must be the same.
OF_THE_MOMENT = ("usage", "node")
# What follows from the weights of a model: where its golden answers agree, these may differ in their last digits.
OF_THE_MODEL = frozenset(
    {"model.onnx", "golden.json", "evaluation.json", "baseline.json", "quantization.json", "run.json"}
)
SHORT = 12  # hex digits that are told


def differences(left: Path, right: Path) -> list[Difference]:
    """Files that are on one side only, or not the same, in the order of their paths."""
    ours, theirs = _digests(left), _digests(right)
    return [
        Difference("file", path, _short(ours.get(path)), _short(theirs.get(path)))
        for path in sorted(ours.keys() | theirs.keys())
        if ours.get(path) != theirs.get(path)
    ]


def may_follow(found: list[Difference]) -> bool:
    """Whether all of these are on both sides and follow from a model's weights."""
    return all(each.name in OF_THE_MODEL and each.left and each.right for each in found)


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _digest(path) for path in files}


def _digest(path: Path) -> str:
    if path.name == "run.json":
        try:
            record = json.loads(path.read_bytes())
            kept = {key: value for key, value in record.items() if key not in OF_THE_MOMENT}
            return hashlib.sha256(canonical_json(kept).encode()).hexdigest()
        except (ValueError, AttributeError):
            pass  # a file of that name that is not our trainer's
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _short(digest: str | None) -> str | None:
    return digest and digest[:SHORT]
