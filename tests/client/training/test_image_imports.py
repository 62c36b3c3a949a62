"""Imports are checked against what the image has before anything starts."""

import importlib.metadata
import re
from pathlib import Path

import pytest

from flywheel.client.errors import FlywheelError
from flywheel.client.training import image_imports
from flywheel.client.training.function_source import FunctionSource
from flywheel.client.training.image_imports import check_imports
from flywheel.client.training.runtime_modules import RUNTIME_MODULES

REQUIREMENTS = Path(__file__).parents[3] / "requirements" / "runtime.txt"


def function(*lines: str) -> FunctionSource:
    return FunctionSource("train", "\n    ".join(["def train():", *lines, "return 1"]) + "\n", (), ())


@pytest.mark.parametrize(
    ("source", "image", "packages", "sentence"),
    [
        pytest.param(
            function("import torch"), None, None, "imports 'torch', which Flywheel's runtime image", id="ours"
        ),
        pytest.param(
            function("from torch.nn import Linear"), "bert:1", None, "list its modules in packages=", id="unknown image"
        ),
        pytest.param(
            function("import torch, xgboost"),
            "bert:1",
            ["torch"],
            "imports 'xgboost', which packages=",
            id="not listed",
        ),
        pytest.param(function("from .model import Net"), None, None, "imports from '.model'", id="relative"),
        pytest.param(
            function("def inner():", "    import torch"), None, None, "imports 'torch'", id="in a function inside"
        ),
        pytest.param(
            function("try:", "    import torch", "except ValueError:", "    pass"),
            None,
            None,
            "'torch'",
            id="not caught",
        ),
    ],
)
def test_refused(source: FunctionSource, image: str | None, packages: list[str] | None, sentence: str) -> None:
    with pytest.raises(FlywheelError) as refused:
        check_imports(source, image, packages)

    assert sentence in refused.value.message


@pytest.mark.parametrize(
    ("source", "image", "packages"),
    [
        pytest.param(function("import os, numpy as np", "from sklearn.svm import SVC"), None, None, id="ours"),
        pytest.param(function("import torch"), "bert:1", ["torch"], id="listed"),
        pytest.param(function("import json"), "bert:1", None, id="of Python"),
        pytest.param(function("import torch"), None, ["torch"], id="ours with more, as an image built from it has"),
        pytest.param(
            function("try:", "    import torch", "except ImportError:", "    torch = None"), None, None, id="caught"
        ),
    ],
)
def test_accepted(source: FunctionSource, image: str | None, packages: list[str] | None) -> None:
    check_imports(source, image, packages)


def test_syntax_that_the_image_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_imports, "PYTHON_VERSION", (3, 7))

    with pytest.raises(
        FlywheelError, match=r"line 2 of function 'train' is not Python 3\.7, which the runtime image has"
    ):
        check_imports(function("x = (y := 1)"), None, None)


def test_the_list_has_every_distribution_of_the_image() -> None:
    pinned = set(re.findall(r"^([A-Za-z0-9_.-]+)==", REQUIREMENTS.read_text(), re.MULTILINE))

    assert set(RUNTIME_MODULES.values()) - {"flywheel-operator"} == pinned


def test_the_modules_are_those_of_the_distributions() -> None:
    installed = {
        module: {name.replace("_", "-").lower() for name in names}
        for module, names in importlib.metadata.packages_distributions().items()
    }

    wrong = {
        module: name
        for module, name in RUNTIME_MODULES.items()
        if module != "flywheel_runtime" and name not in installed.get(module.partition(".")[0], ())
    }
    assert wrong == {}
