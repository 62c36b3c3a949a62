"""Requests to S3 over HTTP: where they go, how they are signed, and a type for each error.

Two clients start in every step pod. botocore's takes 0.1 s of CPU and 14 MiB more than this one (decision 0020).
"""

import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from http.client import responses
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import urllib3

from flywheel_runtime.contract.errors import (
    AccessDenied,
    BucketMissing,
    HostUnreachable,
    ObjectMissing,
    PreconditionFailed,
    StoreBusy,
    StoreError,
    StoreUnreachable,
)
from flywheel_runtime.store.access import Access
from flywheel_runtime.store.aws.credential_chain import find_credentials
from flywheel_runtime.store.aws.signature import Credentials, encode_path, encode_query, sign
from flywheel_runtime.transport import http

MAX_CONNECTIONS = 8
MAX_ERROR_BYTES = 1 << 16
TRANSIENT_CODES = frozenset(
    {
        "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "RequestTimeoutException", "Throttling",
        "ThrottlingException", "TooManyRequestsException", "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody",
        "OperationAborted", "ConditionalRequestConflict",
    }
)  # fmt: skip
REFUSED_CODES = frozenset(
    {
        "AccessDenied", "AllAccessDisabled", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "RequestTimeTooSkewed",
        "SignatureDoesNotMatch", "XAdminUserNotFound",  # the last one with 404, by versitygw for an unknown key id
    }
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """One request about a bucket (without a key) or an object. `query` and `headers` are in the order in which they are sent."""

    method: str
    key: str = ""
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


class Client:
    """Sends requests for one access. Thread-safe. A ValueError says that the endpoint is no URL."""

    def __init__(self, access: Access, connect_timeout: float, read_timeout: float) -> None:
        self._access, self._timeouts = access, (connect_timeout, read_timeout)
        connection_pool(access.place, *self._timeouts)

    def send(self, request: Request, *, moved: bool = False) -> urllib3.BaseHTTPResponse:
        """The successful response, with its body still to be read. `moved`: its region is known now. Raises StoreError."""
        response = self._send(request)
        if response.status < 300:
            return response
        found = _error_texts(read(response, MAX_ERROR_BYTES))
        region = response.headers.get("x-amz-bucket-region") or found.get("Region") or self._access.region
        if response.status in (301, 307, 400) and region != self._access.region and not moved:
            self._access = replace(self._access, region=region)
            return self.send(request, moved=True)
        raise error_of(response.status, found)

    def _send(self, request: Request) -> urllib3.BaseHTTPResponse:
        access, credentials = self._access, credentials_of(self._access)
        url = urlsplit(access.place)
        path = url.path.rstrip("/") + encode_path(f"/{access.bucket}" + (f"/{request.key}" if request.key else ""))
        headers = {**request.headers, "Host": url.netloc.rpartition("@")[2]}
        if credentials is not None:
            headers = sign(request.method, path, request.query, headers, request.body, credentials, access.region)
        pool = connection_pool(access.place, *self._timeouts)
        target = f"{path}?{encode_query(request.query)}" if request.query else path
        if pool.proxy is not None and url.scheme == "http":
            target = f"http://{url.netloc}{target}"
        with translate_errors():
            return http.send(pool, request.method, target, headers, request.body)


@cache
def client(access: Access, connect_timeout: float, read_timeout: float) -> Client:
    """The client for this access, made once."""
    return Client(access, connect_timeout, read_timeout)


@cache
def connection_pool(place: str, connect_timeout: float, read_timeout: float) -> urllib3.HTTPConnectionPool:
    """The connections to an endpoint, made when they are needed, through the proxy that the environment names for it."""
    url = urlsplit(place)
    if url.scheme not in ("http", "https") or not url.hostname or url.port == 0:
        raise ValueError(f"{place!r} is no http or https URL")
    timeout = urllib3.Timeout(connect=connect_timeout, read=read_timeout)
    options: dict[str, Any] = {"maxsize": MAX_CONNECTIONS, "timeout": timeout}
    if url.scheme == "https":  # one context for all connections, since it takes 20 ms to read the certificates
        options["ssl_context"] = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
    proxy = _proxy_of(url.scheme, url.hostname)
    manager = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
    return manager.connection_from_url(place)


def _proxy_of(scheme: str, host: str) -> str | None:
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # takes 2 ms

    return None if proxy_bypass(host) else getproxies().get(scheme)


def credentials_of(access: Access) -> Credentials | None:
    """The access's own key, none if it is anonymous, else what the pod's environment gives. Raises StoreError."""
    if access.key_id and access.secret:
        return Credentials(access.key_id, access.secret, access.token)
    if access.key_id or access.secret:
        raise AccessDenied("NoCredentials", "the credentials are incomplete")
    return None if access.anonymous else find_credentials(access.region)


def read(response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
    """The body up to `limit` bytes. Raises StoreUnreachable."""
    with translate_errors():
        return http.read(response, limit)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turns a host's silence into a StoreError."""
    try:
        yield
    except HostUnreachable as error:
        raise StoreUnreachable("Unreachable", str(error)) from error


def error_of(status: int, found: Mapping[str, str]) -> StoreError:
    """The error in a response, by the code in its body, else by its status."""
    code, detail = found.get("Code", ""), found.get("Message", responses.get(status, ""))
    kind: type[StoreError] = StoreError
    if code == "NoSuchBucket":
        kind = BucketMissing
    elif code in TRANSIENT_CODES or (status >= 500 and code != "NotImplemented") or status == 429:
        kind = StoreBusy
    elif code in REFUSED_CODES or status in (401, 403):
        kind = AccessDenied
    elif status == 404:
        kind = ObjectMissing
    elif status == 412:
        kind = PreconditionFailed
    elif status == 200:
        kind = StoreBusy  # CompleteMultipartUpload may respond 200 with an error inside
    return kind(code or str(status), detail)


def _error_texts(body: bytes) -> dict[str, str]:
    """What an error says of itself; nothing in a response to HEAD, or of a proxy."""
    try:
        return texts_of(parse_xml(body))
    except StoreError:
        return {}


def parse_xml(body: bytes) -> ElementTree.Element:
    """The document of a response. Raises StoreError."""
    try:
        return ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise StoreError("InvalidResponse", f"its response is no XML document: {error}") from error


def texts_of(document: ElementTree.Element) -> dict[str, str]:
    """The texts of a document's first level, by name."""
    return {child.tag.rpartition("}")[2]: child.text or "" for child in document}
