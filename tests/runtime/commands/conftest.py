"""Run the real steps on real files, in this process: the folders of a pod under tmp_path."""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands.check import main as check
from flywheel_runtime.commands.prepare import main as prepare
from flywheel_runtime.commands.train import main as train


@dataclass(frozen=True)
class Result:
    """What a step left behind."""

    code: int
    root: Path

    @property
    def failure(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.root / "termination-log").read_text())
        return found

    def output(self, name: str) -> Any:
        return json.loads((self.root / "outputs" / name).read_text())

    @property
    def data(self) -> Path:
        return self.root / "outputs" / "data"


Files = dict[str, str | bytes]
Check = Callable[..., Result]
Train = Callable[..., Result]


# Where a step's database is: DuckDB syncs each of its files, which takes longer than the step does where this is a disk.
MEMORY = Path("/dev/shm")


def _pod(root: Path, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir(parents=True)
    (root / "params.json").write_text(json.dumps(params))
    monkeypatch.setenv("FLYWHEEL_ROOT", str(root))
    monkeypatch.setenv("FLYWHEEL_TERMINATION_LOG", str(root / "termination-log"))
    if os.access(MEMORY, os.W_OK):
        monkeypatch.setattr(tempfile, "tempdir", str(MEMORY))


@pytest.fixture(scope="session")
def run_check(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """run_check({"a.csv": "…"}, previous=result, target="late", …) -> Result; the same check again is run once for all tests, unless `anew`."""
    results: dict[str, Result] = {}

    def run(
        files: Files,
        previous: Result | None = None,
        *,
        anew: bool = False,
        snapshot: Result | None = None,
        **params: Any,
    ) -> Result:
        key = repr(files) + repr(previous) + json.dumps(params, sort_keys=True)
        root = tmp_path_factory.mktemp("check") / "pod"
        if anew:
            return _run_check(root, files, previous, params, snapshot)
        if key not in results:
            results[key] = _run_check(root, files, previous, params)
        return results[key]

    return run


def _run_check(
    root: Path, files: Files, previous: Result | None, params: dict[str, Any], snapshot: Result | None = None
) -> Result:
    with pytest.MonkeyPatch.context() as patched:
        _pod(root, {"name": "orders"} | params, patched)
        _write(root / "inputs" / "source", files)
        if previous is not None:
            (root / "inputs" / "previous").symlink_to(previous.data)
        if snapshot is not None:
            (root / "inputs" / "snapshot").symlink_to(snapshot.root / "outputs" / "snapshot")
        return Result(check.main(), root)


def _write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture(scope="session")
def checked(run_check: Check) -> Callable[..., Path]:
    """checked({"a.csv": "…"}, target="late", …) -> the folder of a good version."""

    def folder(files: Files, **params: Any) -> Path:
        result = run_check(files, **params)
        assert result.code == 0, result.failure
        return result.data

    return folder


@pytest.fixture
def run_prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """run_prepare({"orders": data folder}, "SELECT …", months=3) -> Result; `more` are further parameters."""
    runs = iter(range(100))

    def run(tables: dict[str, Path], sql: str | None = None, more: Any = None, **parameters: Any) -> Result:
        root = tmp_path / f"prepare-{next(runs)}"
        given = {"tables": list(tables), "sql": sql, "parameters": parameters, "run": {"date": "2026-11-21"}, "seed": 7}
        _pod(root, given | (more or {}), monkeypatch)
        (root / "inputs").mkdir()
        for name, folder in tables.items():
            (root / "inputs" / name).symlink_to(folder)
        return Result(prepare.main(), root)

    return run


@pytest.fixture
def run_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """run_step(module, {"model": folder}, by=["carrier"]) -> Result of a step with these inputs and params"""
    runs = iter(range(100))

    def run(step: Any, inputs: dict[str, Path], **params: Any) -> Result:
        root = tmp_path / f"step-{next(runs)}"
        _pod(root, params, monkeypatch)
        (root / "inputs").mkdir()
        for name, folder in inputs.items():
            (root / "inputs" / name).symlink_to(folder)
        return Result(step.main(), root)

    return run


@pytest.fixture
def run_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """run_train(data folder, estimator="…", …) -> Result"""
    runs = iter(range(100))

    def run(data: Path, **params: Any) -> Result:
        root = tmp_path / f"train-{next(runs)}"
        given = {
            "estimator": "LogisticRegression",
            "parameters": {},
            "task": None,
            "features": None,
            "objective": {"metric": "roc_auc"},
            "validation": {"holdout": "Validation"},
            "seed": 7,
        }
        _pod(root, given | params, monkeypatch)
        (root / "inputs").mkdir()
        (root / "inputs" / "data").symlink_to(data)
        return Result(train.main(), root)

    return run
