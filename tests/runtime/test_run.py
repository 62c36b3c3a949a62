"""The helper of user code writes the contract's files, with the standard library alone."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import flywheel_runtime
from flywheel_runtime import run
from flywheel_runtime.commands.collect.outputs import read_facts, read_metrics
from flywheel_runtime.contract.paths import Paths

SOURCES = Path(flywheel_runtime.__file__).parents[1]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("FLYWHEEL_ROOT", str(tmp_path))
    yield tmp_path
    vars(run).pop("params", None)


def lines(root: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (root / "outputs" / "metrics.jsonl").read_text().splitlines()]


def test_parameters_are_read(root: Path) -> None:
    (root / "params.json").write_text('{"rate": 0.1}')

    assert run.params == {"rate": 0.1}


def test_without_a_file_there_are_no_parameters(root: Path) -> None:
    assert run.params == {}


def test_curves_are_appended(root: Path) -> None:
    run.log(step=0, loss=1.5, accuracy=0.5)
    run.log(step=1, loss=0.5)

    assert [(line["step"], line["name"], line["value"]) for line in lines(root)] == [
        (0, "loss", 1.5),
        (0, "accuracy", 0.5),
        (1, "loss", 0.5),
    ]
    assert {"step", "name", "value", "time"} == set(lines(root)[0])


def test_a_curve_that_diverges_is_kept_as_json(root: Path) -> None:
    run.log(step=3, loss=math.nan)

    assert lines(root)[0]["value"] is None


def test_what_finish_writes_is_what_collect_reads(root: Path) -> None:
    (run.output("model") / "model.onnx").write_bytes(b"weights")

    run.finish({"loss": 0.4, "steps": 100}, facts={"rows": 3})

    paths = Paths.from_env({"FLYWHEEL_ROOT": str(root)})
    assert read_metrics(paths.metrics) == {"loss": 0.4, "steps": 100.0}
    assert read_facts(paths.facts) == {"rows": 3}
    assert {path.name for path in paths.outputs.iterdir()} == {"metrics.json", "facts.json", "model"}


def test_a_metric_that_is_not_finite_is_named_at_once(root: Path) -> None:
    with pytest.raises(ValueError, match="metric 'loss' is nan; every metric must be a finite number"):
        run.finish({"loss": math.nan})

    assert not (root / "outputs" / "metrics.json").exists()


def test_large_facts_are_refused_at_once(root: Path) -> None:
    with pytest.raises(ValueError, match="and may have 2000; write them into an output"):
        run.finish({}, facts={"text": "x" * 3000})


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        pytest.param("flywheel_runtime.run", ("botocore", "asyncio", "numpy"), id="the helper"),
        pytest.param(
            "flywheel_runtime.commands.fetch.main",
            ("botocore", "ssl", "http.client"),
            id="fetch before it has an input",
        ),
    ],
)
def test_starting_imports_no_more_than_needed(module: str, absent: tuple[str, ...]) -> None:
    program = f"import sys, {module}; print([name for name in {absent!r} if name in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(SOURCES)}, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


NVIDIA_SMI = """#!/bin/sh
echo '0, 87, 2048'
echo '1, [N/A], 512'
"""


def test_the_use_of_gpus_is_logged_beside_the_curves(root: Path, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(NVIDIA_SMI)
    program.chmod(0o755)
    code = (
        "import time; from flywheel_runtime import run; run.log(step=0, loss=1.0); run.log(step=1, loss=0.5)\n"
        "while len((run.output('.') / 'metrics.jsonl').read_text().splitlines()) < 5: time.sleep(0.01)"
    )
    environment = {"FLYWHEEL_ROOT": str(root), "PATH": f"{program.parent}:/bin:/usr/bin", "PYTHONPATH": str(SOURCES)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=30)

    assert {line["name"]: line["value"] for line in lines(root)} == {
        "loss": 0.5,
        "gpu0_utilization_percent": 87.0,
        "gpu0_memory_bytes": 2048 * 1024 * 1024,
        "gpu1_memory_bytes": 512 * 1024 * 1024,
    }
