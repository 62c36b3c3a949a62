"""Responses do not depend on where the network splits a request."""

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.serving.oracle.cases import BAD, GOOD, OTHER
from tests.serving.oracle.in_memory import exchange_in_memory
from tests.serving.oracle.raw_http import LAST, ParsedResponse, parse_responses

SENT = {name: case.sent for name, case in (GOOD | OTHER).items()} | {name: data + LAST for name, data in BAD.items()}
TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", min_size=1, max_size=12)
CUTS = st.lists(st.integers(0, 2**20), max_size=12)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place % len(data) for place in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


@given(name=st.sampled_from(sorted(SENT)), cuts=CUTS)
@settings(max_examples=examples(300, ci=50), deadline=None)
def test_split_requests_get_the_same_responses(name: str, cuts: list[int]) -> None:
    assert exchange_in_memory(cut(SENT[name], cuts)) == exchange_in_memory([SENT[name]])


@dataclass(frozen=True)
class Sent:
    """A valid request, and its responses."""

    data: bytes
    method: str
    responses: tuple[ParsedResponse, ...]


@st.composite
def good_requests(draw: st.DrawFn) -> Sent:
    method = draw(st.sampled_from(["GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH"]))
    target = "/" + draw(TOKENS) + draw(st.sampled_from(["", "?", "?a=b&c"]))
    body = draw(st.binary(max_size=200))
    names = draw(st.lists(TOKENS.map("X-{}".format), max_size=5))
    space = draw(st.sampled_from(["", " ", "\t"]))
    headers = [f"{name}:{space}{draw(TOKENS)}{space}" for name in ("Host", *names)]
    expects = draw(st.booleans())
    if expects:
        headers.append("Expect: 100-Continue")
    if draw(st.booleans()):
        headers.append(f"{draw(st.sampled_from(['Content-Length', 'content-length']))}: {len(body)}")
        content = body
    else:
        headers.append("Transfer-Encoding: chunked")
        content = chunked(body, draw(CUTS), draw(st.sampled_from(["", ";a", ';a="b c"'])))
    head = "\r\n".join((f"{method} {target} HTTP/1.1", *draw(st.permutations(headers)), "", "")).encode()
    echoed = b"" if method == "HEAD" else b" ".join((method.encode(), target.encode(), body))
    return Sent(head + content, method, (*([ParsedResponse(100)] if expects else []), ParsedResponse(200, echoed)))


def chunked(body: bytes, cuts: list[int], extension: str) -> bytes:
    chunks = cut(body, cuts) if body else []
    encoded = b"".join(b"%X%b\r\n%b\r\n" % (len(chunk), extension.encode(), chunk) for chunk in chunks)
    return encoded + b"0\r\nX-Trailer: a\r\n\r\n"


@given(sent=st.lists(good_requests(), min_size=1, max_size=6), cuts=CUTS)
@settings(max_examples=examples(150, ci=25), deadline=None)
def test_the_application_sees_what_was_sent(sent: list[Sent], cuts: list[int]) -> None:
    data = b"".join(each.data for each in sent)

    written, ended = exchange_in_memory(cut(data, cuts))

    assert parse_responses(written, [each.method for each in sent]) == [
        response for each in sent for response in each.responses
    ]
    assert not ended
