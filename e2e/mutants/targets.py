"""Which files are mutated, and which tests should notice."""

import ast
import subprocess
from collections.abc import Iterable
from pathlib import Path

PACKAGES = {  # the folder of each package, and that of its tests
    "operator/flywheel": "tests",
    "operator/generator": "tests/generator",
    "images/runtime/flywheel_runtime": "tests/runtime",
    "images/serving/flywheel_serving": "tests/serving",
}
CORE, KINDS = Path("operator/flywheel/core"), Path("operator/flywheel/kinds")
GENERATOR, STATISTICS = Path("operator/generator"), Path("images/runtime/flywheel_runtime/statistics")


def decisions(checkout: Path) -> list[Path]:
    """Return the files where quantities and decisions are made: core, generator, statistics, and each kind's `decide` and what it calls."""
    found = {path for folder in (CORE, GENERATOR, STATISTICS) for path in _sources(checkout / folder)}
    for decide in sorted((checkout / KINDS).glob("*/decide.py")):
        found |= _called(checkout, decide, set())
    return sorted(each.relative_to(checkout) for each in found)


def changed(checkout: Path, since: str = "main") -> list[Path]:
    """Return the files of the packages that the current branch changed."""
    command = ["git", "diff", "--name-only", "--diff-filter=d", f"{since}...HEAD", "--", *PACKAGES]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    return [Path(line) for line in done.stdout.splitlines() if line.endswith(".py") and "/protocol/" not in line]


def tests_of(checkout: Path, module: Path) -> tuple[str, ...]:
    """Return what pytest runs for a mutant of that file: the tests named after it first, then all of the folder that mirrors its own."""
    package = next(each for each in PACKAGES if module.is_relative_to(each))
    inside = module.relative_to(package).parent
    folder = Path(PACKAGES[package]) / inside
    while not list((checkout / folder).glob("**/test_*.py")):
        folder = folder.parent
    if module.is_relative_to(CORE):
        folder = Path("tests/core")
    if module.is_relative_to(KINDS):
        folder = Path("tests/kinds") / module.relative_to(KINDS).parts[0]
    stems = (module.stem, module.parent.name)
    named = [
        path for path in sorted((checkout / folder).rglob("test_*.py")) if path.stem.removeprefix("test_") in stems
    ]
    return (*(path.relative_to(checkout).as_posix() for path in named), folder.as_posix())


def _sources(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*.py") if path.name != "__init__.py")


def _called(checkout: Path, module: Path, found: set[Path]) -> set[Path]:
    """The module and what it imports from the folder of its kind, in turn, but for the schema, which states and does not decide."""
    if module in found or not module.exists() or "schema" in module.parts:
        return found
    found.add(module)
    root = checkout / "operator"
    kind = ".".join(module.relative_to(root).parts[:3])
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(kind):
            for name in (node.module, *(f"{node.module}.{each.name}" for each in node.names)):
                _called(checkout, (root / name.replace(".", "/")).with_suffix(".py"), found)
    return found
