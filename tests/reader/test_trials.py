"""Lists of trials over HTTP: what they find, in which order, page by page, and with which rights."""

import gzip
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.reader.running_reader import ALICE, RunningReader
from tests.reader.seeds import new_record

pytestmark = pytest.mark.integration
TRIALS = "/v1/namespaces/shop/trials"
LOG = b"epoch 1\nepoch 2\n"
CURVE = b'{"step": 0, "name": "loss", "value": 0.5, "time": "2026-11-01T00:00:00Z"}\n{"step": 1, "name": "loss", "value": NaN}\n'


@pytest.fixture(scope="module", autouse=True)
def seeded(reader_process: RunningReader) -> None:
    """600 trials, of which the first 512 are in segments; the last ones are special."""
    seeds = reader_process.seeds
    records = [new_record(number) for number in range(1, 597)]
    records += [
        new_record(597, metrics={}, state="Failed", reason="StepFailed", message="x" * 2000),
        seeds.trial(
            598, {"metrics.json": b"{}", "main.log.gz": gzip.compress(LOG), "metrics.jsonl": CURVE}, name="other"
        ),
        new_record(
            599, id="uid-2.fit", kind="TrainingRun", name="nightly-1", uid="uid-2", step="fit", pipeline="nightly"
        ),
        new_record(600, id="uid-1.trial-1", parameters={"C": 99}, attempt=2),
    ]
    seeds.records(records, head=597, segments=True)


def test_the_list_is_ordered_by_metric_with_missing_ones_last(reader: RunningReader) -> None:
    for direction in ("ASC", "DESC"):
        response = reader.get(f"{TRIALS}?orderBy=metrics.roc_auc%20{direction}&limit=1000")
        items = response.json["items"]

        assert response.json["total"] == len(items) == 599  # one record replaced an earlier one of its id
        values = [item["metrics"].get("roc_auc") for item in items]
        assert values[-1] is None
        assert values[:-1] == sorted(values[:-1], reverse=direction == "DESC")


def test_the_last_record_of_an_id_counts(reader: RunningReader) -> None:
    assert [item["attempt"] for item in reader.items("?filter=" + quote("params.C = 99"))] == [2]


def test_a_new_record_is_found_by_the_next_page(reader: RunningReader) -> None:
    first = reader.get(f"{TRIALS}?limit=2&orderBy=attributes.trial%20DESC").json
    second = reader.get(f"{TRIALS}?limit=2&orderBy=attributes.trial%20DESC&page={first['next']}").json

    trials = [item["trial"] for item in (*first["items"], *second["items"])]
    assert trials == sorted(trials, reverse=True)
    assert len(set(trials)) == 4


@pytest.mark.parametrize("token", ["AAAA", "%00", "x" * 5000, "é"])
def test_a_made_up_page_is_refused(reader: RunningReader, token: str) -> None:
    response = reader.get(f"{TRIALS}?page={quote(token)}")

    assert (response.status, response.reason) == (400, "BadRequest")


def test_a_page_of_another_query_is_refused(reader: RunningReader) -> None:
    token = reader.get(f"{TRIALS}?limit=1").json["next"]

    assert reader.get(f"{TRIALS}?limit=1&page={token}").status == 200
    assert reader.get(f"{TRIALS}?limit=1&page={token}&experiment=delay").status == 400


def test_a_long_message_is_cut_in_lists_and_whole_in_the_record(reader: RunningReader) -> None:
    (item,) = reader.items("?filter=" + quote("attributes.state = 'Failed'"))

    assert len(item["message"]) == 512
    assert len(reader.get(f"{TRIALS}/{item['id']}").json["message"]) == 2000


def test_log_curves_and_files_of_a_trial(reader: RunningReader) -> None:
    trial = f"{TRIALS}/uid-1.trial-598"
    files = {file["path"]: file for file in reader.get(trial).json["files"]}
    assert set(files) == {"metrics.json", "main.log.gz", "metrics.jsonl"}

    assert reader.get(f"{trial}/log").body == LOG
    assert reader.get(f"{trial}/log?tailBytes=8").body == LOG[-8:]
    ranged = reader.get(f"{trial}/log", Range="bytes=0-4")
    assert (ranged.status, ranged.body, ranged.headers["content-range"]) == (206, LOG[:5], f"bytes 0-4/{len(LOG)}")
    assert reader.get(f"{trial}/log", Range="bytes=99-").status == 416

    curves = reader.get(f"{trial}/curves").json
    assert curves["curves"]["loss"] == [[0, 0.5, "2026-11-01T00:00:00Z"], [1, "NaN", None]]
    assert curves["downsampled"] == {}

    whole = reader.get(f"{trial}/files/metrics.jsonl")
    assert whole.body == CURVE
    assert whole.headers["etag"] == f'"{files["metrics.jsonl"]["sha256"]}"'
    assert reader.get(f"{trial}/files/metrics.jsonl", **{"If-None-Match": whole.headers["etag"]}).status == 304
    assert reader.get(f"{trial}/files/absent").status == 404
    assert reader.get(f"{trial}/files/..%2F..%2Fhead.json").status == 404


