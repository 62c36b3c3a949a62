"""The notebooks are committed as they ran, without an error and without paths of a machine; the story notebook_trains_a_function runs them."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.documents import CHECKOUT

NOTEBOOKS = sorted((CHECKOUT / "notebooks").glob("*.ipynb"))
MACHINE_PATH = re.compile(r"/(?:root|home|Users|work|tmp)/|site-packages")


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    return [each for each in json.loads(path.read_text())["cells"] if each["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_there_are_three() -> None:
    assert [each.stem.partition("-")[0] for each in NOTEBOOKS] == ["1", "2", "3"]


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in NOTEBOOKS])
def test_every_code_cell_is_python(path: Path) -> None:
    assert [ast.parse(source(each)) for each in cells(path, "code")]


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in NOTEBOOKS])
def test_nothing_of_a_machine_is_in_it(path: Path) -> None:
    assert MACHINE_PATH.findall(path.read_text()) == []


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in NOTEBOOKS])
def test_outputs_are_of_one_run_from_the_first_cell_to_the_last(path: Path) -> None:
    code = cells(path, "code")

    assert [each["execution_count"] for each in code] == list(range(1, len(code) + 1))
    assert [output for each in code for output in each["outputs"] if output["output_type"] == "error"] == []
