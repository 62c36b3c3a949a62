"""The S3 client: its requests are those of botocore, byte for byte where they are signed, and its errors have types."""

import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as BotocoreCredentials

from flywheel_runtime.contract.errors import AccessDenied, ObjectMissing, StoreBusy, StoreError, StoreUnreachable
from flywheel_runtime.store.access import Access
from flywheel_runtime.store.aws.endpoint import aws_endpoint
from flywheel_runtime.store.aws.signature import Credentials, encode_path, encode_query, sign
from flywheel_runtime.store.s3 import Bucket
from flywheel_runtime.store.s3_client import client
from tests.runtime.store.recording_server import Recorded, Response, recording

ODD_KEY = "a b/../é+~%/=&;*'()!@:,$//x"
ACCESS = Access("data", "https://store.example.com", "eu-west-1", "key", "secret", None)
STAMP, SECONDS = "20150830T123600Z", 1440938160.0
UPLOAD = b"<InitiateMultipartUploadResult><UploadId>u+/=</UploadId></InitiateMultipartUploadResult>"
PAGE = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
COMPLETED = b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"


@cache
def loader() -> Any:
    """botocore's descriptions of AWS, which take half a second to parse."""
    return botocore.session.Session().get_component("data_loader")


def botocore_client(access: Access) -> Any:
    session = botocore.session.Session()
    session.register_component("data_loader", loader())
    config = Config(  # one of its own, since botocore writes the environment's settings into it
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"total_max_attempts": 1},
    )
    return session.create_client(
        "s3",
        access.region,
        endpoint_url=access.endpoint,
        aws_access_key_id=access.key_id,
        aws_secret_access_key=access.secret,
        config=config,
    )


@pytest.mark.parametrize("token", [None, "a/token+="])
@pytest.mark.parametrize(
    ("method", "key", "query", "headers", "body"),
    [
        pytest.param("GET", ODD_KEY, (), {"Range": "bytes=3-", "If-Match": '"e"'}, None, id="a part of an object"),
        pytest.param("GET", "", (("prefix", "a b/é+"), ("list-type", "2")), {}, None, id="a list"),
        pytest.param("PUT", "k", (("uploadId", "u+/= ~"), ("partNumber", "3")), {}, b"abc", id="a part of an upload"),
        pytest.param("POST", "k", (("uploads", ""),), {"X-Odd": "  a  b "}, b"", id="a parameter without a value"),
    ],
)
def test_a_signature_is_that_of_botocore(
    method: str,
    key: str,
    query: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
    body: bytes | None,
    token: str | None,
) -> None:
    path = encode_path(f"/data/{key}")
    signed = sign(
        method,
        path,
        query,
        {**headers, "Host": "store.example.com"},
        body,
        Credentials("key", "secret", token),
        "eu-west-1",
        SECONDS,
    )

    theirs = S3SigV4Auth(BotocoreCredentials("key", "secret", token), "s3", "eu-west-1")
    unsigned = {name: value for name, value in signed.items() if name != "Authorization"}
    url = f"https://store.example.com{path}?{encode_query(query)}"
    request = AWSRequest(method, url, headers=unsigned, data=body)
    request.context["timestamp"] = STAMP
    text = theirs.string_to_sign(request, theirs.canonical_request(request))
    assert signed["Authorization"].endswith(f"Signature={theirs.signature(text, request)}")


def of_interest(recorded: Recorded) -> dict[str, Any]:
    """A request without what differs with time and client."""
    path, _, query = recorded.target.partition("?")
    query_parts = sorted(part.removesuffix("=") for part in query.split("&"))
    names = ("Range", "If-Match", "If-None-Match", "X-Amz-Content-SHA256", "Host")
    headers = {name: recorded.headers.get(name) for name in names}
    return {"method": recorded.method, "path": path, "query": query_parts, "body": recorded.body, **headers}


@pytest.mark.parametrize(
    ("ours", "operation", "arguments", "response"),
    [
        (lambda b: list(b.stream(ODD_KEY)), "get_object", {"Key": ODD_KEY}, Response()),
        (
            lambda b: list(b.stream("k", start=3, stop=9, etag='"e"')),
            "get_object",
            {"Key": "k", "Range": "bytes=3-8", "IfMatch": '"e"'},
            Response(206, headers={"Content-Range": "bytes 3-8/20"}),
        ),
        (lambda b: b.head("k"), "head_object", {"Key": "k"}, Response(headers={"ETag": '"e"'})),
        (lambda b: b.delete("k"), "delete_object", {"Key": "k"}, Response(204)),
        (lambda b: b.put("k", b"abc"), "put_object", {"Key": "k", "Body": b"abc"}, Response()),
        (
            lambda b: b.put("k", b"", only_new=True),
            "put_object",
            {"Key": "k", "Body": b"", "IfNoneMatch": "*"},
            Response(),
        ),
        (lambda b: b.create_multipart("k"), "create_multipart_upload", {"Key": "k"}, Response(body=UPLOAD)),
        (
            lambda b: b.upload_part("k", "u+/=", 3, b"abc"),
            "upload_part",
            {"Key": "k", "UploadId": "u+/=", "PartNumber": 3, "Body": b"abc"},
            Response(headers={"ETag": '"e"'}),
        ),
        (
            lambda b: b.complete_multipart("k", "u", ['"a&b"', '"c"']),
            "complete_multipart_upload",
            {
                "Key": "k",
                "UploadId": "u",
                "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": '"a&b"'}, {"PartNumber": 2, "ETag": '"c"'}]},
            },
            Response(body=COMPLETED),
        ),
        (lambda b: b.abort_multipart("k", "u"), "abort_multipart_upload", {"Key": "k", "UploadId": "u"}, Response(204)),
        (lambda b: list(b.list("a b/é")), "list_objects_v2", {"Prefix": "a b/é"}, Response(body=PAGE)),
    ],
)
def test_a_request_is_the_one_that_botocore_sends(
    ours: Callable[[Bucket], object], operation: str, arguments: dict[str, Any], response: Response
) -> None:
    with recording(response) as recorder:
        access = replace(ACCESS, endpoint=f"{recorder.endpoint}/below")
        ours(Bucket(access))
        getattr(botocore_client(access), operation)(Bucket=access.bucket, **arguments)

    mine, theirs = map(of_interest, recorder.requests)
    assert mine == theirs


