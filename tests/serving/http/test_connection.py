"""HTTP/1.1 over raw sockets: requests of clients, proxies and attackers."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path

import pytest

from e2e.waiting import wait_until
from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration  # each starts a model server in its own process

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n"
BODY = json.dumps({"inputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [3]}]}).encode()
INFER = b"POST /v2/models/counting/infer HTTP/1.1\r\nHost: a\r\n"
POST = INFER + b"Content-Length: %d\r\n\r\n" % len(BODY)
SMALL_LIMITS = ("--max-body-bytes", "65536", "--request-seconds", "1", "--idle-seconds", "1", "--max-connections", "8")


@pytest.fixture(scope="module")
def server(counting: Path) -> Iterator[LocalServer]:
    with LocalServer(counting, "--name", "counting", *SMALL_LIMITS) as started:
        yield started


@contextmanager
def connected(server: LocalServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.ready["http"]), timeout=20) as connection:
        yield connection


def receive(connection: socket.socket, method: str = "GET") -> tuple[int, bytes, HTTPResponse]:
    """One response. Received bytes of the next one are lost, so pipelines are read with `responses`."""
    response = HTTPResponse(connection, method=method)
    response.begin()
    return response.status, response.read(), response


def responses(connection: socket.socket) -> list[tuple[int, bytes]]:
    """All responses until the server closes, as (status, body)."""
    data = b""
    while chunk := connection.recv(65_536):
        data += chunk
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        lengths = [int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length")]
        length = lengths[0] if lengths else 0
        found.append((int(lines[0].split()[1]), rest[:length]))
        data = rest[length:]
    return found


def exchange(server: LocalServer, data: bytes) -> list[tuple[int, bytes]]:
    """Sends `data`, closes the sending half, and returns all responses."""
    with connected(server) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return responses(connection)


def test_a_connection_is_kept_alive(server: LocalServer) -> None:
    with connected(server) as connection:
        for _ in range(3):
            connection.sendall(LIVE)
            assert receive(connection)[0] == 200


def test_pipelined_requests_are_answered_in_order(server: LocalServer) -> None:
    slow = json.dumps({"inputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [100_000]}]}).encode()
    first = INFER + b"Content-Length: %d\r\n\r\n" % len(slow) + slow

    found = exchange(server, first + LIVE + POST + BODY + b"GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n")

    assert [status for status, _ in found] == [200] * 4
    assert [json.loads(body).get("outputs", [{}])[0].get("data") for _, body in found] == [[100_000], None, [3], None]


def test_a_long_pipeline_loses_nothing(server: LocalServer) -> None:
    assert [status for status, _ in exchange(server, LIVE * 1_000)] == [200] * 1_000


def test_a_request_may_come_byte_by_byte(server: LocalServer) -> None:
    with connected(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in POST + BODY:
            connection.sendall(bytes([byte]))
        assert receive(connection)[0] == 200


@pytest.mark.parametrize("size", [1, 7, 1000], ids=lambda size: f"chunks of {size}")
def test_a_chunked_body_is_joined(server: LocalServer, size: int) -> None:
    chunks = [BODY[start : start + size] for start in range(0, len(BODY), size)]
    encoded = b"".join(b"%x;name=value\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)

    found = exchange(
        server, INFER + b"Transfer-Encoding: chunked\r\n\r\n" + encoded + b"0\r\nTrailer: x\r\n\r\n" + LIVE
    )

    assert [status for status, _ in found] == [200, 200]


def test_a_client_that_expects_100_continue_gets_it(server: LocalServer) -> None:
    with connected(server) as connection:
        connection.sendall(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert receive(connection)[0] == 200


def test_100_continue_waits_for_earlier_responses(server: LocalServer) -> None:
    second = POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")

    with connected(server) as connection:
        connection.sendall(LIVE + second)
        time.sleep(0.2)
        connection.sendall(BODY)
        assert [status for status, _ in responses(connection)] == [200, 100, 200]


def test_a_too_large_body_is_refused_before_it_is_sent(server: LocalServer) -> None:
    with connected(server) as connection:
        connection.sendall(INFER + b"Content-Length: 70000\r\nExpect: 100-continue\r\n\r\n")
        assert receive(connection)[0] == 413


def test_head_has_the_headers_of_get_and_no_body(server: LocalServer) -> None:
    with connected(server) as connection:
        connection.sendall(LIVE.replace(b"GET", b"HEAD"))
        status, body, head = receive(connection, "HEAD")
        connection.sendall(LIVE)
        _, full, get = receive(connection)

    assert (status, body) == (200, b"")
    assert head.getheaders() == get.getheaders()
    assert head.getheader("content-length") == str(len(full))


@pytest.mark.parametrize(
    ("request_line", "headers", "connection_header"),
    [
        pytest.param(b"HTTP/1.1", b"", "keep-alive", id="1.1 stays"),
        pytest.param(b"HTTP/1.1", b"Connection: close\r\n", "close", id="1.1 closes when asked"),
        pytest.param(b"HTTP/1.0", b"", "close", id="1.0 closes"),
        pytest.param(b"HTTP/1.0", b"Connection: keep-alive\r\n", "keep-alive", id="1.0 stays when asked"),
    ],
)
def test_the_connection_closes_or_stays_as_the_client_asks(
    server: LocalServer, request_line: bytes, headers: bytes, connection_header: str
) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET /v2 %b\r\nhOsT: a\r\n%b\r\n" % (request_line, headers))
        status, _, response = receive(connection)
        assert (status, response.getheader("connection")) == (200, connection_header)
        if connection_header == "close":
            assert connection.recv(1) == b""


@pytest.mark.parametrize(
    ("data", "status", "finding"),
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "not valid HTTP/1.1", id="TLS"),
        pytest.param(b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400, "not valid HTTP/1.1", id="HTTP 9.9"),
        pytest.param(b"GET /v2 HTTP/1.1\r\n\r\n", 400, "header 'host' is missing", id="no host"),
        pytest.param(b"GET /v2 HTTP/1.1\r\nHost : a\r\n\r\n", 400, "not valid", id="a space before the colon"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "not valid", id="HTTP/2 without agreement"),
        pytest.param(INFER + b"Content-Length: -1\r\n\r\n", 400, "not valid", id="a negative length"),
        pytest.param(INFER + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd", 400, "not valid", id="two lengths"),
        pytest.param(
            INFER + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "not valid",
            id="length and chunks",
        ),
        pytest.param(INFER + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "not valid", id="a chunk without size"),
        pytest.param(INFER + b"Expect: tea\r\nContent-Length: 1\r\n\r\n", 417, "only 100-continue", id="expects tea"),
        pytest.param(INFER + b"Content-Length: 65537\r\n\r\n", 413, "larger than 65536 bytes", id="too long a body"),
        pytest.param(
            INFER + b"Content-Length: 99999999999999999999999\r\n\r\n", 400, "not valid", id="a length beyond 64 bits"
        ),
        pytest.param(
            INFER + b"Transfer-Encoding: chunked\r\n\r\n" + (b"8000\r\n" + b"a" * 32_768 + b"\r\n") * 3,
            413,
            "larger than 65536 bytes",
            id="too many chunks",
        ),
        pytest.param(
            b"GET /v2 HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 400_000, 431, "headers are longer", id="long header"
        ),
        pytest.param(b"GET /" + b"a" * 400_000, 431, "headers are longer", id="long path"),
        pytest.param(
            b"GET /v2 HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
            431,
            "headers are longer",
            id="long header at once",
        ),
        pytest.param(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431, "longer", id="long path at once"),
        pytest.param(
            INFER + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"a" * 400_000,
            431,
            "are longer",
            id="long chunk extension",
        ),
        pytest.param(
            INFER + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * 400_000, 431, "are longer", id="long trailer"
        ),
    ],
)
def test_bytes_that_are_no_request_are_refused_and_the_connection_closed(
    server: LocalServer, data: bytes, status: int, finding: str
) -> None:
    """Answers the valid request before the invalid bytes, and nothing after them."""
    with connected(server) as connection:
        connection.sendall(LIVE + data)
        found = responses(connection)

    assert [code for code, _ in found] == [200, status]
    assert finding in json.loads(found[1][1])["error"]


def test_an_upgrade_is_ignored(server: LocalServer) -> None:
    found = exchange(server, LIVE.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"))

    assert [status for status, _ in found] == [200]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"", None, id="silent"),
        pytest.param(LIVE[:-4], 408, id="stops in the headers"),
        pytest.param(POST + BODY[:-1], 408, id="stops in the body"),
    ],
)
def test_a_slow_client_gets_408_and_is_closed(server: LocalServer, sent: bytes, status: int | None) -> None:
    with connected(server) as connection:
        connection.sendall(sent)
        found = responses(connection)

    assert [code for code, _ in found] == ([] if status is None else [status])


def test_slow_bytes_do_not_extend_the_deadline(server: LocalServer) -> None:
    with connected(server) as connection:
        connection.sendall(POST)
        connection.settimeout(0.1)
        received = b""
        for _ in range(100):
            try:
                connection.sendall(b" ")
                if received := connection.recv(1_000):
                    break
            except TimeoutError:
                continue
        assert received.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_does_not_read_is_cut(server: LocalServer) -> None:
    with connected(server) as connection, pytest.raises(ConnectionError):
        send_without_reading(connection)


def send_without_reading(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    for _ in range(10_000):
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 100)


def test_too_many_busy_connections_are_answered_503(server: LocalServer) -> None:
    """Of the 8 connections, 6 may be one client's; the next one is accepted after one of them has closed."""
    busy = [socket.create_connection(("127.0.0.1", server.ready["http"])) for _ in range(6)]
    try:
        for connection in busy:
            connection.sendall(POST + BODY[:-1])  # the server waits for the rest of the body
        with connected(server) as extra:
            assert [status for status, _ in responses(extra)] == [503]
        with socket.create_connection(("127.0.0.1", server.ready["http"]), 20, ("127.0.0.2", 0)) as another:
            another.sendall(LIVE)
            assert receive(another)[0] == 200
    finally:
        for connection in busy:
            connection.close()
    assert_answers(server)


