"""The program of a trial: a function after the prelude that reads its parameters and writes its metrics."""

import ast
import inspect
from collections.abc import Sequence

from flywheel.client.errors import FlywheelError
from flywheel.client.training import prelude
from flywheel.client.training.function_source import FunctionSource
from flywheel.core.pods.source_file import MAX_SOURCE_BYTES

SPECIAL = ("data", "run")  # parameters that a function gets if it has them


def write_program(function: FunctionSource, parameters: Sequence[str], objective: str) -> str:
    """Returns the program that calls a function with these parameters of the trial, and with data and run where it takes them.

    Raises:
        FlywheelError: the function has a name of the prelude, or the program is longer than 256 KiB.
    """
    head = inspect.getsource(prelude).rstrip()
    if function.name in _module_names(head):
        raise FlywheelError(
            f"nothing was started: '{function.name}' is a name of the program around the function; rename the function",
            reason="FunctionRefused",
        )
    special = [name for name in SPECIAL if name in (*function.required, *function.optional) and name not in parameters]
    main = f"run_function({function.name}, {objective!r}, {sorted(parameters)!r}, {special!r})"
    text = f'{head}\n\n\n{function.text.rstrip()}\n\n\nif __name__ == "__main__":\n    {main}\n'
    if (size := len(text.encode())) > MAX_SOURCE_BYTES:
        raise FlywheelError(
            f"nothing was started: with function '{function.name}' the program has {size:,} bytes, and may have {MAX_SOURCE_BYTES:,}; read large constants from the data, or build an image",
            reason="SourceTooLarge",
        )
    return text


def _module_names(text: str) -> set[str]:
    found: set[str] = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {each.asname or each.name for each in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
    return found
