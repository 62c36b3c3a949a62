"""What every step shares with its pod: parameters in, outputs out, one sentence when it fails (images/README.md)."""

import functools
import json
import math
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from flywheel_runtime.contract.errors import Failure, describe_fault
from flywheel_runtime.contract.paths import Paths

EXIT_PERMANENT = 2  # the exit code of a failure that no retry can change
EXIT_FAILURE = 1  # that of a failure that counts against the retries

# The kubelet keeps the last 4,096 bytes of a termination message; JSON escapes may double a character's length.
MAX_MESSAGE_CHARACTERS = 1500
MAX_FACTS_BYTES = 2000


@dataclass(frozen=True)
class Step:
    """The folders and parameters of one step; `root` is /flywheel in a pod."""

    root: Path
    params: Mapping[str, Any]

    @property
    def inputs(self) -> Path:
        return self.root / "inputs"

    def input(self, name: str) -> Path:
        return self.inputs / name

    def output(self, name: str) -> Path:
        folder = self.root / "outputs" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def finish(self, metrics: Mapping[str, float], facts: Mapping[str, Any]) -> None:
        """Write facts.json, then metrics.json by a rename: it says that the outputs are whole."""
        write_json(self.root / "outputs" / "facts.json", facts)
        # In the order given: where a message has no room for all, the last are left out.
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        replace_file(self.root / "outputs" / "metrics.json", json.dumps(finite).encode())


def step_command(work: Callable[[Step], None]) -> Callable[[], int]:
    """Decorates the work of a command, which becomes its `main`: called without arguments, it returns the exit code."""
    return functools.wraps(work)(lambda: run_step(work))


def run_step(work: Callable[[Step], None]) -> int:
    """Do `work` and return the exit code; a failure's reason and message go to the termination log."""
    root = Path(os.environ.get("FLYWHEEL_ROOT", "/flywheel"))
    try:
        params = json.loads((root / "params.json").read_text())
        (root / "outputs").mkdir(parents=True, exist_ok=True)
        work(Step(root=root, params=params))
    except Failure as failure:
        return _report(failure)
    except MemoryError:
        return _report(out_of_memory())
    except Exception as error:  # noqa: BLE001  (the last line of defence: the pod must say something)
        traceback.print_exc()
        words = f"The step stopped on {describe_fault(error)}. This is a fault of the step; its log has more."
        return _report(Failure("StepFailed", words, retry=True))
    return 0


def out_of_memory() -> Failure:
    message = "The data did not fit into the pod's memory; raise resources.limits.memory."
    return Failure("OutOfMemory", message, retry=True)


def _report(failure: Failure) -> int:
    message = failure.message
    if len(message) > MAX_MESSAGE_CHARACTERS:
        message = message[: MAX_MESSAGE_CHARACTERS - 1] + "…"
    log_line(f"{failure.reason}: {message}")
    paths = Paths.from_env()
    text = json.dumps({"reason": failure.reason, "message": message}, ensure_ascii=False)
    paths.termination_log.write_text(text)
    with suppress(OSError):  # a full disk; the message is out
        paths.main_failure.write_text(text)
    return EXIT_FAILURE if failure.retry else EXIT_PERMANENT


def log_line(line: str) -> None:
    """Write one line to the step's log, unbuffered."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def path_in_artifact(path: str) -> PurePosixPath:
    """A path that stays in its artifact; Failure PathInvalid for another."""
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        raise Failure("PathInvalid", f"Path '{path}' leaves the artifact; name a file inside it.")
    return relative


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that equal values have equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def is_room_for(facts: Mapping[str, Any]) -> bool:
    """Whether these facts fit in facts.json."""
    return len(canonical_json(facts).encode()) < MAX_FACTS_BYTES


def write_json(path: Path, value: Any) -> None:
    path.write_text(canonical_json(value) + "\n", encoding="utf-8")


def read_json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if there is none that can be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_finite_json(path: Path, value: Any) -> None:
    """Write JSON whose numbers are finite, since JSON has no others: null stands for each that is not."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = canonical_json(null_non_finite(value))
    path.write_text(text + "\n", encoding="utf-8")


def null_non_finite(value: Any) -> Any:
    """A value of JSON, with null in place of each number that is not finite."""
    if isinstance(value, Mapping):
        return {name: null_non_finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [null_non_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def replace_file(path: Path, content: bytes) -> None:
    """Write a file by rename: a reader, or a container that is started again, finds the old file or the new one."""
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)