def test_a_trial_without_a_log_says_so(reader: RunningReader) -> None:
    response = reader.get(f"{TRIALS}/uid-1.trial-2/log")

    assert (response.status, response.reason) == (404, "NotFound")
    assert "has no log" in response.message


@pytest.mark.parametrize(
    ("right", "found"),
    [
        (("list", "experiments", "shop", ""), {"Experiment"}),
        (("list", "trainingruns", "shop", ""), {"TrainingRun"}),
    ],
)
def test_a_list_has_the_kinds_that_the_caller_may_list(
    reader: RunningReader, right: tuple[str, str, str, str], found: set[str]
) -> None:
    reader.cluster.tokens["lister"] = (f"lister-{right[1]}", "flywheel-reader")
    reader.cluster.tokens[f"token-{right[1]}"] = (f"lister-{right[1]}", "flywheel-reader")
    reader.cluster.rights[f"lister-{right[1]}"] = {right}

    items = reader.get(f"{TRIALS}?limit=1000", f"token-{right[1]}").json["items"]

    assert {item["kind"] for item in items} == found


def test_who_may_get_one_experiment_reads_its_trials_alone(reader: RunningReader) -> None:
    reader.cluster.tokens["token-of-bob"] = ("bob", "")  # of the API server's own audience
    reader.cluster.rights["bob"] = {("get", "experiments", "shop", "other")}

    def status(path: str) -> int:
        return reader.get(path, "token-of-bob").status

    assert status(f"{TRIALS}?experiment=other") == 200
    assert status(f"{TRIALS}/uid-1.trial-598?experiment=other") == 200
    assert status(f"{TRIALS}/uid-1.trial-2?experiment=other") == status(f"{TRIALS}/absent?experiment=other") == 404
    assert status(f"{TRIALS}/uid-1.trial-2?experiment=delay") == 403
    assert status(f"{TRIALS}?experiment=delay") == 403
    assert status(TRIALS) == 403
    hidden = reader.get(f"{TRIALS}/uid-1.trial-598", "token-of-bob")
    absent = reader.get(f"{TRIALS}/uid-1.trial-3000", "token-of-bob")
    assert hidden.status == absent.status == 403
    assert hidden.message.replace("trial-598", "") == absent.message.replace("trial-3000", "")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda reader: reader.cluster.tokens.clear(), 401),
        (lambda reader: reader.cluster.rights.clear(), 403),
    ],
    ids=["without a token that is known", "without rights"],
)
def test_nothing_is_learned(reader: RunningReader, change: Callable[[RunningReader], None], status: int) -> None:
    token = f"fresh-{status}"
    reader.cluster.tokens[token] = (f"{ALICE}-{status}", "flywheel-reader")
    change(reader)

    for path in (TRIALS, f"{TRIALS}/uid-1.trial-598", f"{TRIALS}/uid-1.trial-598/log", f"{TRIALS}?experiment=other"):
        response = reader.get(path, token)
        assert response.status == status
        for secret in (b"roc_auc", b"LogisticRegression", b"epoch", b"sha256:"):
            assert secret not in response.body


def test_through_the_api_servers_proxy_the_token_has_another_header(reader: RunningReader) -> None:
    assert reader.get(TRIALS, None, **{"X-Flywheel-Authorization": "Bearer token-of-alice"}).status == 200
    assert reader.get(TRIALS, None).status == 401
    assert reader.get(TRIALS, None, Authorization="Basic YTpi").status == 401


def test_the_openapi_document_needs_no_token(reader: RunningReader) -> None:
    paths = reader.get("/openapi.json", None).json["paths"]

    assert "/v1/namespaces/{namespace}/trials/{id}/files/{path}" in paths
    assert reader.get("/metrics", None).status == 200
