"""Tests each control of the source in a copy of the checkout: they pass as it is, and fail where the control is missing."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster.paths import CHECKOUT
from e2e.security.source_controls import SOURCE_CONTROLS, SourceControl

SOURCES = ("operator", "images/reader", "images/runtime", "images/serving", ".")  # which Python imports from
TEST_SECONDS, RUN_SECONDS = 300, 1800  # of one test, and of all before a control is removed


def remove_source_controls() -> int:
    """Returns the number of tests that fail with their control, or pass without it."""
    with tempfile.TemporaryDirectory(prefix="flywheel-security-") as folder:
        copy = Path(folder)
        _copy_checkout(copy)
        tests = dict.fromkeys(test for control in SOURCE_CONTROLS for test in control.tests)
        code, output = _run_tests(copy, tests)
        if code != 0:
            print(f"SURPRISE  tests fail although no control is removed:\n{output[-4000:]}", flush=True)
            return 1
        surprises = sum(_remove(control, copy) for control in SOURCE_CONTROLS)
    print(f"{len(SOURCE_CONTROLS)} controls of the source, {surprises} surprises")
    return surprises


def _remove(control: SourceControl, copy: Path) -> int:
    with _patched(control, copy):
        code, output = _run_tests(copy, control.tests)
    surprises = 0
    for test in control.tests:
        # A test that could not be collected or set up is an error, and shows nothing. Nor does one that took too long.
        failure = re.search(rf"^FAILED {re.escape(test)}(?:\[.*?\])?(?: - (.*))?$", output, re.MULTILINE)
        fails = code == 1 and failure is not None and "pytest-timeout" not in str(failure[1])
        surprises += not fails
        finding = f"fails: {failure[1]}" if failure and fails else f"does not fail:\n{output[-2500:]}\n"
        print(f"{'ok       ' if fails else 'SURPRISE '} without '{control}' {test} {finding}", flush=True)
    return surprises


def _copy_checkout(copy: Path) -> None:
    words = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, copy / name)


@contextmanager
def _patched(control: SourceControl, copy: Path) -> Iterator[None]:
    path = copy / control.file
    before = path.read_text(encoding="utf-8")
    path.write_text(patch(control, before), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(before, encoding="utf-8")


def patch(control: SourceControl, source: str) -> str:
    """Returns the source without the control. Raises ValueError unless the text of the control is there once."""
    if (count := source.count(control.text)) != 1:
        raise ValueError(f"'{control}': its text is {count} times in {control.file}; correct it in source_controls.py")
    return source.replace(control.text, control.replacement)


def _run_tests(copy: Path, tests: Collection[str]) -> tuple[int, str]:
    """Returns pytest's exit code and output, with a line `FAILED path::test - reason` for each failure."""
    variables = {
        "PYTHONDONTWRITEBYTECODE": "1",  # whether a .pyc file is valid depends on times that are too coarse for this
        "PYTHONPATH": os.pathsep.join(str(copy / each) for each in SOURCES),
        "COLUMNS": "400",  # pytest leaves out the reason of a failure where the line is full
    }
    options = ("-q", "-rfs", "--tb=short", "-p", "no:cacheprovider", "--timeout", str(TEST_SECONDS))
    done = subprocess.run(
        (sys.executable, "-m", "pytest", *options, *tests),
        cwd=copy,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    return done.returncode, done.stdout + done.stderr