def test_slow_bodies_of_two_clients_make_room_for_a_third(server: LocalServer) -> None:
    """They have all 8 connections, and lose one when somebody else comes, with a message."""
    slow = [open_from(server, client) for client in ["127.0.0.2"] * 6 + ["127.0.0.3"] * 2]
    try:
        for connection in slow:
            connection.sendall(POST + BODY[:-1])
        with connected(server) as good:
            good.sendall(POST + BODY)
            assert receive(good)[0] == 200
        found = [each for connection in slow for each in responses(connection)]
        [(_, evicted)] = [each for each in found if each[0] == 429]
        assert "when other clients needed its room" in json.loads(evicted)["error"]
        assert [status for status, _ in found].count(408) == 7
    finally:
        for connection in slow:
            connection.close()
    assert_answers(server)


def test_bytes_of_slow_bodies_make_room_for_another_clients(counting: Path) -> None:
    """All bodies together have 1 MiB, which two clients have nearly filled."""
    body = b" " * (65_536 - len(BODY)) + BODY
    with LocalServer(counting, "--name", "counting", "--max-body-bytes", "65536") as server:
        slow = [open_from(server, client) for client in ["127.0.0.2"] * 12 + ["127.0.0.3"] * 4]
        try:
            for connection in slow:
                connection.sendall(INFER + b"Content-Length: 65536\r\n\r\n" + body[:-1])
            for _ in range(3):
                assert_answers_in_two_parts(server, body)
            slow[-1].sendall(body[-1:])
            assert receive(slow[-1])[0] == 200, "the client with fewer bytes keeps its requests"
        finally:
            for connection in slow:
                connection.close()


