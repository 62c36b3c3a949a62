"""A function that cannot run on the cluster is refused with one sentence, and one that can is taken as it is written."""

import builtins
import functools
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from json import dumps as to_json
from pathlib import Path
from typing import Any

import pytest

from flywheel.client.errors import FlywheelError
from flywheel.client.training.function_source import read_function

FACTOR = 2


def alone(data: Any, rate: float, depth: int = 3, *, seed: int = 0) -> dict[str, float]:
    """Uses its parameters, its own imports, builtins, and itself."""
    import math

    def inner(value: float) -> float:
        return math.sqrt(value) * rate

    class Point:
        x = seed

    if depth > 10:
        return alone(data, rate, depth - 1)
    return {"f1": sum(inner(each) for each in range(depth)) + Point.x}


def other_than_its_names(value: "UnknownType") -> "UnknownType":  # type: ignore[name-defined]  # noqa: F821
    found: UnknownType = value  # type: ignore[name-defined]  # noqa: F821
    return found


def with_a_module() -> str:
    return json.dumps({})


def with_a_name_of_a_module() -> str:
    return to_json({})


def with_a_constant() -> int:
    return FACTOR


def with_a_function() -> Any:
    return alone(None, 1.0)


def with_a_display(value: int) -> int:
    display(value)  # type: ignore[name-defined]  # noqa: F821
    return value


def with_nothing() -> Any:
    return missing_name  # type: ignore[name-defined]  # noqa: F821


def with_a_default_of_outside(value: int = FACTOR) -> int:
    return value


@functools.lru_cache
def cached() -> int:
    return 1


def logged(function: Callable[[], int]) -> Callable[[], int]:
    return function


@logged
def decorated() -> int:
    return 1


def generator() -> Iterator[int]:
    yield 1


async def coroutine() -> int:
    return 1


def variadic(*values: int) -> int:
    return len(values)


def closure() -> Callable[[], int]:
    count = 1

    def counted() -> int:
        return count

    return counted


def nested() -> Callable[[int], int]:
    def indented(rate: int) -> int:
        return rate + 1

    return indented


class Trainer:
    def fit(self) -> int:
        return 1


def unsourced() -> Any:
    scope: dict[str, Any] = {}
    exec("def made(): return 1", scope)
    return scope["made"]


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        pytest.param(lambda: 1, "a lambda has no name and no source of its own", id="lambda"),
        pytest.param(closure(), "function 'counted' is a closure over 'count'", id="closure"),
        pytest.param(decorated, "function 'decorated' has the decorator @logged", id="decorator that hides nothing"),
        pytest.param(cached, "function 'cached' is decorated; remove the decorator", id="decorator of functools"),
        pytest.param(functools.wraps(alone)(nested()), "function 'alone' is decorated", id="wrapper"),
        pytest.param(Trainer().fit, "is a method of an object", id="method"),
        pytest.param(Trainer, "'Trainer' is a class", id="class"),
        pytest.param(len, "'len' is not written in Python", id="builtin"),
        pytest.param(functools.partial(alone, 1), "an object of type partial has no source", id="partial"),
        pytest.param(unsourced(), "the source of function 'made' cannot be found", id="no source"),
        pytest.param(generator, "function 'generator' is a generator", id="generator"),
        pytest.param(coroutine, "function 'coroutine' is asynchronous", id="coroutine"),
        pytest.param(variadic, "function 'variadic' takes *args", id="args"),
        pytest.param(with_a_module, "write 'import json' inside the function", id="module"),
        pytest.param(
            with_a_name_of_a_module, "write 'from json import dumps' inside the function", id="name of a module"
        ),
        pytest.param(with_a_constant, "uses 'FACTOR', which is a value defined outside of it; make it a", id="value"),
        pytest.param(with_a_default_of_outside, "uses 'FACTOR'", id="default"),
        pytest.param(with_a_function, "write 'from ", id="function of a module"),
        pytest.param(with_a_display, "uses 'display', which only a notebook has", id="what IPython adds"),
        pytest.param(with_nothing, "uses 'missing_name', which is defined nowhere", id="no such name"),
    ],
)
def test_refused(function: Callable[..., Any], sentence: str) -> None:
    with pytest.raises(FlywheelError) as refused:
        read_function(function)

    assert sentence in refused.value.message
    assert refused.value.message.startswith("nothing was started: ")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of the user's, which is imported when its name is."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path / "users_code.py"


def test_a_file_that_changed_after_its_import_is_not_taken(module: Path) -> None:
    module.write_text("def train(rate):\n    return rate\n")
    imported = importlib.import_module("users_code").train
    assert read_function(imported).name == "train"

    module.write_text("def train(rate):\n    return rate * 2\n")

    with pytest.raises(FlywheelError, match="source of function 'train' is no longer what was run"):
        read_function(imported)
    del sys.modules["users_code"]


def test_a_name_that_ipython_adds_is_refused_where_it_is_a_builtin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "display", print, raising=False)

    with pytest.raises(FlywheelError, match="uses 'display', which only a notebook has"):
        read_function(with_a_display)


def test_a_function_that_stands_alone_is_taken_with_its_parameters() -> None:
    found = read_function(alone)

    assert (found.name, found.required, found.optional) == ("alone", ("data", "rate"), ("depth", "seed"))
    assert found.text.startswith("def alone(data: Any")


def test_the_source_is_indented_as_at_the_top_of_a_file() -> None:
    assert read_function(nested()).text == "def indented(rate: int) -> int:\n    return rate + 1\n"


def test_annotations_may_name_what_the_image_does_not_have() -> None:
    assert read_function(other_than_its_names).required == ("value",)
