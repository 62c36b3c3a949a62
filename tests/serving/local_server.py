"""A server of its own process on loopback, for tests and benchmarks."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

START_SECONDS = 60.0
STOP_SECONDS = 60.0


class LocalServer:
    """`with LocalServer(folder, "--max-rows", "10") as server:` serves `folder` on free ports until the block ends."""

    def __init__(self, model: Path, *flags: str) -> None:
        arguments = ["--model", str(model), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", *flags]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flywheel_serving", *arguments],
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            text=True,
        )
        self.sink: subprocess.Popen[bytes] | None = None  # where predictions are logged
        self.log: list[dict[str, Any]] = []
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.ready: dict[str, Any] = {}

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for text in lines:
                line = json.loads(text) if text.startswith("{") else {"message": text.rstrip()}
                self.log.append(line)
                self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, message: str) -> dict[str, Any]:
        """The next line of the log whose message starts so. Raises RuntimeError with the log if the server ends."""
        while (line := self._lines.get(timeout=START_SECONDS)) is not None:
            if line["message"].startswith(message):
                return line
        raise RuntimeError(f"the server ended before it said {message!r}: {self.log}")

    @property
    def http(self) -> str:
        return f"127.0.0.1:{self.ready['http']}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.ready['grpc']}"

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """The exit code, once the process has ended by itself."""
        return self.process.wait(STOP_SECONDS)

    def __enter__(self) -> Self:
        self.ready = self.wait_for("ready")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
