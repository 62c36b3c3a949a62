"""The source of a function, and the checks that it runs anywhere: it may use its parameters, its own imports and Python's builtins alone."""

import __future__

import ast
import builtins
import functools
import inspect
import operator
import symtable
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flywheel.client.errors import FlywheelError

NOTEBOOK_NAMES = frozenset(("display", "get_ipython"))  # IPython adds them to Python's builtins
FUTURE_FLAGS = functools.reduce(
    operator.or_, (getattr(__future__, each).compiler_flag for each in __future__.all_feature_names)
)
FUTURE = "from __future__ import annotations\n"  # annotations are not evaluated, so they may name anything


@dataclass(frozen=True)
class FunctionSource:
    """A function that stands alone. `required` are its parameters without a default, `optional` the others."""

    name: str
    text: str
    required: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def tree(self) -> ast.Module:
        """The syntax tree of the source."""
        return ast.parse(self.text)


def read_function(function: Callable[..., Any]) -> FunctionSource:
    """Returns the source of a function, without the indentation of its place.

    Raises:
        FlywheelError: it is no function of its own, its source is missing, or it uses what is defined outside of it.
    """
    if hasattr(function, "__wrapped__"):
        raise _refusal(f"function '{function.__wrapped__.__name__}' is decorated; remove the decorator")
    if not isinstance(function, types.FunctionType):
        raise _refusal(_describe_other(function))
    name = function.__name__
    if name == "<lambda>":
        raise _refusal("a lambda has no name and no source of its own; write it as a function with def")
    if function.__code__.co_freevars:
        names = _quote(function.__code__.co_freevars)
        raise _refusal(
            f"function '{name}' is a closure over {names} of the function around it; make {_them(function.__code__.co_freevars)} its parameters"
        )
    text = _source_text(function)
    tree = _parse(name, text)
    if tree.decorator_list:
        decorator = ast.unparse(tree.decorator_list[0])
        raise _refusal(f"function '{name}' has the decorator @{decorator}; remove it, or call it inside the function")
    if not _is_its_source(function, text):
        raise _refusal(_changed(name))
    if inspect.isgeneratorfunction(function):
        raise _refusal(f"function '{name}' is a generator; return the metrics instead of yielding them")
    check_globals(name, text, function.__globals__)
    return FunctionSource(name, text, *_parameters(name, tree))


def check_globals(name: str, text: str, defined: Mapping[str, Any]) -> None:
    """Checks that a function uses no name that is defined outside of it.

    Raises:
        FlywheelError: it uses one; the message says what the name is in `defined`, the globals of the function.
    """
    table = symtable.symtable(FUTURE + text, f"<{name}>", "exec")
    known = {name, *vars(builtins)} - NOTEBOOK_NAMES
    found = {each for each in _global_names(table) if each not in known}
    for each in sorted(found):
        raise _refusal(f"function '{name}' uses '{each}', {_advice(each, defined)}")


def _describe_other(given: Any) -> str:
    if inspect.ismethod(given):
        return f"'{given.__qualname__}' is a method of an object; write a function that makes what it needs"
    if inspect.isclass(given):
        return f"'{given.__name__}' is a class; write a function that uses it"
    if inspect.isbuiltin(given) or inspect.isroutine(given):
        return f"'{getattr(given, '__name__', given)}' is not written in Python; write a function that calls it"
    return f"an object of type {type(given).__name__} has no source; write a function with def"


def _source_text(function: types.FunctionType) -> str:
    name = function.__name__
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        raise _refusal(
            f"the source of function '{name}' cannot be found; define it in a cell of the notebook or in a file, not in exec() or at a prompt"
        ) from None


def _parse(name: str, text: str) -> ast.FunctionDef:
    try:
        body = ast.parse(text).body
    except SyntaxError:
        body = []
    if len(body) == 1 and isinstance(body[0], ast.AsyncFunctionDef):
        raise _refusal(f"function '{name}' is asynchronous; write it with def, and asyncio.run inside")
    if len(body) != 1 or not isinstance(body[0], ast.FunctionDef) or body[0].name != name:
        raise _refusal(_changed(name))
    return body[0]


