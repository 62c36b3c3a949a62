"""The journal of a step's runs: one JSON object a line, appended by every process of main and replayed by each."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any, BinaryIO

from flywheel_runtime.mlflow_plugin.run_state import State


class Journal:
    """The state of all runs, read from a file that several processes append to.

    with journal.update() as update:   # nobody else appends meanwhile
        update.state                   # everything that was appended before
        update.append({...})           # applied to the state at once
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / ".mlflow" / "journal.jsonl"
        self._state = State()
        self._read_bytes = 0
        self._lock = RLock()

    def read(self) -> State:
        """The state after everything that any process has appended."""
        with self._lock:
            with suppress(FileNotFoundError):
                if self._path.stat().st_size > self._read_bytes:
                    with self._path.open("rb") as file:
                        self._replay(file)
            return self._state

    @contextmanager
    def update(self) -> Iterator["Update"]:
        """Let one process at a time read the state and append to it."""
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # until the file is closed
                self._replay(file)
                yield Update(self, file, self._state)

    def _replay(self, file: BinaryIO) -> None:
        file.seek(self._read_bytes)
        for line in file:
            if not line.endswith(b"\n"):  # another process is writing it
                break
            self._read_bytes += len(line)
            self._state.apply(json.loads(line))


class Update:
    """The right to append to a journal."""

    def __init__(self, journal: Journal, file: BinaryIO, state: State) -> None:
        self._journal = journal
        self._file = file
        self.state = state

    def append(self, entry: Mapping[str, Any]) -> None:
        """Append one entry, and apply it to the state."""
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        self._journal._replay(self._file)
