"""Which token a request carries: the user's own, one from a file, or one of a ServiceAccount."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flywheel.client.errors import FlywheelError

if TYPE_CHECKING:
    from flywheel.cluster.client import Client

READER_AUDIENCE = "flywheel-reader"
TOKEN_SECONDS = 3600  # the API server's default, and at least 600
RENEWAL = 0.8  # of a token's time, after which another is requested
SERVICE_ACCOUNT_OPTION = "--service-account (FLYWHEEL_SERVICE_ACCOUNT, service_account=)"
TOKEN_FILE_OPTION = "--token-file (FLYWHEEL_TOKEN_FILE, token_file=)"


@dataclass
class Tokens:
    """The tokens of one user. `service_account` is NAME or NAMESPACE/NAME; tokens by TokenRequest are cached until most of their time is over."""

    cluster: "Client"
    namespace: str
    service_account: str | None = None
    token_file: Path | None = None
    clock: Callable[[], float] = time.monotonic
    _cache: dict[str, tuple[str, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reader_token(self) -> str:
        """Returns a token for the reader: of the ServiceAccount where one is named, else that of the kubeconfig.

        Raises:
            FlywheelError: the kubeconfig has a client certificate, which cannot be shown to the reader, and no ServiceAccount is named.
        """
        if self.service_account is not None:
            return self._requested_token(READER_AUDIENCE)
        token = self.cluster.bearer_token()
        if token is None:
            raise FlywheelError(
                "your kubeconfig has no token (a client certificate is for the API server alone), so the reader cannot know you; "
                f"name a ServiceAccount whose rights you may use with {SERVICE_ACCOUNT_OPTION}",
                reason="NoToken",
            )
        return token

    def service_token(self, audience: str | None, service: str) -> str:
        """Returns a token for a model server: from the file where one is named, else of the ServiceAccount for that audience.

        `audience` is None where the service takes tokens of an identity provider, which only a file can hold.

        Raises:
            FlywheelError: neither is named, or the file cannot be read.
        """
        if self.token_file is not None:
            return self._file_token(self.token_file)
        if audience is None:
            raise FlywheelError(
                f"{service} takes tokens of its identity provider; put one into a file and name it with {TOKEN_FILE_OPTION}",
                reason="NoToken",
            )
        if self.service_account is None:
            raise FlywheelError(
                f"{service} takes tokens for the audience '{audience}', which yours is not; name a ServiceAccount that may get the InferenceService "
                f"with {SERVICE_ACCOUNT_OPTION}, or a file with such a token with {TOKEN_FILE_OPTION}",
                reason="NoToken",
            )
        return self._requested_token(audience)

    def forget_tokens(self) -> None:
        """Removes cached tokens, after one was not accepted."""
        with self._lock:
            self._cache.clear()

    def _requested_token(self, audience: str) -> str:
        from flywheel.cluster.errors import ApiError

        before, _, name = str(self.service_account).rpartition("/")
        namespace = before or self.namespace
        with self._lock:
            token, expires = self._cache.get(audience, ("", 0.0))
            if token and self.clock() < expires:
                return token
            try:
                token = self.cluster.request_token(namespace, name, audience, TOKEN_SECONDS)
            except ApiError as error:
                raise FlywheelError(
                    f"no token of ServiceAccount '{name}' in namespace '{namespace}': {error.message}; "
                    "it must exist, and you need the right to create serviceaccounts/token",
                    reason=error.reason,
                    status=error.status,
                ) from error
            self._cache[audience] = token, self.clock() + TOKEN_SECONDS * RENEWAL
            return token

    @staticmethod
    def _file_token(path: Path) -> str:
        try:
            return path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise FlywheelError(f"{path}: the token cannot be read: {error}", reason="NoToken") from error
