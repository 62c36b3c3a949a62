"""A store that is away, or refuses the key: the response says so, and has what is still known."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from flywheel_reader.tracking.log import FRESH_SECONDS
from tests.reader.running_reader import RunningReader
from tests.reader.seeds import new_record

pytestmark = pytest.mark.integration
TRIALS = "/v1/namespaces/shop/trials"


@contextmanager
def changed(reader: RunningReader, key: str, value: str, namespace: str = "shop") -> Iterator[None]:
    """The Secret of a namespace with another value."""
    file = reader.stores / namespace / key
    earlier = file.read_text()
    file.write_text(value)
    try:
        yield
    finally:
        file.write_text(earlier)


@pytest.fixture(scope="module", autouse=True)
def seeded(reader_process: RunningReader) -> None:
    trial = reader_process.seeds.trial(1, {"metrics.json": b"{}"})
    reader_process.seeds.records([trial, new_record(2)])


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "does not respond"),
        ("AWS_SECRET_ACCESS_KEY", "another", "flywheel-reader-store-shop"),
    ],
    ids=["away", "refusing"],
)
def test_a_list_has_what_is_known_and_goes_on_afterwards(
    reader: RunningReader, key: str, value: str, said: str
) -> None:
    assert len(reader.items()) == 2

    with changed(reader, key, value):
        time.sleep(FRESH_SECONDS)
        response = reader.get(TRIALS)
        trial = reader.get(f"{TRIALS}/uid-1.trial-1/log")
    assert (response.status, response.reason) == (503, "StoreUnreachable")
    assert said in response.message
    assert [item["id"] for item in response.json["items"]] == ["uid-1.trial-1", "uid-1.trial-2"]
    assert response.json["asOf"]
    assert trial.status == 503

    assert len(reader.items()) == 2


def test_a_caller_without_rights_does_not_learn_that_the_store_is_away(reader: RunningReader) -> None:
    reader.cluster.tokens["token-of-eve"] = ("eve", "flywheel-reader")

    with changed(reader, "AWS_ENDPOINT_URL", "http://127.0.0.1:9"):
        for path in (TRIALS, f"{TRIALS}/uid-1.trial-1", f"{TRIALS}/absent"):
            assert reader.get(path, "token-of-eve").status == 403


def test_a_namespace_whose_store_was_never_read_has_nothing_to_show(reader: RunningReader) -> None:
    reader.cluster.rights["alice"].add(("*", "*", "bakery", "*"))

    with changed(reader, "AWS_ENDPOINT_URL", "http://127.0.0.1:9", "bakery"):
        response = reader.get("/v1/namespaces/bakery/trials")

    assert (response.status, response.reason) == (503, "StoreUnreachable")
    assert "items" not in response.json


def test_a_namespace_without_a_key_is_not_found_by_those_who_may_list_it(reader: RunningReader) -> None:
    reader.cluster.tokens["token-of-root"] = ("root", "flywheel-reader")
    reader.cluster.rights["root"] = {("*", "*", "*", "*")}

    response = reader.get("/v1/namespaces/absent/trials", "token-of-root")

    assert (response.status, response.reason) == (404, "NotFound")
    assert "flywheel-reader-store-absent" in response.message
