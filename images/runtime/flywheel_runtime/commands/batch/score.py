"""`batch-score`: one shard. Its rows go to the server in the same pod, its part and its errors to the output, and its result is written last."""

import json
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import duckdb
import numpy as np

from flywheel_runtime.commands.batch.batch_step import Report, Step, run_batch_step
from flywheel_runtime.commands.batch.features.looked_up import FeatureJoin, ReadChunk
from flywheel_runtime.commands.batch.features.pinned_sets import (
    PinnedSets,
    looked_up_sets,
    read_pinned_sets,
    read_sources,
)
from flywheel_runtime.commands.batch.inference.cells import Cell
from flywheel_runtime.commands.batch.inference.client import Array, Client
from flywheel_runtime.commands.batch.inference.model_inputs import Feature, match, read_tensors
from flywheel_runtime.commands.batch.reading import Chunk, Piece, RowError
from flywheel_runtime.commands.batch.reading.choice import FORMATS
from flywheel_runtime.commands.batch.reading.columns import check_folders, describe_cells
from flywheel_runtime.commands.batch.scoring_plan import FILE, Plan
from flywheel_runtime.commands.batch.scoring_plan import Piece as PlannedPiece
from flywheel_runtime.commands.batch.storage import shard_results
from flywheel_runtime.commands.batch.storage.locations import Source, open_output, open_source
from flywheel_runtime.commands.batch.storage.part_files import Part
from flywheel_runtime.commands.batch.storage.shard_results import Result
from flywheel_runtime.contract.errors import Failure, RequestRejected
from flywheel_runtime.contract.step import log_line
from flywheel_runtime.datasets.sql import connect

TOO_MANY = "TooManyRowErrors"
NOT_FINITE, NOT_FINITE_MESSAGE = "NotFinite", "the model's prediction is not a finite number"
MAX_PARALLEL_CALLS = 3  # under way at once: the server scores one chunk while the next is read and the last one written


@dataclass(frozen=True)
class Call:
    """Rows of a chunk, by their places, with the model's answers, and those without."""

    places: Array
    found: dict[str, Array]
    errors: list[RowError]


@dataclass(frozen=True)
class ScoredChunk:
    """A chunk on its way: what its columns hold, the rows that cannot be asked, and the calls for all others."""

    file: str
    chunk: Chunk
    cells: Mapping[str, Cell]
    errors: list[RowError]
    calls: list[Future[Call]]


@dataclass
class Shard:
    """One shard on its way. Errors are written as they come."""

    step: Step
    plan: Plan
    client: Client
    errors: Path
    connection: duckdb.DuckDBPyConnection
    sets: PinnedSets
    failed: int = 0
    scored: int = 0
    part: Part | None = None
    _features: dict[str, list[Feature]] = field(default_factory=dict)

    def score(self, source: Source, pieces: tuple[PlannedPiece, ...], path: Path) -> Path | None:
        """The part file, or None where no row could be scored. Failure TooManyRowErrors."""
        with self.errors.open("w", encoding="utf-8") as log, ThreadPoolExecutor(MAX_PARALLEL_CALLS) as pool:
            waiting: deque[ScoredChunk] = deque()
            chunks = self._chunks(source, pieces)
            for piece, chunk in self._with_features(chunks) if self.sets.sets else chunks:
                waiting.append(self._start(piece, chunk, pool))
                if len(waiting) > 1:
                    self._finish(waiting.popleft(), log, path)
            while waiting:
                self._finish(waiting.popleft(), log, path)
        return self.part.close() if self.part else None

    def _chunks(self, source: Source, pieces: tuple[PlannedPiece, ...]) -> Iterator[ReadChunk]:
        plan, form = self.plan, self.step.config.input.form
        inputs, _ = self.client.signature()
        for piece in pieces:
            file, head_at = plan.files[piece.file]
            head = plan.heads[head_at]
            features = match(inputs, plan.features, (*head.all_columns(file, form), *self.sets.features), file.path)
            self._features[file.path] = features
            included = [name for name, _ in plan.included]
            wanted = dict.fromkeys([c for f in features for c in f.columns] + included + self.sets.inputs)
            wanted_piece = Piece(source, file, head, piece.slice, tuple(wanted))
            for chunk in FORMATS[plan.format].chunks(self.connection, wanted_piece, form, self.step.scratch):
                yield wanted_piece, chunk

    def _with_features(self, chunks: Iterator[ReadChunk]) -> Iterator[ReadChunk]:
        sources = read_sources(self.step, self.sets)
        return FeatureJoin(self.connection, self.sets, sources, self._describe_cells).add_to(chunks)

    def _describe_cells(self, piece: Piece) -> dict[str, Cell]:
        cells = describe_cells(self.plan.format, piece.head, piece.wanted, self.step.config.input.form)
        return {**cells, **self.sets.cells}

    def _start(self, piece: Piece, chunk: Chunk, pool: ThreadPoolExecutor) -> ScoredChunk:
        """Begin the calls for a chunk's rows."""
        cells = self._describe_cells(piece)
        if not len(chunk):
            return ScoredChunk(piece.file.path, chunk, cells, list(chunk.bad), [])
        check_folders(self.connection, chunk.rows, piece, cells)
        features = self._features[piece.file.path]
        feeds, wrong = read_tensors(self.connection, chunk.rows, features, cells)
        wrong_rows = {at: RowError(chunk.numbers[at], "BadValue", words) for at, words in wrong.items()}
        refused = {**wrong_rows, **chunk.refused}
        errors = [*chunk.bad, *refused.values()]
        good = np.arange(len(chunk))
        if refused:
            good = np.delete(good, list(refused))
            feeds = {name: array[good] for name, array in feeds.items()}
        calls = []
        for start in range(0, len(good), self.plan.rows_per_call):
            some = slice(start, start + self.plan.rows_per_call)
            asked = {name: array[some] for name, array in feeds.items()}
            calls.append(pool.submit(self._infer, features, asked, good[some], chunk))
        return ScoredChunk(piece.file.path, chunk, cells, errors, calls)

    def _infer(self, features: list[Feature], feeds: dict[str, Array], places: Array, chunk: Chunk) -> Call:
        """All rows in one call; if that is refused, each half by itself, down to the row that is to blame."""
        try:
            found = self.client.infer(tuple(each.tensor for each in features), feeds)
            return self._without_failed_rows(Call(places, found, []), chunk)
        except RequestRejected as refusal:
            if len(places) == 1:
                return Call(places[:0], {}, [RowError(chunk.numbers[int(places[0])], "Refused", str(refusal))])
        middle = len(places) // 2
        halves = [
            self._infer(features, {name: a[half] for name, a in feeds.items()}, places[half], chunk)
            for half in (slice(0, middle), slice(middle, len(places)))
        ]
        answered = [half for half in halves if len(half.places)]
        return Call(*_join_calls(answered or halves[:1]), [error for half in halves for error in half.errors])

    def _without_failed_rows(self, call: Call, chunk: Chunk) -> Call:
        """`call` without the rows whose prediction has a number that is not finite: these are errors."""
        is_finite = np.ones(len(call.places), np.bool_)
        for name in {answer.output for answer in self.plan.answers}:
            array = call.found[name]
            if array.dtype.kind == "f":
                is_finite &= np.isfinite(array).reshape(len(array), -1).all(axis=1)
        if is_finite.all():
            return call
        failed = call.places[~is_finite]
        errors = [RowError(chunk.numbers[int(place)], NOT_FINITE, NOT_FINITE_MESSAGE) for place in failed]
        return Call(call.places[is_finite], {name: a[is_finite] for name, a in call.found.items()}, errors)

    def _finish(self, scored: ScoredChunk, log: TextIO, path: Path) -> None:
        """Write a chunk's rows and errors, and drop its table."""
        calls = [call.result() for call in scored.calls]
        errors = sorted(
            [*scored.errors, *(error for call in calls for error in call.errors)], key=lambda each: each.row
        )
        self._write_errors(scored.file, errors, log)
        answered = [call for call in calls if len(call.places)]
        if answered:
            if self.part is None:
                output = self.step.config.output.format
                self.part = Part(self.connection, path, output, self.plan.included, self.plan.answers)
                self.part.create()
            places, found = _join_calls(answered)
            self.part.append(scored.chunk, scored.cells, places, found)
            self.scored += len(places)
        if scored.chunk.table is not None:
            self.connection.execute(f"DROP TABLE {scored.chunk.table}")

    def _write_errors(self, file: str, errors: list[RowError], log: TextIO) -> None:
        for error in errors:
            line = {"file": file, "row": error.row, "reason": error.reason, "message": error.message}
            log.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.failed += len(errors)
        most = self.step.config.max_row_errors
        if most is not None and self.failed > most:
            last = errors[-1]
            words = f"more than {most} rows cannot be scored, at last row {last.row} of file '{file}' ({last.reason})"
            cure = f"see '{self.plan.output}_errors/', and mend the rows or raise spec.maxRowErrors"
            raise Failure(TOO_MANY, f"{words}; {cure}")


