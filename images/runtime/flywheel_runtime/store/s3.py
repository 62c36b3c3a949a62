"""The only importer of botocore: one bucket as a small typed surface, with its many errors told apart.

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
    """One bucket. Every method asks once and raises S3Error; `Transient` ones are worth another try. Thread-safe."""

    def __init__(self, access: Access, *, connect_timeout: float = 5, read_timeout: float = 30) -> None:
        self.access = access
        self._client = client(access, connect_timeout, read_timeout)

    def head(self, key: str) -> Listed:
        """Size and ETag. HEAD has no body to explain an error, so a failed one is asked again as a GET of one byte."""
        try:
            answer = self._ask("head_object", Key=key)
        except (ObjectMissing, AccessDenied):
            answer = self._ask("get_object", Key=key, Range="bytes=0-0")
            answer["Body"].close()
            total = str(answer.get("ContentRange") or "").rpartition("/")[2]
            return Listed(key, int(total or answer["ContentLength"]), str(answer["ETag"]))
        return Listed(key, int(answer["ContentLength"]), str(answer["ETag"]))

    def exists(self, key: str, size: int) -> bool:
        """Whether an object of this size is there; what may not be asked counts as absent."""
        try:
            return int(self._ask("head_object", Key=key)["ContentLength"]) == size
        except (ObjectMissing, AccessDenied):
            return False

    def get(self, key: str, *, limit: int) -> bytes:
        """A small object as a whole; S3Error TooLong if it has more bytes than `limit`."""
        body = b""
        for chunk in self.stream(key):
            body += chunk
            if len(body) > limit:
                raise StoreError("TooLong", f"{key} has more than {limit} bytes")
        return body

    def part(self, key: str, start: int, stop: int, etag: str) -> bytes:
        """The bytes from `start` up to `stop`; AlreadyThere if the object is no longer the one with that ETag."""
        body = bytearray()
        with closing(self.stream(key, start=start, stop=stop, etag=etag)) as chunks:
            for chunk in chunks:
                body += chunk
                if len(body) >= stop - start:
                    break
        return bytes(body[: stop - start])

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is as good as removed."""
        self._ask("delete_object", Key=key)

    def stream(
        self, key: str, *, start: int = 0, stop: int | None = None, etag: str | None = None, chunk: int = 1 << 20
    ) -> Generator[bytes]:
        """The bytes from `start` on, up to `stop` (or beyond it, from a store that does not answer parts); AlreadyThere if the
        object is no longer the one with that ETag."""
        last = "" if stop is None else stop - 1
        options = {"Range": f"bytes={start}-{last}"} if start or stop else {}
        if etag:
            options["IfMatch"] = etag
        answer = self._ask("get_object", Key=key, **options)
        body, left = answer["Body"], int(answer["ContentLength"])
        # A store that does not answer parts sends the whole again.
        skip = 0 if str(answer.get("ContentRange", "")).startswith(f"bytes {start}-") else start
        try:
            while left > 0:
                data: bytes = self._translate(partial(body.read, min(chunk, left)))
                if not data:
                    raise StoreUnreachable("IncompleteBody", f"the answer ended {left} bytes early")
                left -= len(data)
                if data[skip:]:
                    yield data[skip:]
                skip = max(0, skip - len(data))
        finally:
            body.close()

    def put(self, key: str, body: bytes, *, only_new: bool = False) -> None:
        """Write an object. With `only_new`, AlreadyThere if the key exists (If-None-Match: *)."""
        if not only_new:
            self._ask("put_object", Key=key, Body=body)
            return
        try:
            self._ask("put_object", Key=key, Body=body, IfNoneMatch="*")
        except StoreError as error:
            if error.code != "NotImplemented":
                raise
            # A store without conditional writes: asking first leaves a gap, which equal content makes harmless.
            if self.exists(key, len(body)):
                raise PreconditionFailed("PreconditionFailed", key) from error
            self._ask("put_object", Key=key, Body=body)

    def start_parts(self, key: str) -> str:
        """Begin a multipart upload; its id."""
        return str(self._ask("create_multipart_upload", Key=key)["UploadId"])

    def put_part(self, key: str, upload: str, number: int, body: bytes) -> str:
        """Write part 1…10,000; its ETag."""
        return str(self._ask("upload_part", Key=key, UploadId=upload, PartNumber=number, Body=body)["ETag"])

    def finish_parts(self, key: str, upload: str, etags: list[str]) -> None:
        """Make the object of its parts, in order."""
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        self._ask("complete_multipart_upload", Key=key, UploadId=upload, MultipartUpload={"Parts": parts})

    def drop_parts(self, key: str, upload: str) -> None:
        """Forget a multipart upload."""
        self._ask("abort_multipart_upload", Key=key, UploadId=upload)

    def list(self, prefix: str) -> Iterator[Listed]:
        """Every object whose key starts with the prefix, page after page."""
        options: dict[str, str] = {}
        while True:
            page = self._ask("list_objects_v2", Prefix=prefix, **options)
            for item in page.get("Contents", []):
                yield Listed(str(item["Key"]), int(item["Size"]), str(item["ETag"]))
            if not page.get("IsTruncated"):
                return
            options = {"ContinuationToken": str(page["NextContinuationToken"])}

    def _ask(self, operation: str, **arguments: Any) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self.access.bucket, **arguments)
            return answer

        return self._translate(ask)

    def _translate(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except botocore.exceptions.ClientError as error:
            raise _answered(error.response) from error
        except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as error:
            raise AccessDenied("NoCredentials", "there are no credentials") from error
        except (*SILENCE, OSError) as error:
            raise StoreUnreachable("Unreachable", connection_problem(error)) from error
        except botocore.exceptions.BotoCoreError as error:
            raise StoreError("Invalid", str(error)) from error


def _answered(response: dict[str, Any]) -> StoreError:
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
        kind = StoreBusy  # CompleteMultipartUpload may answer 200 with an error inside
    return kind(code or str(status), detail)
