"""The plan: what is scored by which shard, written once, so that a shard that is done again scores the same rows.

It holds everything that the output depends on, and nothing else (no name, no time), so its digest says whether two runs are the same.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from flywheel_runtime.commands.batch.inference.predictions import Answer
from flywheel_runtime.commands.batch.reading import Head, Slice
from flywheel_runtime.commands.batch.storage.locations import File
from flywheel_runtime.contract.errors import Failure

FILE = "plan.json"
VERSION = 2  # of its form; a shard that was scored by another form is not taken for done
DIGITS = 12  # of the plan's digest, in names of files


@dataclass(frozen=True)
class Piece:
    """A slice of a file, both by their place in the plan."""

    file: int
    slice: Slice


@dataclass(frozen=True)
class LookedUpDataset:
    """The version of a Dataset in which features are looked up, by the digest of its artifact."""

    name: str
    version: str
    digest: str


@dataclass(frozen=True)
class LookedUpSet:
    """A FeatureSet whose features are looked up, by the digest of its definition."""

    name: str
    digest: str
    datasets: tuple[LookedUpDataset, ...]


@dataclass(frozen=True)
class Plan:
    """`heads` are the different ones; `files` names for each file which it has. `included`: names and DuckDB's types; `csv` is
    what the spec says of CSV files."""

    output: str
    model: str
    format: str
    output_format: str
    features: tuple[str, ...]
    csv: dict[str, Any]
    ignored: tuple[str, ...]
    files: tuple[tuple[File, int], ...]
    heads: tuple[Head, ...]
    included: tuple[tuple[str, str], ...]
    answers: tuple[Answer, ...]
    rows_per_call: int
    shards: tuple[tuple[Piece, ...], ...]
    feature_sets: tuple[LookedUpSet, ...] = ()

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Of the output, with DuckDB's types."""
        return [*self.included, *((answer.name, answer.type) for answer in self.answers)]

    @property
    def rows(self) -> int:
        return sum(piece.slice.rows for shard in self.shards for piece in shard)

    @property
    def id(self) -> str:
        """The digest of its text, in hexadecimal."""
        return hashlib.sha256(self.encode()).hexdigest()

    def encode(self) -> bytes:
        """Canonical JSON. Without FeatureSets it is that of earlier releases, whose outputs stay valid."""
        body = {"v": VERSION, **asdict(self)}
        if not self.feature_sets:
            del body["feature_sets"]
        return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def read(cls, path: Path) -> "Plan":
        """Of a file that `encode` wrote, and whose digest fetch has checked. Failure PlanOutdated if it was another image's."""
        body: dict[str, Any] = json.loads(path.read_bytes())
        if body.get("v") != VERSION:
            words = f"the plan is of form {body.get('v')}, and this image reads form {VERSION}"
            raise Failure("PlanOutdated", f"{words}; the input is planned anew")
        return TypeAdapter(cls).validate_python(body)


def shards(slices: Sequence[Sequence[Slice]], most: int) -> list[tuple[Piece, ...]]:
    """All slices in order, in at most so many shards of about the same number of bytes."""
    pieces = [Piece(file, part) for file, parts in enumerate(slices) for part in parts]
    share = sum(piece.slice.size for piece in pieces) / most
    found: list[list[Piece]] = []
    filled, total = 0.0, 0
    for piece in pieces:
        if not found or (total >= filled and len(found) < most):
            found.append([])
            filled = len(found) * share
        total += piece.slice.size
        before = found[-1][-1] if found[-1] else None
        if before is not None and before.file == piece.file and before.slice.stop == piece.slice.start:
            found[-1][-1] = Piece(piece.file, _joined(before.slice, piece.slice))
        else:
            found[-1].append(piece)
    return [tuple(shard) for shard in found]


def _joined(one: Slice, other: Slice) -> Slice:
    return Slice(one.start, other.stop, one.first, one.rows + other.rows, one.size + other.size)
