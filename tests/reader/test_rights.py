"""Each route gives what its right gives, to nobody else, and read-data is apart from get."""

import time
from collections.abc import Iterator
from itertools import count

import pytest

from flywheel_reader.app import ENDPOINTS
from flywheel_reader.openapi import openapi_path
from tests.reader.cluster_double import ACCESS_REVIEWS, TOKEN_REVIEWS
from tests.reader.routes import BASE, ROUTES, SECRET, TRIAL, VERSION, Route, objects, seed_store
from tests.reader.running_reader import RunningReader

pytestmark = pytest.mark.integration
NUMBERS = count()
VALUE = b"a value of the data"


@pytest.fixture(scope="module", autouse=True)
def seeded(reader_process: RunningReader) -> Iterator[None]:
    digests = seed_store(reader_process.seeds)
    for resource, each in objects(digests):
        reader_process.cluster.objects[resource, "shop", each["metadata"]["name"]] = each
    yield
    reader_process.cluster.objects.clear()


def get_as(
    reader: RunningReader, route: Route, *rights: tuple[str, str, str], namespace: str = "shop"
) -> tuple[int, bytes]:
    """Status and body for a new user with these rights in a namespace."""
    user = f"user-{next(NUMBERS)}"
    reader.cluster.tokens[f"token-of-{user}"] = (user, "flywheel-reader")
    reader.cluster.rights[user] = {(verb, resource, namespace, name) for verb, resource, name in rights}
    response = reader.get(BASE.format(namespace="shop") + route.path, f"token-of-{user}")
    return response.status, response.body


def test_every_route_is_in_the_table() -> None:
    assert {BASE + route.template for route in ROUTES} == {openapi_path(each.path) for each in ENDPOINTS}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_the_right_opens_the_route(reader: RunningReader, route: Route) -> None:
    status, body = get_as(reader, route, route.right)

    assert status == 200, body
    assert route.shows.encode() in body


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_every_other_right_opens_nothing(reader: RunningReader, route: Route) -> None:
    verb, resource, name = route.right
    others = {other.right for other in ROUTES if other.right[1] != resource}
    others |= {("update", resource, name), ("create", resource, name), (verb, resource, f"{name}x")}
    others |= (
        {("get", resource, name), ("list", resource, "")} if verb == "read-data" else {("read-data", resource, name)}
    )
    if route.template == "/trials":  # lists have what may be listed
        others -= {("list", "trainingruns", "")}

    for rights, namespace in (((), "shop"), (tuple(others), "shop"), ((route.right, ("*", "*", "*")), "bakery")):
        status, body = get_as(reader, route, *rights, namespace=namespace)

        assert status == 403, body
        assert SECRET.encode() not in body
        assert b"sha256" not in body


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
@pytest.mark.parametrize("token", [None, "made-up", ""])
def test_without_a_good_token_nothing_is_open(reader: RunningReader, route: Route, token: str | None) -> None:
    response = reader.get(BASE.format(namespace="shop") + route.path, token)

    assert (response.status, response.reason) == (401, "Unauthorized")
    assert SECRET.encode() not in response.body


@pytest.mark.parametrize("document", ["profile", "report"])
def test_values_of_the_data_in_documents_need_read_data(reader: RunningReader, document: str) -> None:
    route = next(route for route in ROUTES if route.path.endswith(document) and "datasets" in route.path)

    _, without = get_as(reader, route, route.right)
    _, with_data = get_as(reader, route, route.right, ("read-data", *route.right[1:]))

    assert VALUE not in without
    assert VALUE in with_data


@pytest.mark.parametrize(
    "path", ["model/model.onnx", "model/golden.json", "tracking/curve.txt", "evaluation/report.json"]
)
def test_outputs_of_a_trial_open_reports_alone(reader: RunningReader, path: str) -> None:
    response = reader.get(f"{BASE.format(namespace='shop')}/trials/{TRIAL}/outputs/{path}")

    assert (response.status, response.reason) == (404, "NotFound")
    assert SECRET.encode() not in response.body


def test_a_right_that_is_withdrawn_ends_within_seconds(reader: RunningReader) -> None:
    reader.cluster.tokens["token-of-leaver"] = ("leaver", "flywheel-reader")
    reader.cluster.rights["leaver"] = {("list", "experiments", "shop", "")}
    path = f"{BASE.format(namespace='shop')}/trials"
    assert reader.get(path, "token-of-leaver").status == 200

    reader.cluster.rights["leaver"].clear()

    time.sleep(10.5)
    assert reader.get(path, "token-of-leaver").status == 403


def test_an_api_server_that_is_away_lets_nobody_in(reader: RunningReader) -> None:
    reader.cluster.is_away = True

    response = reader.get(f"{BASE.format(namespace='shop')}/trials", "token-that-is-new")

    assert (response.status, response.reason) == (503, "ApiServerUnreachable")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(reader: RunningReader, method: str) -> None:
    for route in ROUTES:
        assert reader.get(BASE.format(namespace="shop") + route.path, method=method).status == 405


def test_a_caller_without_a_right_costs_two_reviews_whether_a_trial_exists_or_not(reader: RunningReader) -> None:
    asked = []
    for trial in (TRIAL, "uid-delay.trial-77"):
        reader.cluster.requests.clear()
        status, _ = get_as(reader, Route("", f"/trials/{trial}", ("", "", "")))
        assert status == 403
        asked.append(list(reader.cluster.requests))

    assert asked[0] == asked[1]
    assert {path for _, path in asked[0]} == {TOKEN_REVIEWS, ACCESS_REVIEWS}


def test_a_version_that_is_not_verified_opens_no_artifact_that_its_spec_names(reader: RunningReader) -> None:
    version = reader.cluster.objects["modelversions", "shop", VERSION]
    reader.cluster.objects["modelversions", "shop", "made-up"] = {**version, "status": {}}

    for path in ("", "/files/model.onnx", "/files/evaluation.json"):
        response = reader.get(f"{BASE.format(namespace='shop')}/modelversions/made-up{path}")
        assert (response.status, response.reason) == (404, "NotFound")


def test_the_page_of_a_monitor_loads_and_runs_nothing(reader: RunningReader) -> None:
    [route, *_] = [each for each in ROUTES if each.template.startswith("/modelmonitors")]
    user = f"user-{next(NUMBERS)}"
    reader.cluster.tokens[f"token-of-{user}"] = (user, "flywheel-reader")
    verb, resource, name = route.right
    reader.cluster.rights[user] = {(verb, resource, "shop", name)}

    headers = reader.get(BASE.format(namespace="shop") + route.path, f"token-of-{user}").headers

    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["content-security-policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
    )
    assert headers["x-content-type-options"] == "nosniff"
