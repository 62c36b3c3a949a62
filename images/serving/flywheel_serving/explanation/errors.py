"""Why a model is not explained."""


class NotExplained(Exception):
    """The model, or one of its rows, has no contributions that can be relied on. `reason` is one CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
