"""A command that is process 1 of its container ends by SIGTERM, so that nobody who deletes a namespace waits for a retry."""

import signal
import subprocess
import sys

import pytest

# The command that sleeps stands for one that waits for the store.
PROGRAM = """
import os, sys, time, types
os.getpid = lambda: {pid}
from flywheel_runtime import __main__ as command
waits = types.ModuleType("waits")
waits.main = lambda: print("ready", flush=True) or time.sleep(60) or 0
sys.modules["waits"] = waits
command.MODULES["fetch"] = "waits"
signal = __import__("signal")
{before}
sys.exit(command.main(["fetch"]))
"""


@pytest.mark.parametrize(
    ("pid", "before", "code"),
    [
        # SIG_IGN stands for what the kernel does for process 1.
        pytest.param(1, "signal.signal(signal.SIGTERM, signal.SIG_IGN)", 143, id="process 1"),
        pytest.param(7, "", -signal.SIGTERM, id="any other process"),
    ],
)
def test_a_waiting_command_ends_at_once(pid: int, before: str, code: int) -> None:
    program = PROGRAM.format(pid=pid, before=before)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "ready\n"

        waiting.terminate()

        assert waiting.wait(20) == code