def test_a_client_that_holds_three_quarters_of_all_bytes_is_refused_alone(counting: Path) -> None:
    with LocalServer(counting, "--name", "counting", "--max-body-bytes", "65536") as server:
        slow = [open_from(server, "127.0.0.2") for _ in range(12)]
        try:
            for connection in slow:
                connection.sendall(INFER + b"Content-Length: 65536\r\n\r\n" + b" " * 65_535)
            with open_from(server, "127.0.0.2") as another:
                another.sendall(INFER + b"Content-Length: 65536\r\n\r\n" + b" " * 65_535)
                status, body, _ = receive(another)
                assert (status, "too many bytes" in json.loads(body)["error"]) == (503, True)
            assert_answers(server)
        finally:
            for connection in slow:
                connection.close()


MANY_HEADERS = b"".join(b"x%d:\r\n" % number for number in range(250))


@pytest.mark.parametrize("queued", [0, 14], ids=["amid a head", "heads of queued requests"])
def test_heads_that_a_client_holds_are_counted(counting: Path, queued: int) -> None:
    """All requests together have 1 MiB, of which one client may have three quarters."""
    slow = json.dumps({"inputs": [{"name": "n", "datatype": "INT64", "shape": [1], "data": [5_000_000]}]}).encode()
    head = b"GET /v2 HTTP/1.1\r\nHost: a\r\n" + MANY_HEADERS
    first = INFER + b"Content-Length: %d\r\n\r\n" % len(slow) + slow + (head + b"\r\n") * queued if queued else head
    with LocalServer(counting, "--name", "counting", "--max-body-bytes", "65536") as server:
        greedy = [open_from(server, "127.0.0.2") for _ in range(3 if queued else 16)]
        try:
            for connection in greedy:
                connection.sendall(first)
            status, body = responses(greedy[-1])[-1]  # those to the slow request and to the queued ones come before
            assert (status, "too many bytes" in json.loads(body)["error"]) == (503, True)
            assert_answers(server)
        finally:
            for connection in greedy:
                connection.close()


