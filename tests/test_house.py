"""The rules of CONTRIBUTING about names, sizes and docstrings, held against the code of the three packages, of the generator, and of the simulation that tests stand on."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.documents import CHECKOUT

PACKAGES = (
    "operator/flywheel",
    "images/reader/flywheel_reader",
    "images/runtime/flywheel_runtime",
    "images/serving/flywheel_serving",
    "operator/generator",
    "tests/simulation",
)
GENERATED = "protocol"  # made from the protocol's .proto
MAX_MODULES_IN_A_FOLDER = 12
MAX_FUNCTION_LINES = 40
MAX_FILE_LINES = 300

# Words of an earlier, private vocabulary. CONTRIBUTING's glossary has the field's word for each idea.
DENIED = frozenset(
    ["awaken", "beginning", "besides", "bring", "dress", "dressed", "endings", "flying", "hearing", "keeper", "keeping", "kept", "lesson", "nobody", "offered", "rehearsal", "ripen", "ripe", "seal", "setback", "somebody", "taking", "teller", "ticker", "told", "trouble", "troubled", "troubles", "troubling", "untold", "whoever", "world", "yielded", "yields"]
)  # fmt: skip
DENIED_MODULES = frozenset({"base", "common", "helpers", "manager", "misc", "order", "plain", "utils", "words"})
# A function's name says what it does or returns: a verb with an object, or a noun.
BARE = frozenset(
    ["about", "after", "alone", "as", "at", "be", "before", "begun", "beside", "between", "by", "done", "for", "found", "from", "given", "gone", "had", "held", "in", "into", "known", "left", "made", "meant", "of", "off", "on", "out", "over", "own", "said", "seen", "sent", "so", "spoken", "taken", "than", "them", "then", "there", "through", "to", "under", "until", "up", "upon", "were", "with", "within", "without"]
)  # fmt: skip
PARTICIPLE = re.compile(r"[a-z]{3,}ed")
NOT_PARTICIPLES = frozenset({"embed", "feed", "need", "proceed", "seed", "speed", "succeed"})
# Rooms that each kind, command or feature has; every other name of a module stands for one concept.
ROOMS = frozenset(
    ["__init__", "__main__", "children", "cli", "codec", "config", "decide", "errors", "files", "flags", "golden", "kind", "main", "messages", "metrics", "observe", "options", "preview", "progress", "rules", "schema", "settings", "spec", "status"]
)  # fmt: skip


@dataclass(frozen=True)
class Module:
    """A parsed source file of one of the packages."""

    path: Path
    lines: int
    tree: ast.Module

    @property
    def where(self) -> str:
        return self.path.relative_to(CHECKOUT).as_posix()


@cache
def modules() -> tuple[Module, ...]:
    """Every source file that people write."""
    return tuple(
        Module(path, len(text.splitlines()), ast.parse(text))
        for package in PACKAGES
        for path in sorted((CHECKOUT / package).rglob("*.py"))
        if GENERATED not in path.parts
        for text in (path.read_text(encoding="utf-8"),)
    )


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def names(module: Module) -> Iterator[tuple[str, int]]:
    """Each name that a reader outside of the function meets: modules, functions, classes, parameters, fields, constants."""
    yield module.path.stem, 1
    for node in ast.walk(module.tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.arg():
                yield node.arg, node.lineno
            case ast.AnnAssign(target=ast.Name() as target):
                yield target.id, node.lineno
            case _:
                pass
    for node in module.tree.body:
        if isinstance(node, ast.Assign):
            yield from ((target.id, node.lineno) for target in node.targets if isinstance(target, ast.Name))


def documented(module: Module) -> list[ast.Module | ast.ClassDef]:
    """The module, and its classes."""
    return [module.tree, *(each for each in module.tree.body if isinstance(each, ast.ClassDef))]


@cache
def words_of(name: str) -> list[str]:
    """`CollectConfig`, `collect_config` and `COLLECT_CONFIG` are collect and config."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).strip("_").lower().split("_")


def is_bare(name: str) -> bool:
    """Whether a function's name is a participle or a preposition alone."""
    return name in BARE or bool(PARTICIPLE.fullmatch(name) and name not in NOT_PARTICIPLES)


def is_property(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    named = (
        each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in function.decorator_list
    )
    return any(name in ("property", "cached_property", "setter") for name in named)


def test_no_name_is_of_the_private_vocabulary() -> None:
    found = [
        f"{module.where}:{line} {name}"
        for module in modules()
        for name, line in names(module)
        if DENIED & set(words_of(name))
    ]

    assert found == []


def test_no_module_is_called_by_what_could_be_in_any() -> None:
    assert [module.where for module in modules() if module.path.stem in DENIED_MODULES] == []


def test_no_public_function_is_called_by_a_bare_participle_or_preposition() -> None:
    found = [
        f"{module.where}:{function.lineno} {function.name}"
        for module in modules()
        for function in functions(module)
        if is_bare(function.name) and not is_property(function)
    ]

    assert found == []


@pytest.mark.parametrize("package", PACKAGES)
def test_one_name_of_a_module_is_one_concept(package: str) -> None:
    named = Counter(
        module.path.stem
        for module in modules()
        if module.path.is_relative_to(CHECKOUT / package) and module.path.stem not in ROOMS
    )

    assert {name: count for name, count in named.items() if count > 1} == {}


def test_no_folder_has_too_many_modules() -> None:
    counts = Counter(
        module.path.parent.relative_to(CHECKOUT).as_posix() for module in modules() if module.path.stem != "__init__"
    )

    assert {folder: count for folder, count in counts.items() if count > MAX_MODULES_IN_A_FOLDER} == {}


def test_no_file_and_no_function_is_too_long() -> None:
    files = [f"{module.where} {module.lines}" for module in modules() if module.lines > MAX_FILE_LINES]
    long = [
        f"{module.where}:{function.lineno} {function.name} {length}"
        for module in modules()
        for function in functions(module)
        if (length := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION_LINES
    ]

    assert files + long == []


def test_the_first_sentence_of_a_docstring_stands_alone() -> None:
    """It begins with a capital letter, a digit or code, and it ends within the first paragraph."""
    found = [
        f"{module.where}:{getattr(node, 'lineno', 1)} {first!r}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if (text := ast.get_docstring(node))
        if not re.match(r"[A-Z0-9`'\"(].*[.:;?!)`]", first := text.split("\n\n")[0], re.DOTALL)
    ]

    assert found == []


def test_every_public_module_and_class_has_a_docstring() -> None:
    found = [
        f"{module.where}:{getattr(node, 'lineno', 1)}"
        for module in modules()
        for node in documented(module)
        if not getattr(node, "name", "").startswith("_") and ast.get_docstring(node) is None
    ]

    assert found == []


def test_the_operator_asserts_nothing() -> None:
    """A type that is narrowed by the guards needs no assertion that another rule came before."""
    found = [
        f"{module.where}:{node.lineno}"
        for module in modules()
        if module.path.is_relative_to(CHECKOUT / PACKAGES[0])
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assert)
    ]

    assert found == []


@pytest.mark.parametrize(
    ("name", "bare"),
    [("told", False), ("dressed", True), ("of", True), ("seed", False), ("is_ready", False), ("with_owner", False)],
)
def test_is_bare(name: str, bare: bool) -> None:
    assert is_bare(name) == bare
