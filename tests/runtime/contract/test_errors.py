"""The package's errors are one tree, and its module's docstring shows all of it."""

import importlib
import inspect
import pkgutil

import flywheel_runtime
from flywheel_runtime.contract import errors


def exception_classes() -> set[type[BaseException]]:
    """The exception classes that the package's modules define."""
    names = [each.name for each in pkgutil.walk_packages(flywheel_runtime.__path__, "flywheel_runtime.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    classes = {value for module in modules for value in vars(module).values() if inspect.isclass(value)}
    return {
        each for each in classes if issubclass(each, BaseException) and each.__module__.startswith("flywheel_runtime.")
    }


def test_every_error_of_the_package_is_in_the_tree_of_the_docstring() -> None:
    found = exception_classes()

    assert {each.__name__ for each in found if not issubclass(each, errors.FlywheelError)} == set()
    assert {each.__name__ for each in found if each.__name__ not in (errors.__doc__ or "")} == set()
