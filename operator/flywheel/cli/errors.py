"""How a command ends when it cannot do what it was asked for."""

from flywheel.cluster.errors import ApiError

DONE, FAILED, WRONG_USAGE = 0, 1, 2


class CommandError(Exception):
    """A sentence for the user: object, finding, next step. `code` is the exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def describe_api_error(error: ApiError) -> str:
    """What the API server refused, in its own words, and what may help."""
    if error.status == 0:
        return f"the API server gave no answer ({error.message}); see whether 'kubectl version' works"
    if error.forbidden:
        return f"the API server does not let you: {error.message}"
    return f"the API server refused: {error.message}"
