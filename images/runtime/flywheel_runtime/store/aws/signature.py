"""Signature Version 4 of AWS, with which a request to S3 proves who sends it."""

import hmac
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote


@dataclass(frozen=True)
class Credentials:
    """A key id, its secret, and the token that temporary ones have."""

    key_id: str
    secret: str
    token: str | None = None


def encode_path(text: str) -> str:
    """A bucket or key as a path names it: every byte but letters, digits and `/-._~` is percent-encoded."""
    return quote(text, safe="/~")


def encode_query(query: Sequence[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in query)


def sign(
    method: str,
    path: str,
    query: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
    body: bytes | None,
    credentials: Credentials,
    region: str,
    seconds: float | None = None,
) -> dict[str, str]:
    """The headers with those that sign the request. `path` is encoded; `headers` has Host; `seconds` is the time, now by default."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
    content = sha256(body or b"").hexdigest()
    signed = {**headers, "X-Amz-Content-SHA256": content, "X-Amz-Date": stamp}
    if credentials.token:
        signed["X-Amz-Security-Token"] = credentials.token
    lines = sorted((name.lower(), " ".join(value.split())) for name, value in signed.items())
    names = ";".join(name for name, _ in lines)
    head = "".join(f"{name}:{value}\n" for name, value in lines)
    request = f"{method}\n{path}\n{encode_query(sorted(query))}\n{head}\n{names}\n{content}"
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = f"Credential={credentials.key_id}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    return {**signed, "Authorization": f"AWS4-HMAC-SHA256 {signature}"}
