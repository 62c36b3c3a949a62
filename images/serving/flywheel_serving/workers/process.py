"""One worker process and the socket to it. Its methods block, so they are called in threads."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from flywheel_serving.errors import ModelCrashed, ModelFailed, ModelRefused, RequestTooLarge, TimeLimitExceeded
from flywheel_serving.memory import PROC, read_kibibytes
from flywheel_serving.model.datatypes import DTYPES, Array
from flywheel_serving.model.onnx_model import parse_signature
from flywheel_serving.workers.frames import receive_message, send_message

LOAD_SECONDS = 600.0  # as long as the pod's startup probe waits for a big model
# After the time limit: for a computation to end by itself between two nodes. Then its process is killed.
GRACE_SECONDS = 1.0
UNLIMITED_SECONDS = 3_600.0
DAMAGED = "its response was damaged"
# Of the server's environment, what a computation may need. The worker computes strangers' graphs.
VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "OMP_WAIT_POLICY")
VARIABLE_PREFIXES = ("CUDA_", "NVIDIA_")


class WorkerProcess:
    """A running worker. `signature` and `providers` are those of the model that it has loaded."""

    def __init__(self, path: Path, threads: int, max_output_bytes: int, memory_bytes: int | None = None) -> None:
        """Starts the process and loads the model. Raises ModelRefused, or ModelCrashed if it ended while loading.

        It may allocate `memory_bytes` for the model until `limit_growth` is called; without a bound if None.
        """
        self._max_output_bytes = max_output_bytes
        ours, theirs = socket.socketpair()
        with theirs:
            configuration = {
                "socket": theirs.fileno(),
                "path": str(path),
                "threads": threads,
                "maxOutputBytes": max_output_bytes,
                "memoryBytes": memory_bytes,
            }
            self._process = subprocess.Popen(
                [*_python(), "-m", "flywheel_serving.workers", json.dumps(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C reaches the server alone, which lets its workers finish
            )
        self._connection = ours
        try:
            loaded, _ = self._exchange(None, {}, LOAD_SECONDS)
        except TimeLimitExceeded:
            raise ModelCrashed(f"it was not loaded in {LOAD_SECONDS:g} s") from None
        try:
            self._read_loaded(loaded)
        except ModelRefused:
            self.kill()
            raise
        except (ValueError, TypeError, KeyError) as error:
            self.kill()
            raise ModelCrashed(DAMAGED) from error

    def _read_loaded(self, loaded: dict[str, Any]) -> None:
        if "refused" in loaded:
            reason, message = loaded["refused"]
            raise ModelRefused(reason, message)
        self.signature = parse_signature(loaded["signature"])
        self.providers: list[str] = loaded["providers"]
        self._dtypes = {spec.name: DTYPES[spec.datatype] for spec in self.signature.outputs}

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def loaded_bytes(self) -> int:
        """The memory that it needed at most until now."""
        return read_kibibytes(PROC / str(self.pid) / "status", "VmHWM")

    @property
    def data_bytes(self) -> int:
        """What RLIMIT_DATA counts: allocated memory, in use or not."""
        return read_kibibytes(PROC / str(self.pid) / "status", "VmData")

    def limit_growth(self, size: int) -> None:
        """Lets the process allocate `size` bytes more than it has allocated now."""
        resource.prlimit(self.pid, resource.RLIMIT_DATA, (self.data_bytes + size, resource.RLIM_INFINITY))

    def run(self, feeds: dict[str, Array], outputs: list[str], seconds: float | None = None) -> list[Array]:
        """One array for each of `outputs`. Raises ModelFailed, RequestTooLarge; ModelCrashed or TimeLimitExceeded, after which `is_alive` says whether it lives."""
        limit = UNLIMITED_SECONDS if seconds is None else seconds
        response, arrays = self._exchange({"outputs": outputs, "seconds": limit}, feeds, limit + GRACE_SECONDS)
        if response.get("late"):
            raise TimeLimitExceeded(limit)
        if "tooLarge" in response:
            raise RequestTooLarge(str(response["tooLarge"])[:1_000])
        if "error" in response:
            raise ModelFailed(str(response["error"])[:1_000])
        # Shapes are not compared: onnxruntime itself returns others than those that a model declares.
        if {name: array.dtype for name, array in arrays.items()} != {name: self._dtypes[name] for name in outputs}:
            self.kill()
            raise ModelCrashed(DAMAGED)
        return [arrays[name] for name in outputs]

    def _exchange(
        self, request: dict[str, Any] | None, feeds: dict[str, Array], seconds: float
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        """The next message, after `request` if it is given. The process is killed unless it sends one in time."""
        self._connection.settimeout(seconds)
        try:
            if request is not None:
                send_message(self._connection, request, feeds)
            return receive_message(self._connection, seconds, self._max_output_bytes)
        except TimeoutError:
            self.kill()
            raise TimeLimitExceeded(seconds - GRACE_SECONDS) from None
        except Exception as error:
            self.kill()  # whatever is wrong: the rest of this message must not be read as the next response
            raise ModelCrashed(self._ending(error)) from error

    def _ending(self, error: Exception) -> str:
        code = self._process.returncode
        if isinstance(error, EOFError | OSError) and code is not None:
            return signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return DAMAGED

    def kill(self) -> None:
        """Ends the process now, and waits until it is gone."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(0.05)  # its own signal says more than ours
        self._process.kill()
        self._process.wait()
        self._connection.close()


def _python() -> list[str]:
    return [sys.executable, "-I"] if sys.flags.isolated else [sys.executable]


def _environment() -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if name in VARIABLES or name.startswith(VARIABLE_PREFIXES)
    }
    return {**kept, "PYTHONPATH": os.pathsep.join(sys.path)}
