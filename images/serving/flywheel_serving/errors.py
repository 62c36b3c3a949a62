"""What can be wrong with a request, said without a transport: `rest` and `rpc` map the classes to their own codes."""


class RequestError(Exception):
    """A request answered with an error. The message names the field, what was wanted and what was found."""


class InvalidRequest(RequestError):
    """The request does not fit the protocol or the model's signature (400, INVALID_ARGUMENT)."""


class NotFound(RequestError):
    """The path, model or version is not served here (404, NOT_FOUND)."""


class TooLarge(RequestError):
    """The request exceeds a limit on bytes or rows (413, RESOURCE_EXHAUSTED)."""


class Unsupported(RequestError):
    """The body's media type or encoding is not understood (415, UNIMPLEMENTED)."""


class TooMany(RequestError):
    """As much is under way as the server takes, so this was refused at the door (429, UNAVAILABLE)."""


class Overloaded(RequestError):
    """The server is not ready, or the model was not free in time; a second later it may be (503, UNAVAILABLE)."""


class Late(RequestError):
    """The request's own time was over before the model could take it (504, DEADLINE_EXCEEDED)."""


class ModelFailed(RequestError):
    """The model raised an error on an input that its signature allows (500, INTERNAL)."""


class ModelRefused(Exception):
    """A model file that can never be served. `reason` is CamelCase for conditions, the message is for the user."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
