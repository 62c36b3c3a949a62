"""Progress of long steps, and failures a person can act on."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

BEGIN = time.monotonic()
HEARTBEAT_SECONDS = 15

# Seconds on 2 cores with nothing cached (measured); for a reader who wonders whether a step hangs.
USUAL_SECONDS = {
    "Go from PyPI": 20,
    "Debian packages": 20,
    "building kube": 270,
    "building pause": 2,
    "building coredns": 60,
    "building helm": 75,
    "building metrics-server": 65,
    "building versitygw": 50,
    "building h2spec": 15,
    "building grpcurl": 60,
    "Debian base image": 25,
    "postgresql-15 from Debian": 30,
    "mariadb-server-core from Debian": 30,
    "base image": 25,
    "store image": 5,
    "operator image": 40,
    "reader image": 30,
    "serving image": 40,
    "runtime image": 90,
    "API server": 5,
    "node Ready": 8,
    "kind cluster": 60,
}


class Failure(Exception):
    """Something a person has to act on: object, finding, next step; with the lines of a log that tell why."""

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log

    def report(self) -> str:
        if self.log is None or not self.log.exists():
            return str(self)
        lines = "\n".join(f"    {line}" for line in relevant_lines(self.log))
        return f"{lines}\n{self}\nThe whole log: {self.log}"


def exit_code(action: Callable[[], object]) -> int:
    """Run it, and return 0; or 1 after a Failure, whose report is written to stderr."""
    try:
        action()
    except Failure as failure:
        sys.stderr.write(f"{failure.report()}\n")
        return 1
    return 0


def relevant_lines(log: Path, limit: int = 15) -> list[str]:
    """The last lines that speak of an error; where none does, the last lines."""
    lines = [line[:400] for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [
        line for line in lines if any(word in line.lower() for word in ("error", "fatal", "fail", "panic", "e: "))
    ]
    return (errors or lines)[-limit:]


def announce(message: str) -> None:
    print(f"[{time.monotonic() - BEGIN:4.0f} s] {message}", file=sys.stderr, flush=True)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Says when the step begins and ends, and every 15 seconds how long it has been running."""
    usual = USUAL_SECONDS.get(name)
    expected = f"usually {usual} s" if usual else "usually a moment"
    begin, finished = time.monotonic(), threading.Event()

    def report_progress() -> None:
        while not finished.wait(HEARTBEAT_SECONDS):
            announce(f"{name}: {time.monotonic() - begin:.0f} s so far, {expected}")

    announce(f"{name} ({expected})")
    threading.Thread(target=report_progress, daemon=True).start()
    try:
        yield
    finally:
        finished.set()
    announce(f"{name}: done in {time.monotonic() - begin:.1f} s")


def run(argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
    """Runs a command whose words go to a log; if it fails, the log's relevant lines are the message."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as words:
        code = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=words, stderr=words, env=env, cwd=cwd).returncode
    if code != 0:
        raise Failure(
            f"'{' '.join(str(word) for word in argv[:3])} …' ended with exit code {code}; correct what the lines above say",
            log,
        )
