"""Valid and invalid contents of route.json, their messages, and changes of the file."""

import json
from pathlib import Path
from typing import Any

import pytest

from flywheel_serving.route.route_file import Challenger, Route, RouteFile, RouteInvalid, parse_route

CONTRACTS = Path(__file__).parents[2] / "contracts"
CANARY = json.loads((CONTRACTS / "route_canary.json").read_text())
AB_TEST = json.loads((CONTRACTS / "route_ab_test.json").read_text())
SHADOW = json.loads((CONTRACTS / "route_shadow.json").read_text())


def test_the_examples_of_the_contract_are_parsed() -> None:
    who = Challenger("flight-delay-88b2d0", "flight-delay-b.shop.svc", 8080)

    assert parse_route(json.dumps(CANARY).encode()) == Route("Canary", 500, who, b"x-user-id", 1.0, 1e-6, 1e-3)
    assert parse_route(json.dumps(AB_TEST).encode()) == Route(
        "ABTest", 5_000, who, b"x-user-id", 1.0, 1e-6, 1e-3, "3f9a1c2e"
    )
    assert parse_route(json.dumps(SHADOW).encode()) == Route("Shadow", 1_234, who, None, 2.0, 1e-6, 1e-3)


@pytest.mark.parametrize("content", [b"", b" \n", b'{"v": 1}'])
def test_no_route(content: bytes) -> None:
    assert parse_route(content) is None


def test_missing_fields_have_defaults_and_unknown_ones_are_ignored() -> None:
    route = parse_route(
        json.dumps({"v": 1, "mode": "Canary", "percent": 0, "challenger": CANARY["challenger"], "x": 1}).encode()
    )

    assert route is not None
    assert (
        route.share_hundredths,
        route.sticky_header,
        route.timeout_seconds,
        route.absolute_tolerance,
        route.relative_tolerance,
    ) == (0, None, 1.0, 1e-6, 1e-3)


@pytest.mark.parametrize(
    ("percent", "hundredths"), [(0.01, 1), (0.29, 29), (12.34, 1_234), (57.14, 5_714), (100.0, 10_000)]
)
def test_percent_is_exact(percent: float, hundredths: int) -> None:
    route = parse_route(json.dumps({**CANARY, "percent": percent}).encode())

    assert route is not None
    assert route.share_hundredths == hundredths


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        pytest.param({"v": 2}, 'wanted an object with "v": 1', id="version of the file"),
        pytest.param({"mode": "Blue"}, "mode: wanted Canary, Shadow or ABTest, found 'Blue'", id="mode"),
        pytest.param(
            {"mode": "ABTest"}, "test: wanted the id of an A/B test, found nothing", id="an A/B test without an id"
        ),
        pytest.param(
            {"percent": 101},
            "percent: wanted a number from 0 to 100 with at most two decimals, found '101'",
            id="too much",
        ),
        pytest.param({"percent": -1}, "percent: wanted", id="less than nothing"),
        pytest.param({"percent": 0.001}, "percent: wanted", id="three decimals"),
        pytest.param({"percent": "5"}, "percent: wanted", id="text"),
        pytest.param({"percent": True}, "percent: wanted", id="true"),
        pytest.param({"percent": None}, "found nothing", id="no percent"),
        pytest.param({"challenger": None}, "challenger.version: wanted the name of a version", id="no challenger"),
        pytest.param({"challenger": []}, "challenger: wanted an object", id="a list"),
        pytest.param({"challenger": {**CANARY["challenger"], "version": ""}}, "challenger.version", id="no version"),
        pytest.param({"challenger": {**CANARY["challenger"], "host": "a b\r\n"}}, "challenger.host: wanted", id="host"),
        pytest.param({"challenger": {**CANARY["challenger"], "port": 0}}, "challenger.port: wanted", id="port"),
        pytest.param({"sticky": {"header": "x y"}}, "sticky.header: wanted the name of a header", id="header"),
        pytest.param({"timeoutSeconds": 0}, "timeoutSeconds: wanted a number above 0 and at most 60", id="no time"),
        pytest.param({"timeoutSeconds": 61}, "timeoutSeconds: wanted", id="too long"),
        pytest.param({"tolerance": {"absolute": -1}}, "absolute: wanted a number from 0", id="tolerance"),
    ],
)
def test_an_invalid_field_is_named(change: dict[str, Any], finding: str) -> None:
    with pytest.raises(RouteInvalid) as refusal:
        parse_route(json.dumps({**CANARY, **change}).encode())

    assert finding in str(refusal.value)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"{", id="half an object"),
        pytest.param(b"[" * 50_000, id="brackets"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b'{"v": NaN}', id="NaN"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b'{"v": 1, "percent": 1e999999999}', id="an endless number"),
        pytest.param(b'{"v": 1, "x": "' + b"a" * 70_000 + b'"}', id="too long"),
    ],
)
def test_a_document_that_is_no_route_is_refused(content: bytes) -> None:
    with pytest.raises(RouteInvalid):
        parse_route(content)


def test_a_huge_percent_is_refused() -> None:
    with pytest.raises(RouteInvalid, match="percent: wanted"):
        parse_route(json.dumps(CANARY).replace('"percent": 5', '"percent": 1e999999999').encode())


def test_any_change_of_the_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "route.json"
    file = RouteFile(path)
    assert (file.has_changed(), file.read()) == (False, None)

    path.write_text(json.dumps(CANARY))
    assert file.has_changed()
    assert file.read() == parse_route(json.dumps(CANARY).encode())
    assert not file.has_changed()

    path.unlink()
    assert file.has_changed()
    assert file.read() is None


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RouteInvalid, match="cannot be read: Is a directory"):
        RouteFile(tmp_path).read()