def _changed(name: str) -> str:
    return f"the source of function '{name}' is no longer what was run; run its cell again, or reload its module"


def _is_its_source(function: types.FunctionType, text: str) -> bool:
    """Returns whether the function is what this text makes: a file may have changed since it was imported."""
    if any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(text))):
        return True  # test runners compile assert statements otherwise
    flags = function.__code__.co_flags & FUTURE_FLAGS | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    # IPython compiles the function alone, Python its file: imports of the file change how it is compiled.
    for candidate in (text, "".join(inspect.findsource(function)[0])):
        try:
            module = compile(candidate, "<source>", "exec", flags=flags, dont_inherit=True)
        except SyntaxError:
            continue
        if any(_is_same_code(each, function.__code__) for each in _nested_code(module)):
            return True
    return False


def _nested_code(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yields the code of all functions inside."""
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield each
            yield from _nested_code(each)


def _is_same_code(one: types.CodeType, other: types.CodeType) -> bool:
    """Returns whether two code objects do the same, whatever files and lines they are of."""
    if any(getattr(one, each) != getattr(other, each) for each in ("co_name", "co_code", "co_names", "co_varnames")):
        return False
    return len(one.co_consts) == len(other.co_consts) and all(
        _is_same_code(left, right)
        if isinstance(left, types.CodeType) and isinstance(right, types.CodeType)
        else repr(left) == repr(right)
        for left, right in zip(one.co_consts, other.co_consts, strict=True)
    )


def _parameters(name: str, tree: ast.FunctionDef) -> tuple[tuple[str, ...], tuple[str, ...]]:
    given = tree.args
    if given.vararg or given.kwarg or given.posonlyargs:
        raise _refusal(f"function '{name}' takes *args, **kwargs or positional parameters; give each parameter a name")
    plain = [each.arg for each in given.args]
    split = len(plain) - len(given.defaults)
    named = [(each.arg, default is None) for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    required = (*plain[:split], *(each for each, needed in named if needed))
    return required, (*plain[split:], *(each for each, needed in named if not needed))


def _global_names(table: symtable.SymbolTable) -> Iterator[str]:
    """Yields the names that code looks up among the globals, also from functions and classes inside."""
    assigned = {each.get_name() for each in table.get_symbols() if each.is_assigned() or each.is_imported()}
    for symbol in table.get_symbols():
        is_local = table.get_type() != "module" and symbol.get_name() in assigned and not symbol.is_declared_global()
        if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module") and not is_local:
            yield symbol.get_name()
    for child in table.get_children():
        yield from _global_names(child)


def _advice(name: str, defined: Mapping[str, Any]) -> str:
    value = defined.get(name)
    if name in NOTEBOOK_NAMES:
        return "which only a notebook has (a line that begins with % or ! needs it, too); remove it, or use print"
    if isinstance(value, types.ModuleType):
        statement = f"import {value.__name__}" + (f" as {name}" if value.__name__ != name else "")
        return f"which is imported outside of it; write '{statement}' inside the function"
    if inspect.isclass(value) or inspect.isroutine(value):
        module = getattr(value, "__module__", "__main__")
        if module not in ("__main__", None) and getattr(value, "__qualname__", "") == getattr(value, "__name__", None):
            return f"which is imported outside of it; write 'from {module} import {value.__name__}' inside the function"
        return "which is defined outside of it; define it inside the function"
    if name in defined:
        return "which is a value defined outside of it; make it a parameter, and give it in parameters="
    return "which is defined nowhere; correct the name"


def _refusal(message: str) -> FlywheelError:
    return FlywheelError(f"nothing was started: {message}", reason="FunctionRefused")


def _quote(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{each}'" for each in names)


def _them(names: tuple[str, ...]) -> str:
    return "it" if len(names) == 1 else "them"
