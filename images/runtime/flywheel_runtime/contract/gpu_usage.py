"""GPU use as curves beside the training's own, asked of nvidia-smi, which NVIDIA's container runtime brings into every container with a GPU.

Curves of GPU 0: `gpu0_utilization_percent`, `gpu0_memory_bytes`. Columns and units:
https://docs.nvidia.com/deploy/nvidia-smi/#gpu-attributes
"""

import csv
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping

SAMPLE_INTERVAL_SECONDS = 10.0  # seconds
MIB = 1024 * 1024
QUERY = ("--query-gpu=index,utilization.gpu,memory.used", "--format=csv,noheader,nounits")


def start_sampling(log: Callable[[Mapping[str, float]], None], every: float = SAMPLE_INTERVAL_SECONDS) -> bool:
    """Sample until the process ends, beside it; False where there is no nvidia-smi, so that nothing is started."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    threading.Thread(target=_sample, args=(program, log, every), name="gpu-use", daemon=True).start()
    return True


def read_usage(program: str) -> dict[str, float]:
    """One look at all GPUs. A field that a GPU does not tell (`[N/A]`) is left out.

    Raises:
        OSError, subprocess.SubprocessError: nvidia-smi cannot be asked.
    """
    answer = subprocess.run([program, *QUERY], check=True, capture_output=True, text=True, timeout=5)
    found: dict[str, float] = {}
    for index, utilization, memory in csv.reader(answer.stdout.splitlines(), skipinitialspace=True):
        if utilization.isdecimal():
            found[f"gpu{index}_utilization_percent"] = float(utilization)
        if memory.isdecimal():
            found[f"gpu{index}_memory_bytes"] = float(memory) * MIB
    return found


def _sample(program: str, log: Callable[[Mapping[str, float]], None], every: float) -> None:
    pause = threading.Event()
    while True:
        try:
            log(read_usage(program))
        except (OSError, ValueError, subprocess.SubprocessError):
            return  # a driver that does not answer must not fill the log, nor disturb the training
        pause.wait(every)
