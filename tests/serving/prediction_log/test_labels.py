"""Labels that clients post are parsed, bounded and written once, whatever happens to the sink."""

import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import tritonclient.grpc as triton

from e2e.waiting import wait_until
from flywheel_runtime.datasets.sql import connect
from flywheel_runtime.monitoring.labels.admission import LabelPolicy
from flywheel_runtime.monitoring.labels.join import join_labels
from flywheel_runtime.monitoring.labels.label_matching import Delay
from flywheel_runtime.monitoring.labels.sources import OutputNames, read_logged_rows, read_posted_labels
from flywheel_runtime.monitoring.labels.window_rows import LoggedVersion
from flywheel_serving.errors import InvalidRequest, Overloaded, RequestTooLarge
from flywheel_serving.prediction_log.batches import decode_message
from flywheel_serving.prediction_log.config import LogConfig, parse_log_config, sample_position, sample_threshold
from flywheel_serving.prediction_log.labels import (
    MAX_BODY_BYTES,
    MAX_LABELS,
    LabelLog,
    parse_labels,
)
from flywheel_serving.prediction_log.metrics import LogMetrics
from flywheel_serving.prediction_log.schema import RowSchema
from flywheel_serving.prediction_log.sink.parquet import ParquetEncoder
from tests.serving.local_server import LocalServer
from tests.serving.prediction_log.log_store import LogStore, body, metric, send_request, start_server, stop_server

ANY_KEY: dict[str, Any] = {"sample": 1.0, "service": "delay", "namespace": "shop", "key": "flight_id"}


def config(**changed: Any) -> LogConfig:
    return parse_log_config(json.dumps(ANY_KEY | changed))


def labels_body(*labels: Any) -> bytes:
    return orjson.dumps({"labels": labels})


@pytest.mark.parametrize(
    ("label", "text"),
    [("late", "late"), (1, "1"), (1.0, "1"), (0.25, "0.25"), (-3, "-3"), (True, "true"), (False, "false"), (1e300, str(int(1e300)))],
)  # fmt: skip
def test_a_label_is_text(label: Any, text: str) -> None:
    columns = parse_labels(labels_body({"id": "a", "label": label}, {"key": 7, "label": label}), config())

    rest = {"row": [0, 0], "probability": [None, None]}
    assert columns == {"id": ["a", None], "key": [None, "7"], "label": [text, text], **rest}


@pytest.mark.parametrize(("given", "parsed"), [(0.25, 0.25), (1, 1.0), (1e-6, 1e-6), (None, None)])
def test_a_label_of_a_drawn_row_has_the_probability_of_the_draw(given: Any, parsed: float | None) -> None:
    columns = parse_labels(labels_body({"id": "a", "label": 1, "probability": given}), config())

    assert columns["probability"] == [parsed]


DROPPED_KEY = {"columns": [{"name": "flight_id", "action": "Drop"}]}


