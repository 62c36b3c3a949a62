"""One bucket of an S3-compatible store as a small typed surface."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote_plus
from xml.etree import ElementTree

import urllib3

from flywheel_runtime.contract.errors import (
    AccessDenied,
    ObjectMissing,
    PreconditionFailed,
    StoreError,
)
from flywheel_runtime.store.access import Access
from flywheel_runtime.store.s3_client import Request, client, error_of, parse_xml, read, texts_of, translate_errors
from flywheel_runtime.transport import http

CHUNK_BYTES = 1 << 20
XML_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MAX_PAGE_BYTES = 16 << 20  # of a list: at most 1,000 objects


@dataclass(frozen=True)
class Listed:
    """One object: key, size in bytes, and the ETag that tells its versions apart."""

    key: str
    size: int
    etag: str


class Bucket:
    """One bucket. Every method asks once and raises StoreError; `Transient` ones are worth another try. Thread-safe.

    `access` may be a function, which is called before each request, so that rotated credentials count from the next one on.
    """

    def __init__(
        self, access: Access | Callable[[], Access], *, connect_timeout: float = 5, read_timeout: float = 30
    ) -> None:
        self._find_access = access if callable(access) else lambda: access
        self._timeouts = connect_timeout, read_timeout
        self.access = self._find_access()  # as the last request used it
        client(self.access, *self._timeouts)  # a ValueError of a bad endpoint comes here, not with the first request

    def head(self, key: str) -> Listed:
        """Size and ETag. HEAD has no body to explain an error, so a failed one is asked again as a GET of one byte."""
        try:
            headers = self._send("HEAD", key)
        except (ObjectMissing, AccessDenied):
            with closing(self._request("GET", key, headers={"Range": "bytes=0-0"})) as response:
                headers = response.headers
        size = headers.get("Content-Range", "").rpartition("/")[2] or headers["Content-Length"]
        return Listed(key, int(size), headers["ETag"])

    def exists(self, key: str, size: int) -> bool:
        """Whether an object of this size is there; what may not be asked counts as absent."""
        try:
            return int(self._send("HEAD", key)["Content-Length"]) == size
        except (ObjectMissing, AccessDenied):
            return False

    def has(self, key: str) -> bool:
        """Whether an object is there; what may not be asked counts as absent."""
        try:
            self._send("HEAD", key)
        except (ObjectMissing, AccessDenied):
            return False
        return True

    def get(self, key: str, *, limit: int) -> bytes:
        """A small object as a whole; StoreError TooLong if it has more bytes than `limit`."""
        body = b""
        for chunk in self.stream(key):
            body += chunk
            if len(body) > limit:
                raise StoreError("TooLong", f"{key} has more than {limit} bytes")
        return body

    def get_with_time(self, key: str, *, limit: int) -> tuple[bytes, datetime | None]:
        """A small object as a whole, and when the store wrote it, in whole seconds; None if the store does not say."""
        response = self._request("GET", key)
        body = read(response, limit + 1)
        if len(body) > limit:
            raise StoreError("TooLong", f"{key} has more than {limit} bytes")
        try:
            return body, parsedate_to_datetime(response.headers["Last-Modified"])
        except (KeyError, ValueError):
            return body, None

    def read_range(self, key: str, start: int, stop: int, etag: str) -> bytes:
        """The bytes from `start` up to `stop`; PreconditionFailed if the object is no longer the one with that ETag."""
        body = bytearray()
        with closing(self.stream(key, start=start, stop=stop, etag=etag)) as chunks:
            for chunk in chunks:
                body += chunk
                if len(body) >= stop - start:
                    break
        return bytes(body[: stop - start])

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is as good as removed."""
        self._send("DELETE", key)

    def stream(
        self, key: str, *, start: int = 0, stop: int | None = None, etag: str | None = None, chunk: int = 1 << 20
    ) -> Generator[bytes]:
        """The bytes from `start` on, up to `stop` (or beyond it, from a store without ranges); PreconditionFailed if the
        object is no longer the one with that ETag."""
        last = "" if stop is None else stop - 1
        headers = {"Range": f"bytes={start}-{last}"} if start or stop else {}
        if etag:
            headers["If-Match"] = etag
        response = self._request("GET", key, headers=headers)
        # A store without ranges sends the whole again.
        skip = 0 if response.headers.get("Content-Range", "").startswith(f"bytes {start}-") else start
        with translate_errors(), closing(response):
            for data in http.read_chunks(response, chunk):
                if data[skip:]:
                    yield data[skip:]
                skip = max(0, skip - len(data))

    def put(self, key: str, body: bytes, *, only_new: bool = False) -> None:
        """Write an object. With `only_new`, PreconditionFailed if the key exists (If-None-Match: *)."""
        if not only_new:
            self._send("PUT", key, body=body)
            return
        try:
            self._send("PUT", key, headers={"If-None-Match": "*"}, body=body)
        except StoreError as error:
            if error.code != "NotImplemented":
                raise
            # A store without conditional writes: asking first leaves a gap, which equal content makes harmless.
            if self.has(key):
                raise PreconditionFailed("PreconditionFailed", key) from error
            self._send("PUT", key, body=body)

    def create_multipart(self, key: str) -> str:
        """Begin a multipart upload; its id."""
        return texts_of(parse_xml(self._read("POST", key, query=[("uploads", "")])))["UploadId"]

    def upload_part(self, key: str, upload: str, number: int, body: bytes) -> str:
        """Write part 1…10,000; its ETag."""
        return self._send("PUT", key, query=[("partNumber", str(number)), ("uploadId", upload)], body=body)["ETag"]

    def complete_multipart(self, key: str, upload: str, etags: list[str]) -> None:
        """Make the object of its parts, in order."""
        document = ElementTree.Element("CompleteMultipartUpload", xmlns=XML_NAMESPACE)
        for number, etag in enumerate(etags, 1):
            part = ElementTree.SubElement(document, "Part")
            ElementTree.SubElement(part, "PartNumber").text = str(number)
            ElementTree.SubElement(part, "ETag").text = etag
        found = texts_of(
            parse_xml(self._read("POST", key, query=[("uploadId", upload)], body=ElementTree.tostring(document)))
        )
        if "Code" in found:  # the store responds 200 before it begins
            raise error_of(200, found)

    def abort_multipart(self, key: str, upload: str) -> None:
        """Forget a multipart upload."""
        self._send("DELETE", key, query=[("uploadId", upload)])

    def list(self, prefix: str) -> Iterator[Listed]:
        """Every object whose key starts with the prefix, page after page."""
        query = [("list-type", "2"), ("prefix", prefix), ("encoding-type", "url")]
        more = list[tuple[str, str]]()
        while True:
            page = parse_xml(self._read("GET", query=query + more))
            space = page.tag.removesuffix("ListBucketResult")
            decode = unquote_plus if page.findtext(f"{space}EncodingType") == "url" else str
            for item in page.iter(f"{space}Contents"):
                key, size, etag = (item.findtext(f"{space}{name}", "") for name in ("Key", "Size", "ETag"))
                yield Listed(decode(key), int(size), etag)
            if page.findtext(f"{space}IsTruncated") != "true":
                return
            more = [("continuation-token", page.findtext(f"{space}NextContinuationToken", ""))]

    def _send(self, method: str, key: str, **parts: Any) -> Mapping[str, str]:
        """The headers of a response without a body that counts."""
        response = self._request(method, key, **parts)
        read(response, MAX_PAGE_BYTES)
        return response.headers

    def _read(self, method: str, key: str = "", **parts: Any) -> bytes:
        return read(self._request(method, key, **parts), MAX_PAGE_BYTES)

    def _request(self, method: str, key: str = "", **parts: Any) -> urllib3.BaseHTTPResponse:
        self.access = self._find_access()
        return client(self.access, *self._timeouts).send(Request(method, key, **parts))