@pytest.mark.parametrize("variable", [None, "AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT"])
@pytest.mark.parametrize(
    "region",
    ["eu-west-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "us-isob-east-1", "eusc-de-east-1", "elsewhere"],
)
def test_an_endpoint_of_aws_is_the_one_that_botocore_uses(
    region: str, variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv(variable, "true")
    with suppress(botocore.exceptions.BotoCoreError):  # not every partition has such endpoints
        whole = botocore_client(replace(ACCESS, endpoint=None, region=region))
        url = urlsplit(whole.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "key"}))

        assert aws_endpoint(region) == f"{url.scheme}://{url.netloc}"


def test_an_access_has_one_client() -> None:
    assert client(ACCESS, 1, 1) is client(replace(ACCESS), 1, 1)


def test_requests_share_a_connection() -> None:
    error = Response(404, b"<Error><Code>NoSuchKey</Code></Error>")
    with recording(Response(), Response(headers={"ETag": "e"}), Response(body=b"found"), error) as recorder:
        bucket = Bucket(replace(ACCESS, endpoint=recorder.endpoint))
        bucket.put("k", b"content")
        bucket.head("k")
        bucket.get("k", limit=9)
        for _ in range(2):
            with pytest.raises(ObjectMissing):
                bucket.get("k", limit=9)

    assert (len(recorder.requests), recorder.connections) == (5, 1)


@pytest.mark.parametrize(
    "endpoint", ["store.example.com:9000", "ftp://store.example.com", "http://", "http://store:port"]
)
def test_an_endpoint_that_is_no_url_is_refused_at_once(endpoint: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Bucket(replace(ACCESS, endpoint=endpoint))


@pytest.mark.parametrize(
    "refusal",
    [
        Response(301, headers={"x-amz-bucket-region": "eu-central-1"}),
        Response(400, b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-central-1</Region></Error>"),
    ],
)
def test_a_bucket_of_another_region_is_found(refusal: Response) -> None:
    with recording(refusal, Response(body=b"found")) as recorder:
        bucket = Bucket(replace(ACCESS, endpoint=recorder.endpoint))

        assert bucket.get("k", limit=9) == b"found"

    assert "/eu-central-1/s3/" in recorder.requests[1].headers["Authorization"]


def test_a_store_that_names_region_after_region_is_an_error() -> None:
    regions = [Response(400, headers={"x-amz-bucket-region": region}) for region in ("a", "b", "c")]
    with recording(*regions) as recorder, pytest.raises(StoreError, match="400: Bad Request"):
        Bucket(replace(ACCESS, endpoint=recorder.endpoint)).get("k", limit=9)

    assert len(recorder.requests) == 2


def test_an_error_inside_a_successful_response_is_worth_another_try() -> None:
    body = b"<Error><Code>InternalError</Code><Message>Try again.</Message></Error>"
    with recording(Response(200, body)) as recorder, pytest.raises(StoreBusy, match=r"InternalError: Try again\."):
        Bucket(replace(ACCESS, endpoint=recorder.endpoint)).complete_multipart("k", "u", ["e"])


def test_a_page_that_is_no_list_is_an_error() -> None:
    with recording(Response(body=b"<!doctype html>")) as recorder, pytest.raises(StoreError, match="no XML document"):
        list(Bucket(replace(ACCESS, endpoint=recorder.endpoint)).list(""))


def test_a_body_that_ends_early_is_a_lost_connection() -> None:
    response = Response(body=b"half", headers={"Content-Length": "8", "Connection": "close"})
    with recording(response) as recorder, pytest.raises(StoreUnreachable):
        Bucket(replace(ACCESS, endpoint=recorder.endpoint)).get("k", limit=9)


def test_a_refusal_before_the_end_of_the_body_is_read() -> None:
    error = b"<Error><Code>AccessDenied</Code></Error>"
    refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(error), error)

    def refuse(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(refusal)
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=refuse, args=(listener,), daemon=True).start()
        bucket = Bucket(replace(ACCESS, endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}"))

        with pytest.raises(AccessDenied):
            bucket.put("k", bytes(8 << 20))


def test_half_a_key_is_refused_without_a_request() -> None:
    with recording() as recorder, pytest.raises(AccessDenied, match="incomplete"):
        Bucket(replace(ACCESS, endpoint=recorder.endpoint, secret=None)).get("k", limit=9)

    assert not recorder.requests


def test_an_anonymous_request_is_not_signed() -> None:
    with recording() as recorder:
        Bucket(replace(ACCESS, endpoint=recorder.endpoint, key_id=None, secret=None, anonymous=True)).put("k", b"")

    assert recorder.requests[0].headers["Authorization"] is None


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with recording() as recorder:
        monkeypatch.setenv("http_proxy", recorder.endpoint)
        Bucket(replace(ACCESS, endpoint="http://store.example.com:9000")).put("k", b"")

    assert recorder.requests[0].target == "http://store.example.com:9000/data/k"
