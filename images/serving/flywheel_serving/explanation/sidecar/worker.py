"""`python3 -m flywheel_serving.explanation.sidecar.worker JSON`: explains the rows that come over one connection, its standard input.

It says first by which method it explains, or why there is none, and then answers one request after the other, as lines of JSON. A request
whose answer nobody waits for any more is skipped, or left between two calls of the model. A call that goes on for too long ends the
process: a model's code cannot be stopped else.
"""

import contextlib
import logging
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import orjson

from flywheel_serving import logs
from flywheel_serving.errors import ModelRefused
from flywheel_serving.explanation.description import describe_rows
from flywheel_serving.explanation.errors import NotExplained
from flywheel_serving.explanation.explained_rows import RowExplainer, check_deadline
from flywheel_serving.explanation.method_choice import load_explainer
from flywheel_serving.explanation.sidecar.config import ExplainConfig, parse_explain_config
from flywheel_serving.workers.frames import receive_message

NICENESS = 10  # the server's work comes first
OUT_OF_MEMORY_SCORE = "1000"
LOAD_SECONDS = 120
MAX_REQUEST_BYTES = 64 * 1024 * 1024
OUT_OF_MEMORY = "explaining needs more memory than the container 'explain' has; raise spec.explain.memory"

log = logging.getLogger(__name__)


def serve(connection: socket.socket, config: ExplainConfig) -> None:
    """Explains until the server ends the connection."""
    signal.setitimer(signal.ITIMER_REAL, LOAD_SECONDS)
    explainer, greeting = _load(Path(config.model))
    signal.setitimer(signal.ITIMER_REAL, 0)
    with contextlib.suppress(EOFError, OSError):
        _send(connection, greeting)
        _log_greeting(greeting)
        while True:
            request, inputs = receive_message(connection, max_bytes=MAX_REQUEST_BYTES)
            if explainer is None:
                answer = greeting
            else:
                signal.setitimer(signal.ITIMER_REAL, config.run_seconds)
                answer = _explain(explainer, inputs, request["deadline"])
                signal.setitimer(signal.ITIMER_REAL, 0)
            _send(connection, {"number": request["number"], **answer})


def _load(folder: Path) -> tuple[RowExplainer | None, dict[str, Any]]:
    try:
        explainer = load_explainer(folder)
    except (NotExplained, ModelRefused) as error:
        return None, {"reason": error.reason, "message": str(error)}
    except MemoryError:
        return None, {"reason": "OutOfMemory", "message": OUT_OF_MEMORY}
    return explainer, {"method": explainer.method_name}


def _log_greeting(greeting: dict[str, Any]) -> None:
    if "method" in greeting:
        log.info("explaining", extra={"facts": {"method": greeting["method"]}})
    else:
        log.warning("explaining nothing: %s", greeting["message"], extra={"facts": {"reason": greeting["reason"]}})


def _explain(explainer: RowExplainer, inputs: dict[str, Any], deadline: float) -> dict[str, Any]:
    try:
        check_deadline(deadline)
        return {"rows": [*describe_rows(explainer.explain_rows(inputs, deadline))]}
    except NotExplained as error:
        return {"reason": error.reason, "message": str(error)}
    except MemoryError:
        return {"reason": "OutOfMemory", "message": OUT_OF_MEMORY}
    except Exception as error:  # onnxruntime raises its own for rows that a model cannot compute
        log.exception("rows were not explained")
        return {"reason": "Failed", "message": f"the row could not be explained ({type(error).__name__})"}


def _send(connection: socket.socket, content: dict[str, Any]) -> None:
    connection.sendall(orjson.dumps(content) + b"\n")


def _limit(config: ExplainConfig) -> None:
    """Bounds this process, so that it ends and not its container, without which the pod is not ready."""
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (config.memory_bytes, config.memory_bytes))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OUT_OF_MEMORY_SCORE)


def main() -> None:
    logs.configure()
    config = parse_explain_config(sys.argv[1])
    _limit(config)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the server drains, and ends the connection
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as connection:
        serve(connection, config)
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main()
