"""A worker: loads one model, then computes one request after the other until the server ends the connection."""

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from flywheel_serving.errors import ModelRefused, RequestError, RequestTooLarge, TimeLimitExceeded
from flywheel_serving.memory import MEBIBYTE, PROC, read_kibibytes
from flywheel_serving.model.onnx_model import OUT_OF_MEMORY, OnnxModel
from flywheel_serving.workers.frames import receive_message, send_message

PR_SET_PDEATHSIG = 1
MAX_OOM_SCORE = 1000
DEFAULT_STACK_BYTES = 2 * MEBIBYTE  # of a thread where the process has no limit: glibc's
OTHER_THREADS = 4  # than those that compute


def main() -> None:
    configuration = json.loads(sys.argv[1])
    # A worker that computes for ever must not outlive its server. Linux alone has this.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):  # the server drains, and needs its workers until the end
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # if the container runs out of memory after all, a worker ends before the server
        Path("/proc/self/oom_score_adj").write_text(str(MAX_OOM_SCORE))
    if configuration["memoryBytes"] is not None:
        _limit_growth(configuration["memoryBytes"], configuration["threads"])
    with socket.socket(fileno=configuration["socket"]) as connection:
        try:
            model = OnnxModel(
                Path(configuration["path"]),
                configuration["threads"],
                is_checked=True,
                max_output_bytes=configuration["maxOutputBytes"],
            )
        except ModelRefused as error:
            send_message(connection, {"refused": [error.reason, str(error)]}, {})
            return
        send_message(connection, {"signature": model.signature.document(), "providers": model.providers}, {})
        with contextlib.suppress(EOFError, OSError):
            while True:
                _serve_one(connection, model)


def _limit_growth(size: int, threads: int) -> None:
    """Lets this process allocate `size` bytes more, besides the stacks of the model's threads, which stay almost empty."""
    stack_bytes, _ = resource.getrlimit(resource.RLIMIT_STACK)
    if stack_bytes == resource.RLIM_INFINITY:
        stack_bytes = DEFAULT_STACK_BYTES
    allocated = read_kibibytes(PROC / "self" / "status", "VmData")
    limit = allocated + size + (threads + OTHER_THREADS) * stack_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))


def _serve_one(connection: socket.socket, model: OnnxModel) -> None:
    request, feeds = receive_message(connection)
    response: dict[str, Any] = {}
    computed = {}
    try:
        computed = dict(zip(request["outputs"], model.run(feeds, request["outputs"], request["seconds"]), strict=True))
    except TimeLimitExceeded:
        response = {"late": True}
    except RequestTooLarge as error:
        response = {"tooLarge": str(error)}
    except MemoryError:
        response = {"tooLarge": OUT_OF_MEMORY}
    except RequestError as error:
        response = {"error": str(error)}
    send_message(connection, response, computed)


if __name__ == "__main__":
    main()
    os._exit(0)
