"""How a batch step begins and ends. Its pod has no collect: it keeps its own results, and reports them in its own termination message."""

import json
import os
import signal
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from flywheel_runtime.commands.batch.config import BatchConfig
from flywheel_runtime.commands.batch.inference.client import Client
from flywheel_runtime.contract import termination_message
from flywheel_runtime.contract.errors import Failure, describe_fault
from flywheel_runtime.contract.paths import Paths
from flywheel_runtime.contract.step import log_line

DONE, TRY_AGAIN, NEVER_WORKS = 0, 1, 2


@dataclass(frozen=True)
class Step:
    """What every batch step needs: its order, its paths, and its environment with the credentials."""

    config: BatchConfig
    paths: Paths
    env: Mapping[str, str]

    @property
    def client(self) -> Client:
        """The model server in the same pod."""
        host, _, port = (self.env.get("FLYWHEEL_SERVER") or "127.0.0.1:8080").rpartition(":")
        return Client(self.config.model.name, (host, int(port)))

    @property
    def scratch(self) -> Path:
        """For files on their way."""
        return Path(self.env.get("TMPDIR") or "/tmp")


@dataclass(frozen=True)
class Report:
    """What a step that is done tells the operator. `repeated`: it had been done before."""

    metrics: Mapping[str, float]
    facts: Mapping[str, Any] = field(default_factory=dict)
    repeated: bool = False


def run_batch_step(work: Callable[[Step], Report], env: Mapping[str, str] = os.environ) -> int:
    """Do the work; the exit code of the contract, with the message that explains it written."""
    # As process 1 it would not be stopped by SIGTERM, and hold the pod for its whole grace period.
    signal.signal(signal.SIGTERM, _stopped)
    paths = Paths.from_env(env)
    try:
        config = BatchConfig.parse(json.loads(paths.params.read_bytes()), "InternalError")
        report = work(Step(config, paths, env))
    except Failure as failure:
        return _failed(paths, failure)
    except MemoryError:
        words = "the pod's memory was not enough; cut the input into more shards with spec.shards"
        return _failed(paths, Failure("OutOfMemory", words))
    except Exception as error:  # noqa: BLE001 the last resort: an unforeseen error is reported, and may be retried
        traceback.print_exc()
        words = f"the step stopped on {describe_fault(error)}; its log has more"
        return _failed(paths, Failure("InternalError", words, retry=True))
    message = termination_message.finished_message(
        complete=True, repeated=report.repeated, metrics=report.metrics, facts=report.facts
    )
    termination_message.write(paths.termination_log, message)
    log_line(json.dumps(message))
    return DONE


def _failed(paths: Paths, failure: Failure) -> int:
    termination_message.report_end(paths.termination_log, failure.reason, failure.message, retry=failure.retry)
    return TRY_AGAIN if failure.retry else NEVER_WORKS


def _stopped(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)
