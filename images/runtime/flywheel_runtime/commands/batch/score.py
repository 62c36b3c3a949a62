"""`batch-score`: one shard. Its rows go to the server in the same pod, its part and its errors to the output, and its result is written last."""

import json
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flywheel_runtime.commands.batch.batch_step import Report, Step, run_batch_step
from flywheel_runtime.commands.batch.formats import RowError, Rows
from flywheel_runtime.commands.batch.formats.choice import FORMATS
from flywheel_runtime.commands.batch.inference import predictions
from flywheel_runtime.commands.batch.inference.client import Array, Client
from flywheel_runtime.commands.batch.inference.model_inputs import Feature, match, tensors
from flywheel_runtime.commands.batch.scoring_plan import FILE, Piece, Plan
from flywheel_runtime.commands.batch.storage import shard_results
from flywheel_runtime.commands.batch.storage.locations import Source, open_output, open_source
from flywheel_runtime.commands.batch.storage.part_files import Part
from flywheel_runtime.commands.batch.storage.shard_results import Result
from flywheel_runtime.contract.errors import Failure, RequestRejected
from flywheel_runtime.contract.step import log_line

TOO_MANY = "TooManyRowErrors"
MAX_PARALLEL_CALLS = 3  # under way at once: the server scores one chunk while the next is read and the last one written


@dataclass(frozen=True)
class Scored:
    """Rows of a file with the model's answers, and those without."""

    file: str
    rows: Rows
    found: dict[str, Array]
    errors: list[RowError]


@dataclass
class Shard:
    """One shard on its way. Errors are written as they come."""

    step: Step
    plan: Plan
    client: Client
    errors: Path
    failed: int = 0
    scored: int = 0
    part: Part | None = None
    _features: dict[int, list[Feature]] = field(default_factory=dict)

    def score(self, source: Source, pieces: tuple[Piece, ...], path: Path) -> Path | None:
        """The part file, or None where no row could be scored. Failure TooManyRowErrors."""
        with self.errors.open("w", encoding="utf-8") as log, ThreadPoolExecutor(MAX_PARALLEL_CALLS) as pool:
            waiting: deque[Future[Scored]] = deque()
            for piece, rows in self._chunks(source, pieces):
                waiting.append(pool.submit(self._predict, piece, rows))
                if len(waiting) > MAX_PARALLEL_CALLS:
                    self._keep(waiting.popleft().result(), log, path)
            while waiting:
                self._keep(waiting.popleft().result(), log, path)
        return self.part.close() if self.part else None

    def _chunks(self, source: Source, pieces: tuple[Piece, ...]) -> Iterator[tuple[Piece, Rows]]:
        plan = self.plan
        reader = FORMATS[plan.format]
        inputs, _ = self.client.signature()
        for piece in pieces:
            file, head_at = plan.files[piece.file]
            head = plan.heads[head_at]
            features = self._features.setdefault(head_at, match(inputs, plan.features, head.columns, file.path))
            wanted = list(dict.fromkeys([c for f in features for c in f.columns] + [name for name, _ in plan.included]))
            for rows in reader.rows(source, file, head, piece.slice, wanted, self.step.scratch):
                bad = rows.bad
                for start in range(0, max(len(rows), 1), plan.rows_per_call):
                    some = range(start, min(start + plan.rows_per_call, len(rows)))
                    picked = rows.only(some)
                    yield piece, Rows(picked.numbers, picked.columns, bad)
                    bad = []

    def _predict(self, piece: Piece, rows: Rows) -> Scored:
        file, head = self.plan.files[piece.file]
        features = self._features[head]
        good, feeds, errors = tensors(features, rows)
        found, refused = self._infer(features, feeds, good)
        errors = sorted([*rows.bad, *errors, *refused], key=lambda error: error.row)
        lost = {error.row for error in refused}
        scored = good.only([at for at, number in enumerate(good.numbers) if number not in lost])
        return Scored(file.path, scored, found, errors)

    def _infer(
        self, features: list[Feature], feeds: dict[str, Array], rows: Rows
    ) -> tuple[dict[str, Array], list[RowError]]:
        """All rows in one call; if that is refused, each half by itself, down to the row that is to blame."""
        if not len(rows):
            return {}, []
        try:
            return self.client.infer(tuple(each.tensor for each in features), feeds), []
        except RequestRejected as refusal:
            if len(rows) == 1:
                return {}, [RowError(rows.numbers[0], "Refused", str(refusal))]
        middle = len(rows) // 2
        halves = (slice(0, middle), slice(middle, len(rows)))
        asked = [
            self._infer(features, {name: a[h] for name, a in feeds.items()}, rows.only(range(len(rows))[h]))
            for h in halves
        ]
        answered = [found for found, _ in asked if found]
        joined = {name: np.concatenate([found[name] for found in answered]) for name in (answered or [{}])[0]}
        return joined, [error for _, errors in asked for error in errors]

    def _keep(self, scored: Scored, log: Any, path: Path) -> None:
        for error in scored.errors:
            line = {"file": scored.file, "row": error.row, "reason": error.reason, "message": error.message}
            log.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.failed += len(scored.errors)
        most = self.step.config.max_row_errors
        if most is not None and self.failed > most:
            last = scored.errors[-1]
            words = f"more than {most} rows cannot be scored, at last row {last.row} of file '{scored.file}': {last.message}"
            cure = f"see '{self.plan.output}_errors/', and mend the rows or raise spec.maxRowErrors"
            raise Failure(TOO_MANY, f"{words}; {cure}")
        if not len(scored.rows):
            return
        if self.part is None:
            self.part = Part(path, self.step.config.output.format, self.plan.columns)
        included = [scored.rows.columns[name] for name, _ in self.plan.included]
        as_text = self.plan.output_format != "Parquet"
        found = [predictions.cells(answer, scored.found, as_text=as_text) for answer in self.plan.answers]
        self.part.append([*included, *found])
        self.scored += len(scored.rows)


def main() -> int:
    """The exit code of the contract."""
    return run_batch_step(score)


def score(step: Step) -> Report:
    """The shard of this pod's index, unless it is done already."""
    index = int(step.env["JOB_COMPLETION_INDEX"])
    plan = Plan.read(step.paths.inputs / "plan" / FILE)
    output = open_output(step.config, step.env)
    keeper = shard_results.Results.of_plan(step.env, plan.id)
    earlier = keeper.read(index)
    if earlier is not None and shard_results.files_exist(output, earlier):
        return _report(earlier, 0.0, repeated=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=step.scratch) as folder, step.client as client:
        errors = Path(folder) / "errors.jsonl"
        shard = Shard(step, plan, client, errors)
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
