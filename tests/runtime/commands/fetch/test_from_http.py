"""fetch brings a file from a URL, from hosts and addresses that it may, and no others."""

import gzip
import hashlib
import ipaddress
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from flywheel_runtime.transport.hosts import is_blocked, resolve_address
from tests.runtime.pods import Pod, golden

pytestmark = pytest.mark.integration  # the other side is a real S3 server


@dataclass
class Web:
    """What a web server on loopback answers: path → (status, headers, body); what it was asked."""

    port: int = 0
    pages: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    cut_first: bool = False  # the first body breaks off in the middle

    def url(self, path: str) -> str:
        return f"http://localhost:{self.port}{path}"


@pytest.fixture
def web() -> Iterator[Web]:
    site = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers["Range"]
            site.asked.append((self.path, wanted))
            status, headers, body = site.pages.get(self.path, (404, {}, b""))
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            self.send_response(206 if start else status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            # The first GET only measures.
            cut = site.cut_first and len(site.asked) == 2
            self.wfile.write(body[start : len(body) // 2] if cut else body[start:])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        site.port = http.server_address[1]
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield site
        http.shutdown()


def at(url: str, content: bytes, *hosts: str) -> dict[str, Any]:
    sha256 = hashlib.sha256(content).hexdigest()
    return {"name": "source", "http": {"url": url, "sha256": sha256, "allowedHosts": hosts or ("localhost",)}}


def test_a_compressed_file_stays_compressed(pod: Pod, web: Web) -> None:
    body = gzip.compress(b"a,b\n1,2\n")
    web.pages["/flights.csv.gz"] = (200, {"Content-Encoding": "gzip"}, body)

    assert pod.fetch(at(web.url("/flights.csv.gz"), body)) == 0
    assert pod.files("source") == {"flights.csv.gz": body}


def test_a_body_that_breaks_off_is_continued(pod: Pod, web: Web) -> None:
    web.cut_first = True
    web.pages["/a.csv"] = (200, {}, b"x" * 10_000)

    assert pod.fetch(at(web.url("/a.csv"), b"x" * 10_000)) == 0
    assert web.asked == [("/a.csv", None), ("/a.csv", None), ("/a.csv", "bytes=5000-")]


def test_a_redirect_to_an_allowed_host_is_followed(pod: Pod, web: Web) -> None:
    web.pages["/old.csv"] = (302, {"Location": "/new.csv"}, b"")
    web.pages["/new.csv"] = (200, {}, b"x")

    assert pod.fetch(at(web.url("/old.csv"), b"x")) == 0
    assert pod.files("source") == {"old.csv": b"x"}


Prepare = Callable[[Web], dict[str, Any]]


def redirect(web: Web) -> dict[str, Any]:
    web.pages["/a.csv"] = (302, {"Location": f"http://127.0.0.1:{web.port}/b.csv"}, b"")
    return at(web.url("/a.csv"), b"x")


def other_bytes(web: Web) -> dict[str, Any]:
    web.pages["/a.csv"] = (200, {}, b"y")
    return at(web.url("/a.csv"), b"x")


def no_bytes(web: Web) -> dict[str, Any]:
    web.pages["/a.csv"] = (200, {}, b"")
    return at(web.url("/a.csv"), b"")


def loop(web: Web) -> dict[str, Any]:
    web.pages["/a.csv"] = (302, {"Location": "/a.csv"}, b"")
    return at(web.url("/a.csv"), b"x")


def broken(web: Web) -> dict[str, Any]:
    web.pages["/a.csv"] = (500, {}, b"")
    return at(web.url("/a.csv"), b"x")


@pytest.mark.parametrize(
    ("prepare", "code", "reason"),
    [
        pytest.param(lambda web: at(web.url("/none.csv"), b"x"), 2, "SourceMissing", id="404"),
        pytest.param(redirect, 2, "HostNotAllowed", id="a redirect to a host that is not allowed"),
        pytest.param(loop, 2, "SourceInvalid", id="a redirect to itself"),
        pytest.param(other_bytes, 2, "DigestMismatch", id="other bytes than the sha256 says"),
        pytest.param(no_bytes, 2, "EmptySource", id="an empty file"),
        pytest.param(broken, 1, "SourceUnreachable", id="a server in trouble"),
        pytest.param(lambda _: at("http://localhost:9/a.csv", b"x"), 1, "SourceUnreachable", id="nobody listens"),
        pytest.param(lambda _: at("ftp://localhost/a.csv", b"x"), 2, "SourceInvalid", id="another scheme"),
        pytest.param(
            lambda _: at("http://169.254.169.254/latest/meta-data", b"x", "169.254.169.254"),
            2,
            "HostNotAllowed",
            id="a cloud's credentials, even if listed",
        ),
    ],
)
def test_what_a_url_does_not_give(prepare: Prepare, code: int, reason: str, pod: Pod, web: Web) -> None:
    assert pod.fetch(prepare(web)) == code
    assert pod.message["reason"] == reason
    assert pod.message["retry"] is (code == 1)


def test_a_host_that_is_not_allowed(pod: Pod) -> None:
    assert pod.fetch(at("https://example.org/a.csv", b"x", "data.example.com")) == 2
    assert pod.message == golden("fetch_host_not_allowed")["message"]


def test_a_url_over_the_limit_is_not_brought(pod: Pod, web: Web) -> None:
    web.pages["/a.csv"] = (200, {}, b"x" * 10_000)

    assert pod.fetch(at(web.url("/a.csv"), b"x" * 10_000), limit=9_999) == 2
    assert pod.message["reason"] == "TooLarge"
    assert len(web.asked) == 1


def test_a_wildcard_does_not_open_the_clusters_own_network() -> None:
    with pytest.raises(Exception, match=r"'localhost' has the address .*; add its whole name"):
        resolve_address("localhost", 80, ["*.host", "*"])

    assert resolve_address("127.0.0.1", 80, ["127.0.0.1"]) == "127.0.0.1"


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "fd00:ec2::254", "0.0.0.0", "224.0.0.1"])
def test_addresses_that_no_list_opens(address: str) -> None:
    assert is_blocked(ipaddress.ip_address(address))
