"""Errors of requests and of models, for every transport: `rest` and `rpc` map the classes to their own status codes.

Exception
|- RequestError           a request that is answered with an error
|  |- InvalidRequest          400, INVALID_ARGUMENT
|  |- NotFound                404, NOT_FOUND
|  |- RequestTooLarge         413, RESOURCE_EXHAUSTED
|  |- UnsupportedEncoding     415, UNIMPLEMENTED
|  |- TooManyRequests         429, UNAVAILABLE
|  |- ModelFailed             500, INTERNAL
|  |  `- ModelCrashed
|  |- Overloaded              503, UNAVAILABLE
|  `- DeadlineExceeded        504, DEADLINE_EXCEEDED
|     `- TimeLimitExceeded
`- ModelRefused           a model that can never be served
"""


class RequestError(Exception):
    """A request that is answered with an error. The message names the field, what was wanted and what was found."""


class InvalidRequest(RequestError):
    """The request does not fit the protocol or the model's signature."""


class NotFound(RequestError):
    """The path, model or version is not served here."""


class RequestTooLarge(RequestError):
    """The request exceeds a limit on bytes or rows."""


class UnsupportedEncoding(RequestError):
    """The body's media type or encoding is not supported."""


class TooManyRequests(RequestError):
    """As many requests are in flight as the server accepts, so this one was not read."""


class Overloaded(RequestError):
    """The server is not ready, or the model was not free in time; a retry may succeed a second later."""


class DeadlineExceeded(RequestError):
    """The request's own timeout, in seconds if it is known, ended before the model could take it."""

    def __init__(self, message: str = "", timeout: float | None = None) -> None:
        super().__init__(message)
        self.is_too_short = timeout is not None and timeout < SHORT_TIMEOUT_SECONDS


class ModelFailed(RequestError):
    """The model raised an error on an input that its signature allows."""


class ModelCrashed(ModelFailed):
    """The model runtime ended the worker process that computed the request."""

    def __init__(self, finding: str) -> None:
        super().__init__(f"the model runtime ended its worker process on this input ({finding}); send another input")


class TimeLimitExceeded(DeadlineExceeded):
    """The model computed for longer than a request may, so the computation was ended."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the model did not finish in {seconds:g} s, the limit of a request, and was ended; "
            "send a smaller request, or raise spec.requestTimeout (--max-run-seconds)"
        )


class ModelRefused(Exception):
    """A model file that can never be served. `reason` is CamelCase for conditions, the message is for the user."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


SHORT_TIMEOUT_SECONDS = 0.1  # a client that chose less causes its failure itself, however good the service is
INVALID, OVERLOADED, TIMED_OUT, FAILED = ERROR_CLASSES = ("invalid", "overloaded", "timedOut", "failed")


def classify_error(error: RequestError) -> str:
    """The class that counts of errors use: `invalid` is the client's error, also a timeout that is too short; the others are the service's."""
    if isinstance(error, TooManyRequests | Overloaded):
        return OVERLOADED
    if isinstance(error, DeadlineExceeded):
        return INVALID if error.is_too_short else TIMED_OUT
    return FAILED if isinstance(error, ModelFailed) else INVALID
