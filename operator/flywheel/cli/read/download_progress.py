"""The progress of a download, on a terminal alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flywheel.cli.output import console


@contextmanager
def show_progress(total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Yields what is told how many bytes arrived, and shows them on standard error where that is a terminal."""
    terminal = console(stderr=True)
    if not terminal.is_terminal:
        yield lambda _size: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal, transient=True) as progress:
        task = progress.add_task("download", total=total_bytes or None)
        yield lambda size: progress.advance(task, size)
