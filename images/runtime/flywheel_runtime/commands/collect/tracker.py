"""What is tracked of main: the output `tracking`, and the record of its end in the index."""

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flywheel_runtime.commands.collect.logged_files import (
    LOG_FILE,
    PARAMETERS_FILE,
    TAGS_FILE,
    last_values,
    parse_parameters,
    parse_tags,
    read_file,
)
from flywheel_runtime.commands.collect.main_observer import MainObserver
from flywheel_runtime.commands.collect.outputs import read_output
from flywheel_runtime.commands.collect.results import Files, ResultStore
from flywheel_runtime.contract.config.collect import TRACKING, CollectConfig
from flywheel_runtime.contract.errors import Failure, LogUnavailable
from flywheel_runtime.contract.paths import Paths
from flywheel_runtime.contract.safe_files import ConfinedPath
from flywheel_runtime.tracking.record import End, Logged, new_record

ARTIFACTS = "artifacts"  # the folder of files that code logs
# Of the files that code logs: the reader lists at most 10,000 files of an artifact, in 4 MiB.
MAX_LOGGED_FILES = 9_900
MAX_LOGGED_NAME_BYTES = 2 << 20
RECORD_SECONDS = 10.0  # for the record of an end; in one of 256 pods, for a segment too


@dataclass
class Tracker:
    """Collects what main logged. A failure to store it is written to collect's log and into the record, and fails no step."""

    config: CollectConfig
    paths: Paths
    env: Mapping[str, str]
    log_message: str | None = None
    problems: list[str] = field(default_factory=list)
    _log: Path | None = None
    _log_read: bool = False

    def files(self) -> dict[str, Files]:
        """The output `tracking`, also of a main that failed; empty where main left nothing."""
        paths = self.paths
        found = [paths.metrics, paths.curves, paths.facts, paths.params, paths.source]
        if self.config.track is not None:
            found += [paths.outputs / TAGS_FILE, paths.outputs / PARAMETERS_FILE, *self._read_log()]
        regular = [path for path in found if path.is_file() and not path.is_symlink()]
        files = [(path.name, ConfinedPath.from_file(path)) for path in regular] + self._artifacts()
        return {TRACKING: files} if files else {}

    def upload_alone(self, results: ResultStore, deadline: float) -> dict[str, Any]:
        """Upload it for a main that failed. It is worth no further failure."""
        try:
            return results.outputs(self.files(), deadline)
        except Failure as failure:
            _report_problem(f"what was tracked was not uploaded: {failure.message}")
            return {}

    def record(
        self, report: Mapping[str, Any], results: ResultStore, grace: float, observer: MainObserver | None = None
    ) -> None:
        """Add the record of this end to the index, if it counts.

        Without an observer, the report is the result of an earlier collect of this attempt, whose record may be missing. If it is not,
        the second one says the same.
        """
        track, attempt = self.config.track, results.attempt
        end = End(observer.exit_code, observer.failure) if observer is not None else End()
        failed_for_now = end.failure is None and bool((report.get("error") or {}).get("retry"))
        if track is None or failed_for_now or self.config.follows(attempt.index):
            return
        deadline = time.monotonic() + min(RECORD_SECONDS, grace / 4)
        item = attempt.part if self.config.leader is None else None
        try:
            files = self._read_stored(report, results, deadline) if observer is None else self._read_local()
            logged = self._logged(files)
            logged = logged if report.get("metrics") else replace(logged, metrics=last_values(self.paths.curves))
            results.append_record(new_record(track, attempt, item, self.env, report, logged, end), deadline)
        except Failure as failure:
            _report_problem(f"the end was not recorded in the index: {failure.message}")

    def _read_log(self) -> list[Path]:
        """The compressed log, read once: by then what was said last has reached the log, since main's files are uploaded."""
        logs = self.config.track.logs if self.config.track else None
        if logs is None:
            return []
        if not self._log_read:
            self._log_read = True
            # Imported only now, since main waits for what is imported at the start.
            from flywheel_runtime.commands.collect.main_log import store_log

            file = self.paths.log
            try:
                store_log(file, self.env, logs.masked_variables)
                self._log = file
            except (LogUnavailable, OSError) as error:
                self.log_message = f"The log of main is not stored: {error}."
                _report_problem(self.log_message)
        return [self._log] if self._log is not None else []

    def _artifacts(self) -> Files:
        """The files that code logged, unless the folder is an output of the step's own."""
        if self.config.track is None or ARTIFACTS in {output.name for output in self.config.outputs}:
            return []
        try:
            files = read_output(ARTIFACTS, self.paths.outputs / ARTIFACTS, required=False)
        except Failure as failure:
            self._add_problem(f"The logged files are not stored: {failure.message}.")
            return []
        if len(files) > MAX_LOGGED_FILES or _name_bytes(files) > MAX_LOGGED_NAME_BYTES:
            self._add_problem(
                f"The logged files are not stored: there are {len(files):,}, and at most {MAX_LOGGED_FILES:,} with names of {MAX_LOGGED_NAME_BYTES:,} bytes are; put small files into archives."
            )
            return []
        return [(f"{ARTIFACTS}/{name}", file) for name, file in files]

    def _read_local(self) -> dict[str, bytes]:
        """The small files of main's; what is wrong with one is a problem of the record."""
        found: dict[str, bytes] = {}
        for name in (TAGS_FILE, PARAMETERS_FILE):
            try:
                text = read_file(self.paths.outputs / name)
            except ValueError as error:
                self._add_problem(f"{error}.")
            else:
                found |= {name: text} if text is not None else {}
        return found

    def _read_stored(self, report: Mapping[str, Any], results: ResultStore, deadline: float) -> dict[str, bytes]:
        """The same files of an earlier collect, from the store; empty bytes for the log."""
        tracked = (report.get("outputs") or {}).get(TRACKING)
        return results.small_files(tracked["digest"], (TAGS_FILE, PARAMETERS_FILE), deadline) if tracked else {}

    def _logged(self, files: Mapping[str, bytes]) -> Logged:
        parsed: dict[str, dict[str, Any]] = {}
        for name, parse in ((TAGS_FILE, parse_tags), (PARAMETERS_FILE, parse_parameters)):
            try:
                parsed[name] = parse(files[name]) if name in files else {}
            except ValueError as error:
                self._add_problem(f"{error}.")
        return Logged(
            parsed.get(PARAMETERS_FILE, {}),
            parsed.get(TAGS_FILE, {}),
            log=self._log is not None or LOG_FILE in files,
            log_message=self.log_message,
            problems=tuple(self.problems),
        )

    def _add_problem(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)
            _report_problem(problem)


def _name_bytes(files: Files) -> int:
    return sum(len(json.dumps(name, ensure_ascii=False).encode()) for name, _ in files)


def _report_problem(problem: str) -> None:
    sys.stderr.write(problem + "\n")
    sys.stderr.flush()
