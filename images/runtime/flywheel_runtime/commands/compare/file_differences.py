"""Files of two artifacts by path and content."""

import hashlib
import json
from pathlib import Path

from flywheel_runtime.commands.compare.difference import Difference
from flywheel_runtime.contract.step import canonical_json

# In the run.json of trainer sklearn: where it ran, and what it took. All else must be the same.
VOLATILE_KEYS = ("usage", "node")
# What follows from the weights of a model: where its golden predictions agree, these may differ in their last digits.
FILES_OF_WEIGHTS = frozenset(
    {"model.onnx", "golden.json", "evaluation.json", "baseline.json", "quantization.json", "run.json"}
)
DIGEST_DIGITS = 12


def compare_files(left: Path, right: Path) -> list[Difference]:
    """Files that are on one side only, or not the same, sorted by their paths."""
    left_digests, right_digests = _digests(left), _digests(right)
    return [
        Difference("file", path, _shorten(left_digests.get(path)), _shorten(right_digests.get(path)))
        for path in sorted(left_digests.keys() | right_digests.keys())
        if left_digests.get(path) != right_digests.get(path)
    ]


def may_follow_from_weights(differences: list[Difference]) -> bool:
    """Whether all of these files are on both sides and follow from a model's weights."""
    return all(each.name in FILES_OF_WEIGHTS and each.left and each.right for each in differences)


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _digest(path) for path in files}


def _digest(path: Path) -> str:
    if path.name == "run.json":
        try:
            stable = {key: value for key, value in json.loads(path.read_bytes()).items() if key not in VOLATILE_KEYS}
            return hashlib.sha256(canonical_json(stable).encode()).hexdigest()
        except (ValueError, AttributeError):
            pass  # a file of that name that another trainer wrote
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _shorten(digest: str | None) -> str | None:
    return digest and digest[:DIGEST_DIGITS]