def _join_calls(calls: Sequence[Call]) -> tuple[Array, dict[str, Array]]:
    """The places and the answers of one call or more, one after the other."""
    found = {name: np.concatenate([call.found[name] for call in calls]) for name in calls[0].found}
    return np.concatenate([call.places for call in calls]), found


def main() -> int:
    """The exit code of the contract."""
    return run_batch_step(score)


def score(step: Step) -> Report:
    """The shard of this pod's index, unless it is done already."""
    index = int(step.env["JOB_COMPLETION_INDEX"])
    plan = Plan.read(step.paths.inputs / "plan" / FILE)
    if plan.feature_sets != looked_up_sets(step.config):
        words = "the plan is of other versions of the Datasets in which features are looked up"
        raise Failure("PlanOutdated", f"{words}; the input is planned anew")
    return score_shard(step, plan, index)


def score_shard(step: Step, plan: Plan, index: int) -> Report:
    """One shard of the plan, unless it is done already."""
    output = open_output(step.config, step.env)
    keeper = shard_results.Results.of_plan(step.env, plan.id)
    earlier = keeper.read(index)
    if earlier is not None and shard_results.files_exist(output, earlier):
        return _report(earlier, 0.0, repeated=True)
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(dir=step.scratch) as folder,
        connect(Path(folder), threads=1) as connection,  # rows keep their order
        step.client as client,
    ):
        errors = Path(folder) / "errors.jsonl"
        shard = Shard(step, plan, client, errors, connection, read_pinned_sets(step))
        source = open_source(step.config, step.paths, step.env)
        try:
            part = shard.score(source, plan.shards[index], Path(folder) / "part")
        except Failure as failure:
            if failure.reason == TOO_MANY:
                shard_results.upload_shard(output, plan, index, None, errors, 0, shard.failed)  # for whoever mends them
            raise
        result = shard_results.upload_shard(
            output, plan, index, part, errors if shard.failed else None, shard.scored, shard.failed
        )
    keeper.write(index, result)
    seconds = time.monotonic() - started
    log_line(f"shard {index}: {shard.scored} rows, {shard.failed} row errors in {seconds:.1f} s")
    return _report(result, seconds, repeated=False)


def _report(result: Result, seconds: float, *, repeated: bool) -> Report:
    metrics = {"rows": float(result.rows), "errors": float(result.errors), "seconds": round(seconds, 3)}
    return Report(metrics, repeated=repeated)
