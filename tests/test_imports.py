"""Test modules stand alone: what several of them need is in a module without tests, or in a conftest.py."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.documents import CHECKOUT

FOLDERS = ("tests", "e2e", "demo")


def sources() -> Iterator[Path]:
    return (path for folder in FOLDERS for path in sorted((CHECKOUT / folder).rglob("*.py")))


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, and every name that it imports from one."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{each.name}" for each in names)
            case _:
                pass


def is_for_pytest_alone(name: str, importer: Path) -> bool:
    """Fixtures may come from another folder's conftest.py, into a conftest.py."""
    parts = name.split(".")[1:]
    return any(part.startswith("test_") for part in parts) or ("conftest" in parts and importer.name != "conftest.py")


def test_nothing_imports_a_test_module() -> None:
    found = [
        f"{path.relative_to(CHECKOUT)} imports {name}"
        for path in sources()
        for name in imported(path)
        if name.partition(".")[0] in FOLDERS and is_for_pytest_alone(name, path)
    ]

    assert found == []
