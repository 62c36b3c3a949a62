"""Rows in the store in place of count documents: of a BatchInference, or of a server that is not Flywheel's. Versions with a baseline are
counted in its bins, others in those of their first window."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flywheel_runtime.commands.monitor.config import MonitorConfig
from flywheel_runtime.commands.monitor.version_files import read_json
from flywheel_runtime.contract.step import Step
from flywheel_runtime.monitoring.documents import CountDocument, DocumentProblems, Series
from flywheel_runtime.monitoring.logged_rows import RowTable, count_table, read_rows
from flywheel_runtime.monitoring.reference import Reference
from flywheel_runtime.monitoring.stored_rows.baseline_bins import (
    BaselineBins,
    find_baseline_bins,
    read_baseline_document,
)
from flywheel_runtime.monitoring.stored_rows.batch_outputs import (
    BatchOutput,
    find_score_column,
    read_batch_output,
    read_manifest,
)
from flywheel_runtime.monitoring.windows import Schedule

RowReader = Callable[[frozenset[str], DocumentProblems], Iterable[RowTable]]
"""The rows of these versions, read anew each time. Problems are counted."""

MAX_NAMED = 5  # columns in the message
NOT_COUNTED = "Rows of the store are counted, which do not tell of errors, latencies and completeness."


@dataclass
class StoredRows:
    """The rows of a run. `references` and `missing` (columns by version) are known once the rows are counted."""

    step: Step
    config: MonitorConfig
    schedule: Schedule
    references: dict[Series, Reference] = field(default_factory=dict)
    missing: dict[str, Sequence[str]] = field(default_factory=dict)

    def read(self, versions: frozenset[str], problems: DocumentProblems) -> Iterator[RowTable]:
        """The rows of these versions, file by file."""
        if self.config.stored_rows is not None and self.config.stored_rows.source == "Batch":
            for output in self._batch_outputs(versions):
                yield from self._read_batch(output, problems)
        else:
            root = None if self.config.stored_rows is None else self.step.root / "inputs"
            yield from read_rows(list(find_row_files(self.step)), versions, problems, self._digests(), root)

    def count(self, problems: DocumentProblems, oldest: int) -> Iterator[CountDocument]:
        """Documents of the versions with a usable baseline, in its bins. Rows before `oldest` are of windows that no longer change."""
        if self.config.stored_rows is None:
            return
        end = self.config.until.timestamp()
        for version in sorted(self.config.served_versions):
            for table in self.read(frozenset({version}), problems):
                found = self._find_bins(table)
                if found is not None:
                    self.references[found.series] = found.reference
                    self.missing[version] = found.missing
                    yield from count_table(table.select(oldest, end), found.bins, found.series)

    def describe(self) -> str:
        """What is not compared and not counted; empty where count documents are read."""
        if self.config.stored_rows is None:
            return ""
        said = [NOT_COUNTED]
        for version, names in sorted(self.missing.items()):
            if names:
                more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
                listed = ", ".join(f"'{name}'" for name in names[:MAX_NAMED])
                said.append(
                    f"Of version {version} these columns are not in the rows, and not compared: {listed}{more}."
                )
        return " ".join(said)

    def _digests(self) -> dict[str, str]:
        return {each.name: each.digest for each in self.config.versions}

    def _find_bins(self, table: RowTable) -> BaselineBins | None:
        """The bins for a table's columns. A log has all columns, so that one that is gone is missing in every row; a batch those that are included."""
        document = read_baseline_document(self._folder(table.version) / "baseline.json")
        if document is None:
            return None
        is_batch = self.config.stored_rows is not None and self.config.stored_rows.source == "Batch"
        columns = {*table.numbers, *table.texts} if is_batch else None
        has_score = table.score is not None or not is_batch
        return find_baseline_bins(document, table.version, table.digest, columns, has_score=has_score)

    def _batch_outputs(self, versions: Collection[str]) -> Iterator[BatchOutput]:
        rows = self.config.stored_rows
        for run in rows.runs if rows is not None else ():
            if run.version in versions:
                start = self.schedule.start_of(run.finished_at.timestamp())
                folder = self.step.input(run.input)
                yield BatchOutput(folder, run.version, run.digest, start, self.schedule.seconds)

    def _read_batch(self, output: BatchOutput, problems: DocumentProblems) -> Iterator[RowTable]:
        manifest = read_manifest(output, problems)
        if manifest is None:
            return
        classes = [str(each) for each in read_json(self.step, output.version, "signature.json").get("classes") or ()]
        score = find_score_column(manifest.columns, classes)
        baseline = read_baseline_document(self._folder(output.version) / "baseline.json")
        yield from read_batch_output(output, manifest, baseline, score, problems)

    def _folder(self, version: str) -> Path:
        return self.step.input(f"version-{version}")


def find_row_files(step: Step) -> Iterator[Path]:
    """The files of the log, in the inputs whose names begin with `rows`."""
    folders = sorted((step.root / "inputs").glob("rows*"))
    return (file for folder in folders for file in folder.rglob("*.parquet"))
