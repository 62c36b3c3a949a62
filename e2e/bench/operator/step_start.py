"""What a step with inputs costs before its trainer's first line: `collect` and `fetch` of two builds, by turns, against a real S3 server.

Both run as plain processes of this machine, so that only the builds differ. Main is an output that is written here; `collect` then gets the
signal with which a kubelet ends it, uploads the output and reports.
"""

import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, fields
from pathlib import Path

from e2e.bench.revisions import checkout
from e2e.bench.targets import Figures
from e2e.cluster.paths import CHECKOUT
from e2e.cluster.progress import announce
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.retry import Retry
from tests.runtime import s3_server

BUCKET = "bench"
INPUT_BYTES = 1 << 20
START_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Start:
    """One step's start: CPU of both containers until main may start, that time, and the highest resident memory of each."""

    cpu_seconds: float
    wall_seconds: float
    fetch_peak_mib: float
    collect_peak_mib: float


def measure(before: str, pairs: int) -> dict[str, Figures]:
    """The medians of `pairs` starts of revision `before` and of this checkout each, in turn."""
    with (
        tempfile.TemporaryDirectory(prefix="flywheel-bench-") as temporary,
        checkout(before, Path(temporary)) as old,
        s3_server.running(Path(temporary)) as server,
    ):
        folder = Path(temporary)
        server.make_bucket(BUCKET)
        env = {**server.env(BUCKET), "FLYWHEEL_NAMESPACE": "shop"}
        digest = _put_input(env, folder)
        starts: dict[str, list[Start]] = {"before": [], "after": []}
        for number in range(pairs):
            for name, build in (("before", old), ("after", CHECKOUT)):
                starts[name].append(start(build / "images" / "runtime", folder / f"{name}-{number}", env, digest))
            announce(f"pair {number + 1} of {pairs}: {starts['before'][-1]} {starts['after'][-1]}")
    found = {name: _medians(each) for name, each in starts.items()}
    saved = [old.cpu_seconds - new.cpu_seconds for old, new in zip(starts["before"], starts["after"], strict=True)]
    return {**found, "saved": {"pairs": pairs, "cpu_seconds": round(statistics.median(saved), 3)}}


def start(build: Path, root: Path, env: dict[str, str], digest: str) -> Start:
    """Run `collect` and `fetch` of one build to the end, in a pod's folders below `root`."""
    (root / "run").mkdir(parents=True)
    pod = {
        **env,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(build),
        "FLYWHEEL_ROOT": str(root),
        "FLYWHEEL_TERMINATION_LOG": str(root / "log"),
        "FLYWHEEL_UID": root.name,
        "FLYWHEEL_STEP": "train",
    }
    wanted = {"timeoutSeconds": None, "outputs": [{"name": "model", "required": True}]}
    began = time.monotonic()
    collect = _run("collect", {**pod, "FLYWHEEL_COLLECT": json.dumps(wanted)})
    _wait_for(root / "run" / "collecting", collect)
    inputs = {"limitBytes": None, "inputs": [{"name": "model", "artifact": digest}]}
    fetch = _run("fetch", {**pod, "FLYWHEEL_FETCH": json.dumps(inputs), "FLYWHEEL_PARAMS": "{}"})
    status, fetched, fetch_peak = _wait(fetch)
    wall, collecting = time.monotonic() - began, _cpu_seconds(collect.pid)
    assert status == 0, (root / "log").read_text()
    _write_outputs(root / "outputs")
    collect.send_signal(signal.SIGTERM)
    _, _, collect_peak = _wait(collect)
    assert json.loads((root / "log").read_bytes())["complete"], (root / "log").read_text()
    return Start(
        cpu_seconds=round(collecting + fetched.ru_utime + fetched.ru_stime, 3),
        wall_seconds=round(wall, 3),
        fetch_peak_mib=fetch_peak,
        collect_peak_mib=collect_peak,
    )


def _run(command: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "flywheel_runtime", command], env=env, stderr=subprocess.DEVNULL)


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + START_TIMEOUT_SECONDS
    while not path.exists():
        assert process.poll() is None, f"collect ended with {process.returncode}"
        assert time.monotonic() < give_up, "collect did not become ready"
        time.sleep(0.002)


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, resource.struct_rusage, float]:
    """Exit status, usage, and peak resident memory in MiB, by looking at VmHWM until the end: ru_maxrss has that of the process
    that forked."""
    status, peak = Path(f"/proc/{process.pid}/status"), 0
    while True:
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        peak = max(peak, int(fields.get("VmHWM", "0 kB").split()[0]))
        pid, code, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            return code, usage, round(peak / 1024, 1)
        time.sleep(0.002)


def _cpu_seconds(pid: int) -> float:
    """User and system time of all threads so far, from schedstat: /proc/<pid>/stat counts in ticks of 10 ms."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _put_input(env: dict[str, str], folder: Path) -> str:
    """The digest of an artifact in the store."""
    file = folder / "model.onnx"
    file.write_bytes(bytes(INPUT_BYTES))
    return Store.from_env(env, env["FLYWHEEL_NAMESPACE"], Retry()).put([("model.onnx", file)]).digest


def _write_outputs(outputs: Path) -> None:
    (outputs / "model").mkdir(parents=True)
    (outputs / "model" / "model.onnx").write_bytes(os.urandom(INPUT_BYTES))
    (outputs / "metrics.json").write_text('{"loss": 0.4}')


def _medians(starts: list[Start]) -> Figures:
    names = [field.name for field in fields(Start)]
    return {name: round(statistics.median(getattr(each, name) for each in starts), 3) for name in names}