@pytest.mark.parametrize(
    ("content", "words", "changed"),
    [
        pytest.param(b"{", "body: not valid JSON", {}, id="no JSON"),
        pytest.param(b"[]", "body: wanted {\"labels\":", {}, id="no object"),
        pytest.param(b"{}", "with one label at least", {}, id="nothing"),
        pytest.param(labels_body(), "with one label at least", {}, id="no label"),
        pytest.param(b'{"labels": [1], "model": "a"}', "body: wanted", {}, id="another field"),
        pytest.param(labels_body(1), "labels[0]: wanted an object", {}, id="a number"),
        pytest.param(labels_body({"id": "a", "label": 1}, {"label": 1}), "labels[1]: wanted the id", {}, id="neither id nor key"),
        pytest.param(labels_body({"id": "a", "key": "b", "label": 1}), "and not both", {}, id="id and key"),
        pytest.param(labels_body({"id": "a", "rows": 1, "label": 1}), "labels[0]: unknown 'rows'", {}, id="a misspelt field"),
        pytest.param(labels_body({"id": 7, "label": 1}), "labels[0].id: wanted text", {}, id="an id that is a number"),
        pytest.param(labels_body({"id": "", "label": 1}), "labels[0].id: wanted text", {}, id="an empty id"),
        pytest.param(labels_body({"id": "a" * 1_001, "label": 1}), "at most 1000 characters", {}, id="a long id"),
        pytest.param(labels_body({"id": "a", "row": -1, "label": 1}), "labels[0].row: wanted the index of the row in its request, found -1", {}, id="a row below 0"),
        pytest.param(labels_body({"id": "a", "row": True, "label": 1}), "labels[0].row", {}, id="a row that is true"),
        pytest.param(labels_body({"id": "a"}), "labels[0].label: wanted text of at most 1000 characters, a number, true or false, found null", {}, id="no value"),
        pytest.param(labels_body({"id": "a", "label": None}), "labels[0].label", {}, id="null"),
        pytest.param(labels_body({"id": "a", "label": ""}), "labels[0].label", {}, id="an empty text"),
        pytest.param(labels_body({"id": "a", "label": [1]}), "labels[0].label", {}, id="a list"),
        *(pytest.param(labels_body({"id": "a", "label": 1, "probability": each}), "labels[0].probability: wanted a number from 0.000001 to 1", {}, id=f"probability {each}") for each in (0, -0.5, 1e-310, 9e-7, 1.01, "0.5", True)),
        pytest.param(labels_body({"key": 1.5, "label": 1}), "labels[0].key: wanted text or a whole number, found 1.5", {}, id="a key that is a fraction"),
        pytest.param(labels_body({"key": "a", "row": 0, "label": 1}), "labels[0].row: a key names one row", {}, id="a row beside a key"),
        pytest.param(labels_body({"key": "a", "label": 1}), "labels[0].key: this service logs no key; send the id, or set spec.logging.key", {"key": ""}, id="no key is logged"),
        pytest.param(labels_body({"key": "a", "label": 1}), "labels[0].key: spec.logging.columns of the InferenceService drops the key", DROPPED_KEY, id="the key is dropped"),
    ],
)  # fmt: skip
def test_a_label_of_another_form_is_refused(content: bytes, words: str, changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_labels(content, config(**changed))

    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            labels_body(*[{"id": "a", "label": 1}] * (MAX_LABELS + 1)),
            "labels: at most 1000 are accepted in one request",
        ),
        (b" " * (MAX_BODY_BYTES + 1), "body: at most 262144 bytes of labels are accepted"),
    ],
)
def test_a_request_with_too_many_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(RequestTooLarge) as refusal:
        parse_labels(content, config())

    assert words in str(refusal.value)


class FakeSink:
    """Accepts messages while it is `open`."""

    def __init__(self) -> None:
        self.open = True
        self.heads: list[dict[str, Any]] = []

    @property
    def numbers(self) -> list[int]:
        return [head["number"] for head in self.heads]

    def send(self, message: bytes, rows: int) -> bool:
        if self.open:
            self.heads.append(decode_message(message[4:])[0])
        return self.open


def log_to(sink: FakeSink) -> tuple[LabelLog, LogMetrics]:
    metrics = LogMetrics()
    return LabelLog(config(), sink.send, metrics), metrics


def post_until_full(labels: LabelLog, peer: str) -> int:
    """How many labels are accepted from the peer until it gets 503."""
    content = labels_body(*[{"id": "a" * 100, "label": "b" * 100}] * MAX_LABELS)
    for count in range(100):
        try:
            labels.add(content, peer)
        except Overloaded as error:
            assert "retry in a second" in str(error)  # noqa: PT017  the loop ends here
            return count
    raise AssertionError("never full")


def test_one_client_cannot_fill_the_room_of_the_others() -> None:
    labels, metrics = log_to(FakeSink())

    flooding = post_until_full(labels, "10.0.0.1")

    assert flooding == 4
    assert labels.add(labels_body({"id": "a", "label": 1}), "10.0.0.2") == 1
    assert metrics.labels["refused"] == MAX_LABELS
    labels.on_written([*range(flooding)])
    assert metrics.labels["written"] == flooding * MAX_LABELS
    assert post_until_full(labels, "10.0.0.1") == flooding


@pytest.mark.parametrize(
    ("caller", "source"),
    [
        pytest.param("system:serviceaccount:shop:claims", "system:serviceaccount:shop:claims", id="a ServiceAccount by name"),
        pytest.param("jane@example.org", "user-06114ad7bfcf773e", id="a person by a pseudonym"),
        pytest.param("", "", id="nobody"),
    ],
)  # fmt: skip
def test_a_label_has_the_source_that_posted_it(caller: str, source: str, tmp_path: Path) -> None:
    sink = FakeSink()
    labels, _ = log_to(sink)

    labels.add(labels_body({"id": "a", "label": 1}), "10.0.0.1", caller)

    [head] = sink.heads
    assert head["source"] == source
    encoder = ParquetEncoder(config(), RowSchema((), ()), "v1", None)
    written = tmp_path / "labels.parquet"
    written.write_bytes(encoder.encode_labels([head, {**head, "source": None}]))
    with connect() as connection:
        assert connection.execute(f"SELECT source FROM '{written}'").fetchall() == [(source,), ("",)]


