"""A plugin of pytest that removes one control of the code for all tests of this process: `-p e2e.security.removal`, with the control's name in
the environment variable FLYWHEEL_REMOVED_CONTROL."""

import importlib
import os
import sys
from typing import Any

from e2e.security.code_controls import CODE_CONTROLS, CodeControl

VARIABLE = "FLYWHEEL_REMOVED_CONTROL"


def find_target(control: CodeControl) -> tuple[Any, str, object]:
    """Returns what holds the attribute, the attribute's name, and its value."""
    module, _, path = control.target.partition(":")
    holder: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        holder = getattr(holder, parent)
    return holder, name, getattr(holder, name)


def pytest_configure() -> None:
    """Replaces the control before any test is imported, and in modules that have imported it by name already."""
    control = next(each for each in CODE_CONTROLS if each.name == os.environ[VARIABLE])
    holder, name, original = find_target(control)
    setattr(holder, name, control.replacement)
    for module in list(sys.modules.values()):
        package = str(getattr(module, "__name__", "")).partition(".")[0]
        if package.startswith("flywheel") and getattr(module, name, None) is original:
            setattr(module, name, control.replacement)
