"""`flywheel run --local`: one step in a Python process of this machine, in a folder that is like the step's pod."""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flywheel.client.objects.live_dataset import LiveDataset, import_arro3, read_arrow_table
from flywheel.client.training.local_step import LocalInput, LocalStep
from flywheel.client.transport.reader import path_of

if TYPE_CHECKING:
    from flywheel.client.session import Session

SPLITS = ("train", "validation", "test")
# What a program of the cluster gets of the user's environment: how things are found and reached, and no credentials.
PASSED_VARIABLE = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|TZ|LANG|LC_.*|TMPDIR|TEMP|TMP|SYSTEMROOT|VIRTUAL_ENV|CONDA_PREFIX|XDG_.*_(HOME|DIRS)"
    r"|PYTHON(PATH|HOME|UTF8|IOENCODING)|(DY)?LD_LIBRARY_PATH|(CUDA|OMP|MKL|OPENBLAS|NVIDIA)_.*"
    r"|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|(HTTPS?|ALL|NO)_PROXY",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class LocalRun:
    """How a step ended here. `metrics` is None if it wrote none; `missing` are outputs that the cluster would ask for."""

    exit_code: int
    folder: Path
    metrics: dict[str, Any] | None
    missing: tuple[str, ...]

    @property
    def succeeded(self) -> bool:
        """Whether the step would have succeeded on the cluster."""
        return self.exit_code == 0 and self.metrics is not None and not self.missing


def run_local_step(session: "Session", step: LocalStep, rows: int, show: Callable[[str], None]) -> LocalRun:
    """Runs a step with the first `rows` rows of each split of its Datasets. `show` gets lines about it; the step's own go to the terminal.

    Raises:
        FlywheelError: the rows cannot be read, or a package for writing them is missing.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"flywheel-{step.name}-"))
    (folder / "outputs").mkdir()
    for each in step.inputs:
        show(prepare_input(session, each, folder / "inputs" / each.name, rows))
    version = platform.python_version()
    show(f"Python {version} of this machine runs the step, with its packages; {' '.join(step.differences)}")
    (folder / "params.json").write_text(json.dumps(step.parameters), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-u", *_program(step, folder)], env=_environment(step, folder, session.namespace), check=False
    )
    return LocalRun(
        done.returncode,
        folder,
        read_metrics(folder / "outputs" / "metrics.json"),
        tuple(name for name in step.outputs if not any((folder / "outputs" / name).glob("*"))),
    )


def prepare_input(session: "Session", given: LocalInput, folder: Path, rows: int) -> str:
    """Makes the folder of an input, and returns a sentence about it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if given.folder is not None:
        folder.symlink_to(given.folder.resolve(), target_is_directory=True)
        return f"Input '{given.name}' is the folder {given.folder}."
    dataset = LiveDataset(session, str(given.dataset))
    version = dataset.version_name(given.version)
    folder.mkdir()
    path = path_of(session.namespace, "datasets", dataset.name, "versions", version)
    counts = {split: _write_rows(session, f"{path}/rows", split, rows, folder) for split in SPLITS}
    (folder / "schema.json").write_bytes(session.reader.get_bytes(f"{path}/files/schema.json"))
    shown = ", ".join(f"{count} {split}" for split, count in counts.items())
    return f"Input '{given.name}' has the first rows of version '{version}' of Dataset '{dataset.name}': {shown}."


def read_metrics(file: Path) -> dict[str, Any] | None:
    """Returns the metrics that a step wrote, or None if there are none that can be read."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write_rows(session: "Session", path: str, split: str, rows: int, folder: Path) -> int:
    content = session.reader.get_bytes(path, [("split", split), ("format", "arrow"), ("limit", str(rows))])
    table = read_arrow_table(content)
    import_arro3().write_parquet(table, folder / f"{split}.parquet")
    return int(table.num_rows)


def _program(step: LocalStep, folder: Path) -> tuple[str, ...]:
    if step.source is None:
        return step.program
    file = folder / "source" / "train.py"
    file.parent.mkdir()
    file.write_text(step.source, encoding="utf-8")
    return (str(file), *step.arguments)


def _environment(step: LocalStep, folder: Path, namespace: str) -> dict[str, str]:
    ours = {
        "FLYWHEEL_ROOT": str(folder),
        "FLYWHEEL_STEP": step.name,
        "FLYWHEEL_ATTEMPT": "1",
        "FLYWHEEL_NAMESPACE": namespace,
        "FLYWHEEL_TEST": "true",
    }
    inherited = {
        name: value
        for name, value in os.environ.items()
        if step.is_own_code or name in step.secret_variables or PASSED_VARIABLE.fullmatch(name)
    }
    return {**inherited, **step.variables, **ours}
