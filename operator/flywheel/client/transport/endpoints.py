"""Where a Service of the cluster is reached: at an address of its own, or through the API server's proxy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlencode, urlsplit

from flywheel.client.errors import FlywheelError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

    from flywheel.cluster.client import Client

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
# The API server removes the header Authorization from what it proxies, since it holds the caller's credentials for the API server.
PROXIED_TOKEN_HEADER = "X-Flywheel-Authorization"
Token = Callable[[], str | None]  # the current bearer token of a caller, or None where there is none to send


@dataclass(frozen=True)
class HTTPRequest:
    """One request. `path` begins with a slash, and is quoted; `read_seconds` is how long the next bytes of the response may take."""

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    read_seconds: float = READ_SECONDS


class Endpoint(Protocol):
    """One server. `open` returns the response with its body unread, whatever its status, and the caller closes it."""

    @property
    def place(self) -> str:
        """Where it is, for messages."""

    def open(self, request: HTTPRequest) -> "BaseHTTPResponse":
        """Sends a request; a GET again where the connection breaks.

        Raises:
            FlywheelError: there is no response.
        """


@dataclass(frozen=True)
class UrlEndpoint:
    """A server at a URL. Redirects are not followed, since the token is for this server alone."""

    url: str
    token: Token
    pool: "PoolManager"

    @property
    def place(self) -> str:
        """The URL."""
        return self.url

    def open(self, request: HTTPRequest) -> "BaseHTTPResponse":
        """Sends a request."""
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        from flywheel.cluster.retries import USER_PAUSES, repeat_broken

        token = self.token()
        target = self.url.rstrip("/") + request.path + (f"?{urlencode(request.query)}" if request.query else "")

        def send() -> "BaseHTTPResponse":
            return self.pool.request(
                request.method,
                target,
                headers={**request.headers, **({"Authorization": f"Bearer {token}"} if token else {})},
                body=request.body,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=Timeout(connect=CONNECT_SECONDS, read=request.read_seconds),
            )

        try:
            return repeat_broken(send, USER_PAUSES if request.method == "GET" else ())
        except HTTPError as error:
            raise unreachable(self.url, str(error)) from error


@dataclass(frozen=True)
class ProxyEndpoint:
    """A Service behind the API server's proxy, which needs the right to `get` (or `create`) services/proxy."""

    cluster: "Client"
    namespace: str
    service: str
    port: int
    token: Token

    @property
    def place(self) -> str:
        """The Service."""
        return f"Service '{self.service}' in namespace '{self.namespace}', through the API server's proxy"

    def open(self, request: HTTPRequest) -> "BaseHTTPResponse":
        """Sends a request."""
        from flywheel.cluster.errors import ApiError

        token = self.token()
        root = f"/api/v1/namespaces/{quote(self.namespace, safe='')}/services/http:{quote(self.service, safe='')}:{self.port}/proxy"
        try:
            return self.cluster.open(
                request.method,
                root + request.path,
                query=request.query,
                headers={**request.headers, **({PROXIED_TOKEN_HEADER: f"Bearer {token}"} if token else {})},
                body=request.body,
                read_seconds=request.read_seconds,
            )
        except ApiError as error:
            raise unreachable("the API server", error.message) from error


def unreachable(place: str, finding: str) -> FlywheelError:
    """Returns the error of a server that gave no response."""
    return FlywheelError(
        f"{place} gave no response: {finding}; see whether it runs and can be reached", reason="Unreachable"
    )


def check_url(url: str, setting: str) -> str:
    """Returns a URL that a token may be sent to.

    Raises:
        FlywheelError: it is not http or https, or it is http to a host outside the cluster and this machine, where others could read the token.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise FlywheelError(
            f"{setting}: '{url}' must be an address such as https://flywheel.example.org", reason="BadAddress"
        )
    if parts.scheme == "http" and not _is_private(parts.hostname):
        raise FlywheelError(
            f"{setting}: '{url}' would send your token unencrypted; use https://, which http:// to this machine or to a Service (*.svc) needs not",
            reason="BadAddress",
        )
    return url


def _is_private(host: str) -> bool:
    if host == "localhost" or host.endswith((".svc", ".svc.cluster.local")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
