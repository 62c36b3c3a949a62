"""The servers that are compared, each as a process pinned to one core, peers in virtual environments of their own."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from e2e.bench.serving.prediction_case import PredictionCase, wait_for_first_answer
from e2e.cluster import paths
from e2e.cluster.paths import CHECKOUT
from e2e.cluster.progress import Failure, run, step

SERVERS = CHECKOUT / "e2e/bench/serving/servers"
CORE = "0"  # the load comes from the other one
PATIENCE = 90.0  # seconds for a peer to answer for the first time
ONNXRUNTIME = "onnxruntime==1.31.1"


@dataclass(frozen=True)
class Competitor:
    """`requirements`: what pip installs, empty for ours; `protocol`: speaks the Open Inference Protocol, else JSON of its own.

    `flags` go to its script; a server that is measured in two settings has the second's word after a dash in its name.
    """

    name: str
    requirements: tuple[str, ...] = ()
    protocol: bool = True
    grpc: bool = True
    flags: tuple[str, ...] = ()

    @property
    def package(self) -> str:
        """On PyPI."""
        return self.name.partition("-")[0]

    def command(self, model: Path, http: int, grpc: int) -> list[str]:
        if not self.requirements:
            flags = ["--model", str(model), "--name", "m", "--http", f"127.0.0.1:{http}"]
            also = ["--grpc", f"127.0.0.1:{grpc}"] if self.grpc else []
            return [sys.executable, "-m", "flywheel_serving", *flags, *also, "--threads", "1", "--drain-seconds", "0"]
        script = SERVERS / f"{self.package}_server.py"
        return [str(self.environment() / "bin/python"), str(script), str(model), str(http), str(grpc), *self.flags]

    def environment(self) -> Path:
        """Its virtual environment, made if it is not there."""
        mark = hashlib.sha256("\n".join(self.requirements).encode()).hexdigest()[:8]
        place = paths.cache() / "bench" / f"{self.package}-{mark}"
        if (place / "made").exists():
            return place
        log = paths.cache() / "logs" / f"bench-{self.package}.log"
        with step(f"{self.package} from PyPI"):
            run([sys.executable, "-m", "venv", "--clear", str(place)], log)
            uv = Path(sys.executable).parent / "uv"
            run([str(uv), "pip", "install", "--python", str(place / "bin/python"), *self.requirements], log)
        (place / "made").touch()
        return place

    def compile(self) -> None:
        """Bytecode of all that it imports is written, as in an image: else each start would compile in memory what it imports."""
        python, more = sys.executable, [str(CHECKOUT / "images/serving")]
        if self.requirements:
            python, more = str(self.environment() / "bin/python"), []
        packages = next(Path(python).parent.parent.glob("lib/python3*/site-packages"))
        with step(f"bytecode of {self.name}"):
            run(
                [python, "-m", "compileall", "-q", "-j", "0", str(packages), *more],
                paths.cache() / "logs/bench-compile.log",
            )


OURS = Competitor("flywheel")
OURS_WITHOUT_GRPC = Competitor("flywheel-rest", grpc=False)
MLSERVER = ("mlserver==1.7.1", "uvloop==0.21.0", ONNXRUNTIME)  # its worker needs an older uvloop than it asks for
PEERS = (
    Competitor("kserve", ("kserve==0.21.0", ONNXRUNTIME)),
    Competitor("mlserver", MLSERVER),  # as it comes: the model runs in a worker process
    Competitor("mlserver-inline", MLSERVER, flags=("--no-workers",)),  # its quickest setting on one core
    Competitor("bentoml", ("bentoml==1.4.39", ONNXRUNTIME), protocol=False, grpc=False),
    Competitor("fastapi", ("fastapi", "uvicorn[standard]", ONNXRUNTIME, "numpy"), protocol=False, grpc=False),
)


@dataclass
class Running:
    """`started` is how many seconds it took from its process's start to its first correct answer."""

    peer: Competitor
    http: int
    grpc: int
    process: "subprocess.Popen[bytes]"
    started: float

    def peak(self) -> float:
        """MiB, of the process and its children."""
        return sum(_peak(each) for each in [self.process.pid, *_children(self.process.pid)])


@contextmanager
def running(peer: Competitor, model: Path, question: PredictionCase, http: int) -> Iterator[Running]:
    """Until the end of the block; its log is in the cache. Raises Failure if it does not answer rightly."""
    log = paths.cache() / "logs" / f"bench-{peer.name}-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = ["taskset", "--cpu-list", CORE, *peer.command(model, http, http + 100)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as out:
        began = time.monotonic()
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=environment, cwd=CHECKOUT, start_new_session=True
        )
        try:
            started = wait_for_first_answer(question, peer.protocol, http, PATIENCE)
            if started is None:
                raise Failure(f"{peer.name} gave no right answer within {PATIENCE:.0f} s", log=log)
            yield Running(peer, http, http + 100, process, started - began)
        finally:
            for pid in (process.pid, *_children(process.pid)):  # not by its group: some give their workers another
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait(10)


def _peak(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmHWM")), 0.0)


def _children(pid: int) -> list[int]:
    if not Path(f"/proc/{pid}").exists():
        return []
    found = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*found, *(grandchild for child in found for grandchild in _children(child))]
