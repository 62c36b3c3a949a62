"""A real server with a real store: what was answered is logged and counted, and whatever befalls the sink, answers go on."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from e2e.waiting import wait_until
from flywheel_serving.prediction_log import config
from tests.serving.local_server import LocalServer
from tests.serving.prediction_log.logged import Place, ask, body, ended, metric, serving

pytestmark = pytest.mark.integration  # each needs a model server, a process of its own

ROWS, PENDING = "flywheel_log_rows_total", "flywheel_log_pending_rows"


def dropped(server: LocalServer, reason: str) -> float:
    return metric(server, f'flywheel_log_dropped_total{{reason="{reason}"}}')


def sink_of(server: LocalServer) -> int:
    """The process id of the server's only child."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    assert len(children) == 1
    return int(children[0])


def test_what_was_answered_is_logged_and_counted(logged_flights: Path, place: Place) -> None:
    with serving(logged_flights, place.order()) as server:
        answers = [ask(server, body([(month, 2.5, "UA")], id=f"r{month}")) for month in range(1, 13)]
        ask(server, body([(1, None, "DL"), (13, 30.0, None), (0, -1.0, "AA")], id="many"))
        said = ended(server)

    rows = {(row["id"], row["row"]): row for row in place.rows()}
    assert len(rows) == said["rows"] == 15
    for month, answer in enumerate(answers, start=1):
        row, found = rows[f"r{month}", 0], {output["name"]: output["data"] for output in answer["outputs"]}
        assert row["features"] == {"month": month, "wind": 2.5, "carrier": "UA"}
        assert (row["outputs"]["label"], row["outputs"]["probabilities"]) == (found["label"][0], pytest.approx(found["probabilities"]))  # fmt: skip
        assert (row["version"], row["digest"], row["route"]) == ("v1", "sha256:abc", "Direct")
    counts = place.counts()
    assert (counts["requests"], counts["rows"]) == (13, 15)
    assert counts["features"]["month"] == {"missing": 0, "invalid": 0, "under": 1, "over": 1, "bins": [4, 3, 6]}
    assert counts["features"]["carrier"] == {"missing": 1, "counts": [12, 1], "other": 1}
    assert counts["predictions"]["rows"] == 15


def test_a_request_that_is_refused_is_neither(logged_flights: Path, place: Place) -> None:
    with serving(logged_flights, place.order()) as server:
        with pytest.raises(urllib.error.HTTPError):
            ask(server, b'{"inputs": [{"name": "month", "datatype": "FP32", "shape": [1], "data": [1]}]}')
        ask(server, body([(1, 2.5, "UA")]))
        ended(server)

    assert (len(place.rows()), place.counts()["requests"]) == (1, 1)


def test_all_are_counted_and_the_sample_is_logged(logged_flights: Path, place: Place) -> None:
    ids = [f"request-{number}" for number in range(200)]
    with serving(logged_flights, place.order(sample=0.2)) as server:
        for each in ids:
            ask(server, body([(1, 2.5, "UA")], id=each))
        ended(server)

    chosen = {each for each in ids if config.sample_position(each) < config.sample_threshold(0.2)}
    assert {row["id"] for row in place.rows()} == chosen
    assert place.counts()["requests"] == 200


def test_requests_that_ran_together_are_counted_as_each_of_them_asked(logged_flights: Path, place: Place) -> None:
    """Eight clients at once; every other one wants the label alone, which carries no score."""
    wants: list[dict[str, Any]] = [{}, {"outputs": [{"name": "label"}]}]
    with serving(logged_flights, place.order(sample=0.1)) as server, ThreadPoolExecutor(8) as pool:
        contents = [body([(1 + number % 12, 2.5, "UA")], **wants[number % 2]) for number in range(400)]
        list(pool.map(lambda content: ask(server, content), contents))
        ended(server)

    counts = place.counts()
    assert (counts["requests"], counts["rows"], counts["predictions"]["rows"]) == (400, 400, 200)
    assert sum(counts["features"]["month"]["bins"]) == 400
    assert 0 < len(place.rows()) < 200


def test_no_answer_is_lost_when_the_sink_dies_and_rows_come_again(logged_flights: Path, place: Place) -> None:
    asked = 0
    with serving(logged_flights, place.order()) as server:

        def ask_some() -> None:
            nonlocal asked
            for _ in range(20):
                ask(server, body([(asked % 12 + 1, 2.5, "UA")], id=f"r{asked}"))
                asked += 1

        ask_some()
        wait_until(lambda: metric(server, ROWS) == 20)
        os.kill(sink_of(server), signal.SIGSTOP)  # what is handed over now is not in the store when it dies
        ask_some()
        wait_until(lambda: metric(server, PENDING) == 20)
        os.kill(sink_of(server), signal.SIGKILL)
        wait_until(lambda: metric(server, "flywheel_log_sink_starts_total") == 2)
        lost = dropped(server, "sink_died")
        ask_some()
        wait_until(lambda: metric(server, ROWS) + lost == asked)
        said = ended(server)

    assert lost == 20
    assert len(place.rows()) == said["rows"] == asked - lost
    assert place.counts()["requests"] == asked, "counts are sent again, and written once"


