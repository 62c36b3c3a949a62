"""The log of main: read through the API server, with the values of its Secrets masked, and compressed."""

import base64
import gzip
import json
import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import urllib3

from flywheel_runtime.contract.errors import HostUnreachable, LogUnavailable
from flywheel_runtime.contract.time_limit import run_within
from flywheel_runtime.store.credentials import read_store_secret
from flywheel_runtime.transport import http

ACCOUNT_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # has token and ca.crt, in collect alone
MAX_LOG_BYTES = 10 << 20
MASK_MARGIN_BYTES = 64 << 10  # read beyond the limit, so that a value that the limit cuts is masked before it is cut
MAX_ERROR_BYTES = 4096
CONNECT_SECONDS = 1.0
TOTAL_SECONDS = 3.0  # for everything, however slow the API server is
RETRY_SECONDS = 0.2
MAX_MASKED_TEXTS = 4096
FEW_MASKED_TEXTS = 64  # so many are searched for one after the other
PREFIX_BYTES, HASH_BITS, HASH_FACTOR = 8, 20, 0x9E3779B97F4A7C15  # of the search for many
MIN_MASKED_BYTES = 4  # a shorter value would be masked in unrelated text, and hides nothing
MASK = b"***"
STORE_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@dataclass(frozen=True)
class LogSource:
    """Where the API server is, which pod this is, and the folder with its token. `url` has no path."""

    url: str
    namespace: str
    pod: str
    account: Path = ACCOUNT_FOLDER

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "LogSource":
        """From the variables that the kubelet and the operator set. Raises LogUnavailable."""
        host, port = env.get("KUBERNETES_SERVICE_HOST"), env.get("KUBERNETES_SERVICE_PORT")
        url = env.get("FLYWHEEL_API_SERVER") or (host and f"https://{f'[{host}]' if ':' in host else host}:{port}")
        if not url or not env.get("FLYWHEEL_POD"):
            raise LogUnavailable("the pod does not know the address of the API server or its own name")
        account = Path(env.get("FLYWHEEL_API_CREDENTIALS") or ACCOUNT_FOLDER)
        return cls(url, env["FLYWHEEL_NAMESPACE"], env["FLYWHEEL_POD"], account)

    @property
    def path(self) -> str:
        """The request's target: the log of main, which is this container's only right."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.pod}/log?container=main"


def store_log(file: Path, env: Mapping[str, str], masked_variables: Iterable[str]) -> None:
    """Write the last 10 MiB of main's log to a gzip file. It takes at most 3 s.

    Raises:
        LogUnavailable: the API server cannot be reached, or refuses, or a Secret cannot be masked; the message says why.
    """
    values = _masked_values(env, masked_variables)
    try:
        text, missing = run_within(TOTAL_SECONDS, lambda: _read_masked(LogSource.from_env(env), values))
    except TimeoutError:
        raise LogUnavailable(
            f"it took longer than {TOTAL_SECONDS:g} s to read the log and to mask its Secrets"
        ) from None
    text, cut = last_lines(text, MAX_LOG_BYTES)
    file.write_bytes(gzip.compress(_heading(missing + cut) + text, 1, mtime=0))


def _masked_values(env: Mapping[str, str], variables: Iterable[str]) -> list[str]:
    """The values to mask. A Secret that was created after collect had started is unknown here, while main has it."""
    names = list(variables)
    if unknown := [name for name in names if name not in env]:
        raise LogUnavailable(
            f"{len(unknown)} of {len(names)} values of Secrets that main has could not be masked, "
            "since their Secrets were created after this pod; the next one has them"
        )
    return [env[name] for name in names] + _store_values(env)


def _read_masked(source: LogSource, values: Iterable[str]) -> tuple[bytes, int]:
    """The end of the log with `***` for the values, and how many bytes before it are missing."""
    deadline = time.monotonic() + TOTAL_SECONDS
    masked = masked_texts(values)
    text, missing = read_log(source)
    return mask_text(text, masked, deadline), missing


def read_log(source: LogSource) -> tuple[bytes, int]:
    """The end of the log, and how many bytes before it are missing. Raises LogUnavailable."""
    try:
        token = (source.account / "token").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        raise LogUnavailable(f"there is no token in {source.account}") from None
    pool = _connection_pool(source)
    deadline = time.monotonic() + TOTAL_SECONDS - RETRY_SECONDS
    while True:
        try:
            response = http.send(pool, "GET", source.path, {"Authorization": f"Bearer {token}"})
            if response.status == 200:
                return _read_end(response)
            problem = _problem(response)
        except HostUnreachable as error:
            raise LogUnavailable(f"the API server at {source.url} did not respond ({error})") from error
        # The API server may not know yet that a short main has started.
        if response.status != 400 or time.monotonic() + RETRY_SECONDS > deadline:
            raise LogUnavailable(problem)
        time.sleep(RETRY_SECONDS)


def masked_texts(values: Iterable[str]) -> list[bytes]:
    """What to replace for these values, longest first: each as it is, its lines, and its usual encodings.

    Raises:
        LogUnavailable: there are too many to search for.
    """
    found: set[bytes] = set()
    for value in values:
        for text in (value, *value.splitlines()):
            raw = text.strip().encode(errors="surrogateescape")
            forms = (raw, base64.b64encode(raw), quote(raw, safe="").encode(), _json_escaped(text.strip()))
            found.update(form for form in forms if len(raw) >= MIN_MASKED_BYTES)
            if len(found) > MAX_MASKED_TEXTS:
                raise LogUnavailable(f"its Secrets have too many lines to mask (more than {MAX_MASKED_TEXTS} texts)")
    return sorted(found, key=lambda text: (-len(text), text))


def mask_text(text: bytes, masked: Sequence[bytes], deadline: float = math.inf) -> bytes:
    """The text with `***` for each of the masked ones. Raises TimeoutError at `deadline`, of the monotonic clock."""
    for value in find_likely(text, masked) if len(masked) > FEW_MASKED_TEXTS else masked:
        if time.monotonic() > deadline:
            raise TimeoutError
        text = text.replace(value, MASK)
    return text


def find_likely(text: bytes, masked: Sequence[bytes]) -> list[bytes]:
    """Those of the masked texts that may occur, in their order: the short ones, and those whose first 8 bytes are in the text.

    It passes over the text once, whatever their number: thousands of lines of a certificate are mostly in no log.
    """
    import numpy  # most steps have few Secrets

    def hashes(words: Any) -> Any:
        return (words * numpy.uint64(HASH_FACTOR)) >> numpy.uint64(64 - HASH_BITS)

    long = [value[:PREFIX_BYTES] for value in masked if len(value) >= PREFIX_BYTES]
    wanted = numpy.unique(numpy.frombuffer(b"".join(long), "<u8"))
    is_wanted = numpy.zeros(1 << HASH_BITS, bool)
    is_wanted[hashes(wanted)] = True
    found: set[bytes] = set()
    for offset in range(min(PREFIX_BYTES, len(text))):
        words = numpy.frombuffer(text, "<u8", (len(text) - offset) // PREFIX_BYTES, offset)
        found.update(word.tobytes() for word in numpy.intersect1d(words[is_wanted[hashes(words)]], wanted))
    return [value for value in masked if len(value) < PREFIX_BYTES or value[:PREFIX_BYTES] in found]


def last_lines(text: bytes, limit: int) -> tuple[bytes, int]:
    """The whole lines of the last `limit` bytes, or the bytes of a longer line; and how many bytes are left out."""
    if len(text) <= limit:
        return text, 0
    end = text[-limit:]
    line_end = end.find(b"\n") + 1 if text[-limit - 1 : -limit] != b"\n" else 0
    end = end[line_end:] or end
    return end, len(text) - len(end)


def _read_end(response: urllib3.BaseHTTPResponse) -> tuple[bytes, int]:
    limit, text, missing = MAX_LOG_BYTES + MASK_MARGIN_BYTES, bytearray(), 0
    for chunk in http.read_chunks(response):
        text += chunk
        if len(text) > 2 * limit:
            missing += len(text) - limit
            del text[:-limit]
    missing += max(0, len(text) - limit)
    return bytes(text[-limit:]), missing


def _connection_pool(source: LogSource) -> urllib3.HTTPConnectionPool:
    url = urllib3.util.parse_url(source.url)
    host, timeout = (url.host or "").strip("[]"), urllib3.Timeout(connect=CONNECT_SECONDS, read=TOTAL_SECONDS)
    if url.scheme == "http":  # of tests
        return urllib3.HTTPConnectionPool(host, url.port, timeout=timeout)
    authority = source.account / "ca.crt"
    if not authority.exists():
        raise LogUnavailable(f"there is no ca.crt in {source.account}")
    return urllib3.HTTPSConnectionPool(
        host, url.port, timeout=timeout, cert_reqs="CERT_REQUIRED", ca_certs=os.fspath(authority)
    )


def _problem(response: urllib3.BaseHTTPResponse) -> str:
    try:
        message = str(json.loads(http.read(response, MAX_ERROR_BYTES))["message"])
    except (ValueError, KeyError, TypeError):
        message = response.reason or ""
    if response.status == 403:
        cure = "bind ClusterRole flywheel-runner-logs to ServiceAccount flywheel-runner, as the chart does in its namespaces"
        return f"the pod may not read its log; {cure} ({message})"
    return f"the API server responded {response.status} ({message})"


def _heading(missing: int) -> bytes:
    return f"[flywheel: the first {missing} bytes of this log are missing]\n".encode() if missing else b""


def _store_values(env: Mapping[str, str]) -> list[str]:
    """The secrets that collect has itself. Main does not have them; were they printed by any accident, they are masked."""
    found = read_store_secret(env)
    return [found[name] for name in STORE_SECRETS if name in found]


def _json_escaped(text: str) -> bytes:
    return json.dumps(text)[1:-1].encode()
