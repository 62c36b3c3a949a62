"""The only importer of botocore: one bucket as a small typed surface, with a type for each of its errors.

botocore is what boto3 stands on; used alone, a client is ready about 0.1 s sooner, and two clients start in every pod.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import botocore.exceptions

from flywheel_runtime.contract.errors import (
    AccessDenied,
    BucketMissing,
    ObjectMissing,
    PreconditionFailed,
    StoreBusy,
    StoreError,
    StoreUnreachable,
    connection_problem,
)
from flywheel_runtime.store.access import Access
from flywheel_runtime.store.s3_client import client

T = TypeVar("T")
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

SILENCE = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.IncompleteReadError,
)


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
            response = self._request("head_object", Key=key)
        except (ObjectMissing, AccessDenied):
            response = self._request("get_object", Key=key, Range="bytes=0-0")
            response["Body"].close()
            total = str(response.get("ContentRange") or "").rpartition("/")[2]
            return Listed(key, int(total or response["ContentLength"]), str(response["ETag"]))
        return Listed(key, int(response["ContentLength"]), str(response["ETag"]))

    def exists(self, key: str, size: int) -> bool:
        """Whether an object of this size is there; what may not be asked counts as absent."""
        try:
            return int(self._request("head_object", Key=key)["ContentLength"]) == size
        except (ObjectMissing, AccessDenied):
            return False

    def get(self, key: str, *, limit: int) -> bytes:
        """A small object as a whole; StoreError TooLong if it has more bytes than `limit`."""
        body = b""
        for chunk in self.stream(key):
            body += chunk
            if len(body) > limit:
                raise StoreError("TooLong", f"{key} has more than {limit} bytes")
        return body

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
        self._request("delete_object", Key=key)

    def stream(
        self, key: str, *, start: int = 0, stop: int | None = None, etag: str | None = None, chunk: int = 1 << 20
    ) -> Generator[bytes]:
        """The bytes from `start` on, up to `stop` (or beyond it, from a store without ranges); PreconditionFailed if the
        object is no longer the one with that ETag."""
        last = "" if stop is None else stop - 1
        options = {"Range": f"bytes={start}-{last}"} if start or stop else {}
        if etag:
            options["IfMatch"] = etag
        response = self._request("get_object", Key=key, **options)
        body, left = response["Body"], int(response["ContentLength"])
        # A store without ranges sends the whole again.
        skip = 0 if str(response.get("ContentRange", "")).startswith(f"bytes {start}-") else start
        try:
            while left > 0:
                data: bytes = self._translate(partial(body.read, min(chunk, left)))
                if not data:
                    raise StoreUnreachable("IncompleteBody", f"the response ended {left} bytes early")
                left -= len(data)
                if data[skip:]:
                    yield data[skip:]
                skip = max(0, skip - len(data))
        finally:
            body.close()

    def put(self, key: str, body: bytes, *, only_new: bool = False) -> None:
        """Write an object. With `only_new`, PreconditionFailed if the key exists (If-None-Match: *)."""
        if not only_new:
            self._request("put_object", Key=key, Body=body)
            return
        try:
            self._request("put_object", Key=key, Body=body, IfNoneMatch="*")
        except StoreError as error:
            if error.code != "NotImplemented":
                raise
            # A store without conditional writes: asking first leaves a gap, which equal content makes harmless.
            if self.exists(key, len(body)):
                raise PreconditionFailed("PreconditionFailed", key) from error
            self._request("put_object", Key=key, Body=body)

    def create_multipart(self, key: str) -> str:
        """Begin a multipart upload; its id."""
        return str(self._request("create_multipart_upload", Key=key)["UploadId"])

    def upload_part(self, key: str, upload: str, number: int, body: bytes) -> str:
        """Write part 1…10,000; its ETag."""
        return str(self._request("upload_part", Key=key, UploadId=upload, PartNumber=number, Body=body)["ETag"])

    def complete_multipart(self, key: str, upload: str, etags: list[str]) -> None:
        """Make the object of its parts, in order."""
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        self._request("complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload={"Parts": parts})

    def abort_multipart(self, key: str, upload: str) -> None:
        """Forget a multipart upload."""
        self._request("abort_multipart_upload", Key=key, UploadId=upload)

    def list(self, prefix: str) -> Iterator[Listed]:
        """Every object whose key starts with the prefix, page after page."""
        options: dict[str, str] = {}
        while True:
            page = self._request("list_objects_v2", Prefix=prefix, **options)
            for item in page.get("Contents", []):
                yield Listed(str(item["Key"]), int(item["Size"]), str(item["ETag"]))
            if not page.get("IsTruncated"):
                return
            options = {"ContinuationToken": str(page["NextContinuationToken"])}

    def _request(self, operation: str, **arguments: Any) -> dict[str, Any]:
        access = self.access = self._find_access()

        def call() -> dict[str, Any]:
            caller = getattr(client(access, *self._timeouts), operation)
            response: dict[str, Any] = caller(Bucket=access.bucket, **arguments)
            return response

        return self._translate(call)

    def _translate(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except botocore.exceptions.ClientError as error:
            raise _error_of(error.response) from error
        except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as error:
            raise AccessDenied("NoCredentials", "there are no credentials") from error
        except (*SILENCE, OSError) as error:
            raise StoreUnreachable("Unreachable", connection_problem(error)) from error
        except botocore.exceptions.BotoCoreError as error:
            raise StoreError("Invalid", str(error)) from error


def _error_of(response: dict[str, Any]) -> StoreError:
    code = str(response.get("Error", {}).get("Code", ""))
    detail = str(response.get("Error", {}).get("Message", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
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
        kind = StoreBusy  # CompleteMultipartUpload may response 200 with an error inside
    return kind(code or str(status), detail)
