"""The type of the fixture `flywheel`."""

from collections.abc import Callable

Flywheel = Callable[
    ..., str
]  # words of the command, and the `code` with which it has to end (0); gives what it printed
