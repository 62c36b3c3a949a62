"""Intended differences from uvicorn with h11, each with its reason. Sections are of RFC 9112."""

from dataclasses import dataclass

from tests.serving.oracle.raw_http import ParsedResponse


@dataclass(frozen=True)
class Difference:
    ours: tuple[ParsedResponse, ...]
    theirs: tuple[ParsedResponse, ...]
    reason: str


LAST = ParsedResponse(200, b"GET /last ")
GOT = ParsedResponse(200, b"GET /a ")
POSTED = ParsedResponse(200, b"POST /a a")
NOT_HTTP = ParsedResponse(400)

DIFFERENCES = {
    "an empty line before": Difference(
        (GOT, LAST), (NOT_HTTP,), "2.2: a server should ignore an empty line before a request; some clients send one"
    ),
    "a length in a trailer": Difference(
        (NOT_HTTP,),
        (ParsedResponse(200, b"POST /a hi"), LAST),
        "6.5.1 of RFC 9110: a trailer must say nothing about framing",
    ),
    "a preface of HTTP/2": Difference(
        (NOT_HTTP,), (ParsedResponse(200, b"PRI * "), NOT_HTTP), "a client that speaks HTTP/2 learns it at once"
    ),
    "no version": Difference(
        (ParsedResponse(505),), (NOT_HTTP,), "2.3: that is HTTP/0.9, and 505 says that it is the version"
    ),
    "HTTP/2.0": Difference(
        (ParsedResponse(505),), (GOT, LAST), "2.3: an answer in HTTP/1.1 is not what this client reads"
    ),
    "a header continued on the next line": Difference(
        (NOT_HTTP,), (GOT, LAST), "5.2: a server may refuse it; proxies do not agree on where such a header ends"
    ),
    "bare line feeds": Difference(
        (NOT_HTTP,), (GOT, LAST), "2.2 allows both; proxies do not agree on where such a request ends"
    ),
    "the same length twice": Difference((NOT_HTTP,), (POSTED, LAST), "6.3 allows both; the strict one is the safe one"),
    "a length and chunks": Difference(
        (NOT_HTTP,),
        (ParsedResponse(200, b"POST /a "), ParsedResponse(200, b"XGET /last ")),
        "6.1: this is how requests are smuggled past a proxy; the answer to the oracle's second request shows it",
    ),
    "a thousand headers": Difference(
        (ParsedResponse(431),), (GOT, LAST), "RFC 6585, 5: heads cost memory before anything is known of a client"
    ),
    "an unknown coding": Difference((ParsedResponse(501),), (NOT_HTTP,), "6.1: the answer is 501"),
    "chunks of HTTP/1.0": Difference(
        (NOT_HTTP,), (POSTED,), "6.1: the framing is faulty, since a proxy of HTTP/1.0 does not read chunks"
    ),
    "an unknown method": Difference(
        (NOT_HTTP,),
        (ParsedResponse(200, b"BREW /a "), LAST),
        "llhttp reads the registered methods only; no route takes another",
    ),
    "a method in lower case": Difference(
        (NOT_HTTP,), (ParsedResponse(200, b"get /a "), LAST), "methods are case-sensitive, so this is an unknown one"
    ),
    "a whole URL": Difference(
        (ParsedResponse(200, b"GET /a?c "), LAST),
        (ParsedResponse(200, b"GET http://b/a?c "), LAST),
        "3.2.2: a server must take the absolute form, so its path and query count",
    ),
    "a whole URL without a path": Difference(
        (ParsedResponse(200, b"GET /?c "), LAST),
        (ParsedResponse(200, b"GET http://b?c "), LAST),
        "3.2.2, and an empty path is /",
    ),
    "HTTP/1.0 stays if asked": Difference(
        (GOT, LAST), (GOT,), "ab and old proxies ask for it; h11 closes, which is allowed"
    ),
    "an expectation of something else": Difference(
        (ParsedResponse(417),), (POSTED, LAST), "10.1.1 of RFC 9110: 417 says that the expectation is not met"
    ),
    "headers that never end": Difference((ParsedResponse(431),), (NOT_HTTP,), "431 says what is too long"),
    "a body that is too large": Difference((ParsedResponse(413),), (), "uvicorn leaves the limit to the application"),
}