def test_a_new_writer_gets_what_the_store_does_not_have() -> None:
    sink = FakeSink()
    labels, metrics = log_to(sink)
    for _ in range(3):
        labels.add(labels_body({"id": "a", "label": 1}), "10.0.0.1")
    labels.on_written([1])

    sink.open = False
    labels.resend()
    sink.open = True
    labels.send_unsent()
    labels.send_unsent()

    assert sink.numbers == [0, 1, 2, 0, 2]
    labels.give_up()
    assert dict(metrics.labels) == {"written": 1, "refused": 0, "lost": 2}


def test_without_room_in_the_connection_the_client_gets_503() -> None:
    sink = FakeSink()
    sink.open = False
    labels, metrics = log_to(sink)

    with pytest.raises(Overloaded):
        labels.add(labels_body({"id": "a", "label": 1}), "10.0.0.1")

    assert metrics.labels["refused"] == 1


ROW = {"month": 1, "wind": 2.5, "carrier": "UA"}


@pytest.mark.integration
def test_every_response_has_the_id_under_which_its_rows_are_logged(logged_flights: Path, log_store: LogStore) -> None:
    with start_server(logged_flights, log_store.config_json()) as server:
        content = body([(1, 2.5, "UA")])
        ids = [send_request(server, content)["id"] for _ in range(3)]  # the last ones by a template of the body
        ids.append(send_request(server, json.dumps({"rows": [ROW, ROW]}).encode(), "predict")["id"])
        ids.append(post(server, "/invocations", {"dataframe_records": [ROW]})["id"])
        ids.append(post(server, "/v2/models/delay/predict", b"month,wind,carrier\n1,2.5,UA\n", "text/csv")["id"])
        ids.append(infer_by_rpc(server))
        own = send_request(server, body([(1, 2.5, "UA")], id="mine"))["id"]
        stop_server(server)

    assert own == "mine"
    assert len({*ids}) == len(ids)
    logged = [row["id"] for row in log_store.rows()]
    assert sorted(logged) == sorted([*ids, ids[3], "mine"])  # the fourth had two rows


@pytest.mark.integration
def test_ids_of_the_server_are_sampled_by_their_hash(logged_flights: Path, log_store: LogStore) -> None:
    with start_server(logged_flights, log_store.config_json(sample=0.3)) as server:
        ids = [send_request(server, body([(1, 2.5, "UA")]))["id"] for _ in range(100)]
        stop_server(server)

    chosen = {each for each in ids if sample_position(each) < sample_threshold(0.3)}
    assert {row["id"] for row in log_store.rows()} == chosen


def post(server: LocalServer, path: str, content: Any, media_type: str = "application/json") -> dict[str, Any]:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    request = urllib.request.Request(f"http://{server.http}{path}", data, {"content-type": media_type})
    with urllib.request.urlopen(request, timeout=30) as response:
        found: dict[str, Any] = json.load(response)
    return found


def infer_by_rpc(server: LocalServer) -> str:
    """The id of the response to a request without one."""
    values = {"month": ("FP32", np.array([[1]], np.float32)), "wind": ("FP32", np.array([[2.5]], np.float32))}
    tensors = []
    for name, (datatype, array) in {**values, "carrier": ("BYTES", np.array([["UA"]], object))}.items():
        tensors.append(triton.InferInput(name, [1, 1], datatype))
        tensors[-1].set_data_from_numpy(array)
    client = triton.InferenceServerClient(server.grpc)
    found = str(client.infer("delay", tensors).get_response().id)
    client.close()
    return found


FEEDBACK = "/v2/models/delay/feedback"


@pytest.mark.integration
def test_posted_labels_are_written_beside_the_rows(logged_flights: Path, log_store: LogStore, tmp_path: Path) -> None:
    (tmp_path / "hmac").write_bytes(b"secret")
    hashed = {"columns": [{"name": "flight_id", "action": "Hmac"}], "hmac_file": str(tmp_path / "hmac")}
    with start_server(logged_flights, log_store.config_json(key="flight_id", **hashed)) as server:
        found = send_request(server, body([(1, 2.5, "UA"), (2, 2.5, "UA")], parameters={"flight_id": "UA-7"}))
        accepted = post(
            server,
            FEEDBACK,
            {
                "labels": [
                    {"id": found["id"], "row": 1, "label": 1, "probability": 0.5},
                    {"key": "UA-7", "label": "late"},
                ]
            },
        )
        described = json.load(urllib.request.urlopen(f"http://{server.http}/openapi.json", timeout=30))
        wait_until(lambda: metric(server, 'flywheel_log_labels_total{outcome="written"}') == 2)
        stop_server(server)

    assert accepted == {"accepted": 2}
    assert FEEDBACK in described["paths"]
    by_id, by_key = log_store.labels()
    assert (by_id["id"], by_id["row"], by_id["key"], by_id["label"]) == (found["id"], 1, None, "1")
    assert (by_id["probability"], by_key["probability"]) == (0.5, None)
    assert (by_key["id"], by_key["key"], by_key["label"]) == (None, log_store.rows()[0]["key"], "late")
    assert by_key["key"] != "UA-7"