def test_heads_without_an_end_make_room_for_another_clients_bytes(counting: Path) -> None:
    head = b"GET /v2 HTTP/1.1\r\nHost: a\r\n" + MANY_HEADERS
    body = b" " * (65_536 - len(BODY)) + BODY
    with LocalServer(counting, "--name", "counting", "--max-body-bytes", "65536") as server:
        greedy = [open_from(server, f"127.0.0.{client}") for client in (2, 3) for _ in range(10)]
        try:
            for connection in greedy:
                connection.sendall(head)
            for _ in range(3):
                assert_answers_in_two_parts(server, body)
            assert 0 < sum(map(is_cut, greedy)) < len(greedy)
        finally:
            for connection in greedy:
                connection.close()


def test_responses_that_are_not_read_make_room_for_another_clients_bytes(counting: Path) -> None:
    """Many clients' unread responses fill the 12 MiB for requests and responses; the fullest client makes room first."""
    size = 786_432
    body = b" " * (size - len(BODY)) + BODY
    with LocalServer(counting, "--name", "counting", "--max-body-bytes", str(size)) as server:
        unread = [open_without_room(server, f"127.0.0.{client}") for client in range(2, 6) for _ in range(16)]
        try:
            for connection in unread:
                connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 600)
            for _ in range(3):
                assert_answers_in_two_parts(server, body)
            assert 0 < sum(map(is_cut, unread)) < len(unread)
        finally:
            for connection in unread:
                connection.close()
        assert_answers(server)


def is_cut(connection: socket.socket) -> bool:
    """Whether the server has ended the connection, after reading all that came."""
    connection.settimeout(0.5)
    try:
        while connection.recv(65_536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def test_thousands_that_expire_at_once_are_all_closed(counting: Path) -> None:
    flags = ("--name", "counting", "--request-seconds", "1", "--max-connections", "2000")
    with LocalServer(counting, *flags) as server:
        silent = [open_from(server, "127.0.0.2") for _ in range(1_000)]
        assert all(connection.recv(1) == b"" for connection in silent)
        for connection in silent:
            connection.close()


def open_without_room(server: LocalServer, client: str) -> socket.socket:
    """A connection whose client takes hardly more than it reads."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.bind((client, 0))
    made.connect(("127.0.0.1", server.ready["http"]))
    return made


def open_from(server: LocalServer, client: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.ready["http"]), 20, (client, 0))


def test_idle_connections_make_room_for_new_ones(server: LocalServer) -> None:
    """A client's silent connections go first, then those that have waited longest since their last response."""
    with connected(server) as used:
        used.sendall(LIVE)
        assert receive(used)[0] == 200
        silent = [socket.create_connection(("127.0.0.1", server.ready["http"])) for _ in range(20)]
        try:
            used.sendall(LIVE)
            assert receive(used)[0] == 200
        finally:
            for connection in silent:
                connection.close()


def test_garbage_does_not_affect_other_clients(server: LocalServer) -> None:
    with connected(server) as good:
        for seed in range(50):
            noise = bytes((seed * 31 + index * index) % 256 for index in range(500))
            with connected(server) as bad:
                bad.sendall(noise)
        good.sendall(LIVE)
        assert receive(good)[0] == 200


def assert_answers_in_two_parts(server: LocalServer, body: bytes) -> None:
    """Another client sends all of its body but the last byte, and that a moment later."""
    with connected(server) as good:
        good.sendall(INFER + b"Content-Length: %d\r\n\r\n" % len(body) + body[:-1])
        time.sleep(0.1)
        good.sendall(body[-1:])
        assert receive(good)[0] == 200


def assert_answers(server: LocalServer) -> None:
    wait_until(lambda: exchange(server, LIVE)[0][0] == 200, 20)
