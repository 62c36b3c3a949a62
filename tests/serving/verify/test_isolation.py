"""A crash in native code is a result of the function."""

import faulthandler
import os
from collections.abc import Callable

import pytest

from flywheel_serving.verify import isolation


def crash() -> int:
    faulthandler.disable()  # pytest would print the stack that is asked for here
    os.abort()


def exit_at_once() -> int:
    return 3


def fail() -> int:
    raise RuntimeError("planned")


@pytest.mark.parametrize(
    ("function", "ended"),
    [
        pytest.param(crash, isolation.ProcessResult(-6, "SIGABRT"), id="a crash is named"),
        pytest.param(exit_at_once, isolation.ProcessResult(3), id="an exit code is passed on"),
        pytest.param(fail, isolation.ProcessResult(1), id="an exception is a failure"),
    ],
)
def test_native_crashes_are_results(function: Callable[[], int], ended: isolation.ProcessResult) -> None:
    assert isolation.run(function) == ended