@pytest.mark.integration
def test_labels_are_written_in_time_also_where_nothing_else_is_logged(
    logged_flights: Path, log_store: LogStore
) -> None:
    with start_server(logged_flights, log_store.config_json(seconds=2.0)) as server:
        for number in (1, 2):  # the second one comes while the writer has nothing to do
            post(server, FEEDBACK, {"labels": [{"id": f"mine-{number}", "label": 1}]})
            written = 'flywheel_log_labels_total{outcome="written"}'
            wait_until(lambda: metric(server, written) == number, 15, f"label {number} is not written")  # noqa: B023
        stop_server(server)

    assert [row["id"] for row in log_store.labels()] == ["mine-1", "mine-2"]


@pytest.mark.integration
def test_labels_survive_the_death_of_the_writer(logged_flights: Path, log_store: LogStore) -> None:
    with start_server(logged_flights, log_store.config_json(seconds=3.0)) as server:
        for number in range(20):
            post(server, FEEDBACK, {"labels": [{"id": f"r{number}", "label": number}]})
        assert server.sink is not None
        children = Path(f"/proc/{server.sink.pid}/task/{server.sink.pid}/children")
        [writer] = wait_until(lambda: children.read_text().split())
        os.kill(int(writer), signal.SIGKILL)
        wait_until(lambda: metric(server, 'flywheel_log_labels_total{outcome="written"}') == 20, 30)
        stop_server(server)

    assert sorted(row["id"] for row in log_store.labels()) == sorted(f"r{number}" for number in range(20))


@pytest.mark.integration
def test_without_logging_labels_are_refused(flight_server: LocalServer) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        post(flight_server, "/v2/models/flight-delay/feedback", {"labels": [{"id": "a", "label": 1}]})

    assert refusal.value.code == 404
    assert "set spec.logging of the InferenceService" in json.load(refusal.value)["error"]


@pytest.mark.integration
def test_a_log_that_does_not_fit_the_model_takes_no_labels(logged_flights: Path, log_store: LogStore) -> None:
    columns = [{"name": "monht", "action": "Drop"}]
    with start_server(logged_flights, log_store.config_json(columns=columns)) as server:
        with pytest.raises(urllib.error.HTTPError) as refusal:
            post(server, FEEDBACK, {"labels": [{"id": "a", "label": 1}]})
        stop_server(server)

    assert refusal.value.code == 404
    assert "spec.logging.columns does not fit its model" in json.load(refusal.value)["error"]


@pytest.mark.integration
def test_the_monitor_joins_what_the_sink_wrote(logged_flights: Path, log_store: LogStore) -> None:
    with start_server(logged_flights, log_store.config_json(key="flight_id")) as server:
        first = send_request(server, body([(1, 2.5, "UA"), (2, 2.5, "DL")]))
        send_request(server, body([(3, 2.5, "UA")], parameters={"flight_id": "UA-7"}))
        labels = [{"id": first["id"], "row": 0, "label": 1}, {"id": first["id"], "row": 1, "label": False}]
        post(server, FEEDBACK, {"labels": [*labels, {"key": "UA-7", "label": "1"}, {"id": "made-up", "label": 1}]})
        stop_server(server)
    hour = min(row["time"] for row in log_store.rows()) // 1_000_000 // 3_600 * 3_600

    with connect() as connection:
        read_logged_rows(connection, log_store.files, OutputNames(), ("carrier",))
        read_posted_labels(connection, log_store.label_files)
        joined = join_labels(
            connection, {"v1": LoggedVersion(("0", "1"))}, [hour, hour + 3_600], 3_600, LabelPolicy(Delay(0, 60))
        )

    assert (joined.labels, joined.unknown) == (4, 1)
    assert sum(window.counts.labelled for window in joined.windows) == 3
    assert sorted(truth for window in joined.windows for truth in window.scored.y_true) == [0, 1, 1]