def test_a_store_that_is_away_is_waited_for(logged_flights: Path, place: Place) -> None:
    told = place.order()
    place.write_secret({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    with serving(logged_flights, told) as server:
        for number in range(30):
            ask(server, body([(1, 2.5, "UA")], id=f"r{number}"))
        server.wait_for("predictions cannot be written to the store")
        assert metric(server, ROWS) == 0
        place.write_secret({"AWS_ENDPOINT_URL": place.store.endpoint})
        wait_until(lambda: metric(server, ROWS) == 30)
        server.wait_for("predictions are written to the store again")
        ended(server)

    assert place.counts()["requests"] == 30


def test_a_store_that_stays_away_does_not_hold_up_the_end(logged_flights: Path, place: Place) -> None:
    told = place.order(drain_seconds=1.0)
    place.write_secret({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    with serving(logged_flights, told) as server:
        ask(server, body([(1, 2.5, "UA")]))
        said = ended(server)

    assert (said["rows"], said["dropped"], said["lost"]) == (0, 1, 1)


def test_a_sink_that_hangs_costs_neither_answers_nor_memory(logged_flights: Path, place: Place) -> None:
    text = "x" * 20_000
    with serving(logged_flights, place.order()) as server:
        ask(server, body([(1, 2.5, "UA")]))
        os.kill(sink := sink_of(server), signal.SIGSTOP)
        before = resident(server)
        for _ in range(600):  # 12 MB, three times what may wait
            ask(server, body([(1, 2.5, text)]))
        full, grown = dropped(server, "full"), resident(server) - before
        os.kill(sink, signal.SIGCONT)
        said = ended(server)

    assert full > 0
    assert grown < 16
    assert said["rows"] + said["dropped"] == 601
    assert len(place.rows()) == said["rows"]
    assert place.counts()["requests"] == 601


def resident(server: LocalServer) -> float:
    """MiB of memory that the server's own process holds."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def test_one_request_beyond_the_bound_is_dropped_alone(logged_flights: Path, place: Place) -> None:
    with serving(logged_flights, place.order()) as server:
        ask(server, body([(1, 2.5, "UA")], id="small"))
        ask(server, body([(1, 2.5, "x" * 3_000_000)], id="large"))
        wait_until(lambda: dropped(server, "too_large") == 1)
        ended(server)

    assert [row["id"] for row in place.rows()] == ["small"]
    assert place.counts()["requests"] == 2


def test_a_column_that_the_model_lacks_logs_nothing_and_says_so(logged_flights: Path, place: Place) -> None:
    told = place.order(columns=[{"name": "carier", "action": "Drop"}])
    with serving(logged_flights, told) as server:
        ask(server, body([(1, 2.5, "UA")]))
        wait_until(lambda: dropped(server, "misconfigured") == 1)
        ended(server)

    [line] = [line for line in server.log if line["message"].startswith("predictions are not logged")]
    assert "column 'carier' is no input or output of this model" in line["message"]
    assert place.rows() == []
    assert place.counts()["requests"] == 1, "counts hold nothing of a person"


def test_without_the_secret_of_its_hashes_nothing_is_written(
    logged_flights: Path, place: Place, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    told = place.order(columns=[{"name": "carrier", "action": "Hmac"}], hmac_file=str(key))
    with serving(logged_flights, told) as server:
        ask(server, body([(1, 2.5, "UA")]))
        server.wait_for("predictions cannot be written to the store")
        assert place.rows() == []
        key.write_text("a secret")
        wait_until(lambda: metric(server, ROWS) == 1)
        ended(server)

    assert len(place.rows()[0]["features"]["carrier"]) == 32


def test_a_model_without_a_baseline_is_logged_and_not_counted(flights: Path, place: Place) -> None:
    with serving(flights, place.order()) as server:
        ask(server, body([(1, 2.5, "UA")]))
        ended(server)

    assert len(place.rows()) == 1
    assert place.windows() == []
    assert sum("no baseline.json" in line["message"] for line in server.log) == 1


def test_the_store_is_never_in_the_servers_environment(logged_flights: Path, place: Place) -> None:
    with serving(logged_flights, place.order()) as server:
        environment = Path(f"/proc/{server.process.pid}/environ").read_bytes()
        sink = Path(f"/proc/{sink_of(server)}/environ").read_bytes()

    secret = (place.secret / "AWS_SECRET_ACCESS_KEY").read_bytes()
    assert secret not in environment
    assert secret not in sink


def test_a_server_that_is_killed_leaves_what_its_sink_has(logged_flights: Path, place: Place) -> None:
    with serving(logged_flights, place.order(seconds=3600)) as server:
        ask(server, body([(1, 2.5, "UA")]))
        wait_until(lambda: metric(server, PENDING) == 1)
        assert place.rows() == []
        server.process.kill()
        wait_until(place.rows)

    assert len(place.rows()) == 1


def test_a_flag_that_is_no_order_is_explained(logged_flights: Path) -> None:
    command = [sys.executable, "-m", "flywheel_serving", "--model", str(logged_flights), "--record", '{"sample": 2}']
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip

    assert done.returncode == 2
    assert "argument --record: service is missing" in done.stderr
