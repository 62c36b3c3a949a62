"""How long a notebook waits for `import flywheel`, and for the first name that it uses, beyond the interpreter's own start."""

import statistics
import subprocess
import sys
import time

from e2e.bench.targets import Figures

ROUNDS = 9
STATEMENTS = {
    "start": "pass",
    "import": "import flywheel as fw",
    "first_name": "import flywheel as fw; fw.trials",
}


def measure_import() -> Figures:
    """Median seconds of each statement in a new interpreter, less those of its start."""
    seconds: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(ROUNDS):
        for name, statement in STATEMENTS.items():
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            seconds[name].append(time.perf_counter() - begun)
    median = {name: statistics.median(each) for name, each in seconds.items()}
    return {f"{name}_seconds": round(median[name] - median["start"], 3) for name in ("import", "first_name")}
