"""Which modules a function imports, and whether an image has them: known before anything starts."""

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence

from flywheel.client.errors import FlywheelError
from flywheel.client.training.function_source import FunctionSource
from flywheel.client.training.runtime_modules import PYTHON_VERSION, RUNTIME_MODULES

IMPORT_ERRORS = frozenset(("ImportError", "ModuleNotFoundError", "Exception", "BaseException"))


def check_imports(function: FunctionSource, image: str | None, packages: Sequence[str] | None) -> None:
    """Checks the imports of a function against the runtime image (`image` None), or against the modules that the user says another one has.

    Raises:
        FlywheelError: the image lacks one, nobody said what it has, or the code needs another version of Python.
    """
    if image is None:
        _check_syntax(function)
    found = sorted({name for name in imported_modules(function.tree) if name not in sys.stdlib_module_names})
    ours = {module.partition(".")[0] for module in RUNTIME_MODULES} if image is None else set()
    available = {*ours, *(packages or ())}
    missing = [name for name in found if name not in available]
    if not missing:
        return
    names = ", ".join(f"'{name}'" for name in missing)
    if image is not None and packages is None:
        raise _refusal(
            f"function '{function.name}' imports {names}, and what image '{image}' has is not known; list its modules in packages=, such as packages={missing}"
        )
    if image is not None:
        raise _refusal(
            f"function '{function.name}' imports {names}, which packages= does not list for image '{image}'; add it there if the image has it, or use another image"
        )
    raise _refusal(
        f"function '{function.name}' imports {names}, which Flywheel's runtime image does not have (it has {', '.join(sorted(RUNTIME_MODULES))}); use one of those, or give image= and packages="
    )


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """Yields the top-level module of each import that must succeed; one whose ImportError is caught need not.

    Raises:
        FlywheelError: an import is relative.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise _refusal(
                    f"the function imports from '{'.' * node.level}{node.module or ''}', which the image does not have; define what it needs inside the function"
                )
            yield str(node.module).partition(".")[0]
        elif isinstance(node, ast.Try) and any(_catches_import(each) for each in node.handlers):
            for part in (*node.handlers, *node.orelse, *node.finalbody):
                yield from imported_modules(part)
        else:
            yield from imported_modules(node)


def _catches_import(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    types: Iterable[ast.expr] = handler.type.elts if isinstance(handler.type, ast.Tuple) else (handler.type,)
    return any(isinstance(each, ast.Name) and each.id in IMPORT_ERRORS for each in types)


def _check_syntax(function: FunctionSource) -> None:
    try:
        ast.parse(function.text, feature_version=PYTHON_VERSION)
    except SyntaxError as error:
        version = ".".join(map(str, PYTHON_VERSION))
        raise _refusal(
            f"line {error.lineno} of function '{function.name}' is not Python {version}, which the runtime image has: {error.msg}; write it as Python {version}, or give image= and packages="
        ) from None


def _refusal(message: str) -> FlywheelError:
    return FlywheelError(f"nothing was started: {message}", reason="ImportRefused")
