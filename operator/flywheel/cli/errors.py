"""Errors and exit codes of commands."""

DONE, FAILED, WRONG_USAGE = 0, 1, 2
INTERRUPTED, PIPE_CLOSED = 130, 141  # 128 and the number of the signal, as shells report them
MAX_FAILED_POLLS = 10  # in a row, before --wait and --watch give up


class CommandError(Exception):
    """A command failed. The message names object, finding and next step; `code` is the exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code
