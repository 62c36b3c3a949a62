"""Which token a request carries: the user's own, one from a file, or one of a ServiceAccount."""

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flywheel.client.errors import FlywheelError
from flywheel.client.transport.model_services import SERVICE_OPTION, ServiceAudience

if TYPE_CHECKING:
    from flywheel.cluster.client import Client

READER_AUDIENCE = "flywheel-reader"
TOKEN_SECONDS = 3600  # the API server's default, and at least 600
RENEWAL = 0.8  # of a token's time, after which another is requested
SERVICE_ACCOUNT_OPTION = "--service-account (FLYWHEEL_SERVICE_ACCOUNT, service_account=)"
TOKEN_FILE_OPTION = "--token-file (FLYWHEEL_TOKEN_FILE, token_file=)"
AUDIENCE_OPTION = "--audience (audience=)"
API_AUDIENCE = "kubernetes.default"  # a part of the API server's usual audiences
ACCOUNT_SUBJECT = re.compile(r"system:serviceaccount:([^:]+):([^:]+)")  # of a ServiceAccount's token
LEGACY_ISSUER = "kubernetes/serviceaccount"  # of tokens for the API server that have no audience


@dataclass
class Tokens:
    """The tokens of one user. `service_account` is NAME or NAMESPACE/NAME; tokens by TokenRequest are cached until most of their time is over.

    `audience` is one that the user trusts beside a service's own, which is its DNS name.
    """

    cluster: "Client"
    namespace: str
    service_account: str | None = None
    token_file: Path | None = None
    audience: str | None = None
    clock: Callable[[], float] = time.monotonic
    _cache: dict[str, tuple[str, float]] = field(default_factory=dict)
    _may_narrow: bool = True  # no request for a narrower token than the kubeconfig's was refused
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def reader_token(self) -> str:
        """Returns a token for the reader: of the ServiceAccount where one is named, else that of the kubeconfig.

        In place of a ServiceAccount's token in the kubeconfig, which the API server takes too, one of the same ServiceAccount for the reader
        alone is requested; where that is not allowed, the reader is shown the kubeconfig's.

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
        return self._narrow_token(token) or token

    def _narrow_token(self, token: str) -> str | None:
        """Returns a token of the same ServiceAccount for the reader alone; None where it is none, or may not request it."""
        account = ACCOUNT_SUBJECT.fullmatch(str(_read_claims(token).get("sub")))
        if account is None or not self._may_narrow:
            return None
        try:
            return self._requested_token(READER_AUDIENCE, f"{account[1]}/{account[2]}")
        except FlywheelError:
            self._may_narrow = False
            return None

    def service_token(self, wanted: ServiceAudience, *, is_named: bool = False) -> str:
        """Returns a token for a model server: from the file where one is named, else of the ServiceAccount for the service's own audience.

        Whoever may write the service chooses the audiences of its spec, so another one than its own counts only if the user gave it.
        A token that is good elsewhere too is not sent while servers of an earlier spec may get it, unless the user named the service.

        Raises:
            FlywheelError: there is no such token, or it must not be sent to this service.
        """
        service = f"InferenceService '{wanted.service}'"
        if self.token_file is not None:
            token = self._file_token(self.token_file)
            claims = _read_claims(token)
            self._check_file_token(token, claims, service)
            if wanted.unsettled and not is_named and _audiences(claims) != [wanted.own]:
                raise _unsettled(service, wanted)
            return token
        if wanted.by_provider:
            raise FlywheelError(
                f"{service} takes tokens of its identity provider; put one into a file and name it with {TOKEN_FILE_OPTION}",
                reason="NoToken",
            )
        if self.service_account is None:
            shown = wanted.own if wanted.is_own else wanted.declared[0]
            raise FlywheelError(
                f"{service} takes tokens for the audience '{shown}', which yours is not; name a ServiceAccount that may get the InferenceService "
                f"with {SERVICE_ACCOUNT_OPTION}, or a file with such a token with {TOKEN_FILE_OPTION}",
                reason="NoToken",
            )
        return self._requested_token(wanted.own if wanted.is_own else self._trusted_audience(wanted, service, is_named))

    def _trusted_audience(self, wanted: ServiceAudience, service: str, is_named: bool) -> str:
        """Returns the audience that the user gave, which the service shares with others."""
        if self.audience is None or self.audience not in wanted.declared:
            raise FlywheelError(
                f"{service} takes tokens for {', '.join(map(repr, wanted.declared))}, and not for its own audience '{wanted.own}'; "
                f"if it may have a token that others accept too, give the audience with {AUDIENCE_OPTION}",
                reason="OtherAudience",
            )
        if _is_powerful(self.audience):
            raise FlywheelError(
                f"{service} takes tokens for the audience '{self.audience}', with which it could act as you in the cluster; no such token is sent",
                reason="OtherAudience",
            )
        if wanted.unsettled and not is_named:
            raise _unsettled(service, wanted)
        return self.audience

    def _check_file_token(self, token: str, claims: Mapping[str, Any], service: str) -> None:
        """Checks that a token from a file is none with which a model server could act as the user in the cluster."""
        is_legacy = claims.get("iss") == LEGACY_ISSUER
        if is_legacy or any(map(_is_powerful, _audiences(claims))) or token == self.cluster.bearer_token():
            raise FlywheelError(
                f"{self.token_file}: the token is for the API server or the reader, where {service} could use it as you; "
                f"put one for the service's own audience into the file of {TOKEN_FILE_OPTION}",
                reason="OtherAudience",
            )

    def forget_tokens(self) -> None:
        """Removes cached tokens, after one was not accepted."""
        with self._lock:
            self._cache.clear()

    def _requested_token(self, audience: str, account: str | None = None) -> str:
        """Returns a token of a ServiceAccount, by default that of the options."""
        from flywheel.cluster.errors import ApiError

        before, _, name = (account or str(self.service_account)).rpartition("/")
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


def _is_powerful(audience: str) -> bool:
    """Whether the API server or the reader accepts tokens for this audience."""
    return audience == READER_AUDIENCE or API_AUDIENCE in audience


def _audiences(claims: Mapping[str, Any]) -> list[str]:
    found = claims.get("aud")
    return [str(each) for each in found] if isinstance(found, list) else [str(found)] if found else []


def _read_claims(token: str) -> Mapping[str, Any]:
    """Returns the claims of a JSON Web Token, unverified; none of another token."""
    try:
        _, payload, _ = token.split(".")
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _unsettled(service: str, wanted: ServiceAudience) -> FlywheelError:
    return FlywheelError(
        f"{service} may still have servers of an earlier spec, which would get a token that others accept too ({wanted.unsettled}); "
        f"wait until it is Ready, or name it with {SERVICE_OPTION} if you trust who writes it",
        reason="NotSettled",
    )
