"""Processes that outlive the command that started them, found again by their records.

A pid alone may be somebody else's after a reboot, so a record also holds when the process started and in which boot.
"""

import ctypes
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from e2e.waiting import wait_until

# Handles of this run: Python warns of a handle that is forgotten while its process runs, and whoever starts must reap.
STARTED: list[subprocess.Popen[bytes]] = []
PR_SET_PDEATHSIG = 1
REAP_SECONDS = 10
BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Record:
    name: str
    pid: int
    started: int  # clock ticks since boot
    boot: str


@dataclass(frozen=True)
class Stat:
    state: str
    started: int


def parse_stat(text: str) -> Stat:
    """The process's name stands in parentheses and may itself hold spaces and parentheses."""
    fields = text.rpartition(")")[2].split()
    return Stat(state=fields[0], started=int(fields[19]))


def stat(pid: int) -> Stat | None:
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def record(name: str, pid: int) -> Record | None:
    seen = stat(pid)
    return Record(name, pid, seen.started, BOOT.read_text().strip()) if seen else None


def alive(recorded: Record) -> bool:
    if recorded.boot != BOOT.read_text().strip():
        return False
    seen = stat(recorded.pid)
    return seen is not None and seen.started == recorded.started and seen.state not in "ZX"


def read(folder: Path, name: str) -> Record | None:
    try:
        return Record(**json.loads((folder / f"{name}.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None  # a record cut short by a kill is no record


def write(folder: Path, recorded: Record) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{recorded.name}.{os.getpid()}"
    unfinished.write_text(json.dumps(asdict(recorded)))
    unfinished.rename(folder / f"{recorded.name}.json")


def records(folder: Path) -> list[Record]:
    return [found for path in sorted(folder.glob("*.json")) if (found := read(folder, path.stem))]


def running(folder: Path, name: str) -> Record | None:
    recorded = read(folder, name)
    return recorded if recorded and alive(recorded) else None


def command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def with_command(argv: Sequence[str]) -> int | None:
    """The process that runs exactly this command: ours, if we were killed between starting and recording it."""
    pids = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return next((pid for pid in pids if command(pid) == list(argv)), None)


def start(
    folder: Path,
    log: Path,
    name: str,
    argv: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    *,
    dies_with_parent: bool = False,
) -> Record:
    """Starts the process unless it runs; its own session, so that it survives the shell of whoever called.

    `dies_with_parent`: the kernel kills it when the thread that started it ends, however that is.
    """
    if found := running(folder, name):
        return found
    pid = with_command(argv)
    if pid is None:
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("wb") as words:
            started = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                env=env,
                cwd=cwd,
                start_new_session=True,
                preexec_fn=_die_with_parent if dies_with_parent else None,
            )
        STARTED.append(started)
        pid = started.pid
    recorded = record(name, pid)
    if recorded is None:
        raise ProcessLookupError(f"{name} ended at once")
    write(folder, recorded)
    return recorded


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def stop(folder: Path, name: str, grace: float) -> None:
    """SIGTERM, and SIGKILL when the grace is over; the record goes last, so that a killed `down` can be repeated."""
    recorded = read(folder, name)
    if recorded and alive(recorded):
        os.kill(recorded.pid, signal.SIGTERM)
        if not gone_within(recorded, grace) and alive(recorded):
            os.kill(recorded.pid, signal.SIGKILL)
            gone_within(recorded, 10)
    (folder / f"{name}.json").unlink(missing_ok=True)
    if recorded:
        _reap(recorded)
    STARTED[:] = [started for started in STARTED if started.poll() is None]


def _reap(recorded: Record) -> None:
    """A process of several threads is a zombie for /proc a moment before it can be waited for."""
    for started in STARTED:
        if started.pid == recorded.pid:
            with suppress(subprocess.TimeoutExpired):
                started.wait(REAP_SECONDS)


def gone_within(recorded: Record, seconds: float) -> bool:
    try:
        return wait_until(lambda: not alive(recorded), seconds)
    except TimeoutError:
        return False
