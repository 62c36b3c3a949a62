"""The judge as it runs in its pod, against servers on loopback that give pages of metrics."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flywheel_runtime.commands.canary_analysis import main
from tests.runtime.commands.canary_analysis.metrics_page import CHALLENGER, Page

pytestmark = pytest.mark.integration
LIMITS = {"maxErrorRate": 0.01, "maxP99Ratio": 1.5, "minRequests": 20}
EXAMPLES = {"examples": [{"id": "1", "difference": 0.5}, {"id": "2", "difference": None}, {"id": "3", "difference": 2}]}


@contextmanager
def server(page: Page) -> Iterator[int]:
    """A server that shows a page, and examples of a shadow."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"/metrics": page.text, "/v2/models/delay/shadow": json.dumps(EXAMPLES)}
            body = known.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield int(found.server_address[1])
        found.shutdown()
        thread.join()


@contextmanager
def happening(step: Callable[[], None]) -> Iterator[None]:
    """Something that goes on every 50 ms meanwhile."""
    stop = threading.Event()

    def go_on() -> None:
        while not stop.wait(0.05):
            step()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLYWHEEL_ROOT", str(tmp_path))
    monkeypatch.setenv("FLYWHEEL_TERMINATION_LOG", str(tmp_path / "termination-log"))
    return tmp_path


def judged(root: Path, champion: int, challenger: int, **params: Any) -> dict[str, Any]:
    """The facts that it leaves."""
    sides = {
        "champion": {"version": "delay-1", "host": "127.0.0.1", "port": champion},
        "challenger": {"version": CHALLENGER, "host": "127.0.0.1", "port": challenger},
    }
    usual = {
        "mode": "Canary",
        "model": "delay",
        "percent": 5,
        "seconds": 3,
        "atMostSeconds": 3,
        "takesUpSeconds": 2,
        "limits": LIMITS,
    }
    (root / "params.json").write_text(json.dumps({**usual, **sides, **params}))
    assert main.main() == 0
    facts: dict[str, Any] = json.loads((root / "outputs/facts.json").read_text())
    assert json.loads((root / "outputs/metrics.json").read_text()) == pytest.approx(facts["numbers"])
    return facts


def test_a_good_challenger_passes_once_its_step_is_over(root: Path) -> None:
    champion, challenger = Page(), Page(CHALLENGER)
    champion.percent.set(5)
    champion.forwards(Failed=50)  # before the step

    def traffic() -> None:
        champion.answers(10, 0.004)
        champion.forwards(Answered=2)
        challenger.answers(2, 0.004)

    began = time.monotonic()
    with server(champion) as one, server(challenger) as other, happening(traffic):
        facts = judged(root, one, other)

    assert facts["verdict"] == "Pass", facts
    assert facts["numbers"]["errorRate"] == 0
    assert time.monotonic() - began >= 3


def test_a_bad_one_is_found_before_its_step_is_over(root: Path) -> None:
    champion, challenger = Page(), Page(CHALLENGER)
    champion.percent.set(5)
    champion.forwards(Failed=0)

    with server(champion) as one, server(challenger) as other, happening(lambda: champion.forwards(Failed=5)):
        facts = judged(root, one, other, seconds=600)

    assert (facts["verdict"], facts["numbers"]["errorRate"]) == ("Breach", 1.0)


def test_where_there_are_too_few_requests_it_waits_for_more(root: Path) -> None:
    champion, challenger = Page(), Page(CHALLENGER)
    champion.percent.set(5)
    champion.forwards(Answered=0)

    def little_traffic() -> None:
        champion.answers(1, 0.004)
        champion.forwards(Answered=1)
        challenger.answers(1, 0.004)

    with server(champion) as one, server(challenger) as other, happening(little_traffic):
        limits = {**LIMITS, "minRequests": 40}
        facts = judged(root, one, other, seconds=1, atMostSeconds=60, limits=limits)

    assert facts["verdict"] == "Pass"
    assert facts["numbers"]["requests"] >= 40


def test_a_route_that_is_not_taken_up_cannot_be_measured(root: Path) -> None:
    with server(Page()) as one, server(Page(CHALLENGER)) as other:
        facts = judged(root, one, other, takesUpSeconds=1)

    assert facts["verdict"] == "CannotMeasure"
    assert "after 1 s the champion's servers do not share their requests with it" in facts["message"]


def test_nobody_there_cannot_be_measured(root: Path) -> None:
    facts = judged(root, 1, 1, takesUpSeconds=1)

    assert facts["verdict"] == "CannotMeasure"


def test_a_shadow_leaves_its_worst_examples_as_an_output(root: Path) -> None:
    champion = Page()
    champion.percent.set(20)
    champion.compares(Agreed=0)

    with server(champion) as one, server(Page(CHALLENGER)) as other, happening(lambda: champion.compares(Agreed=3)):
        limits = {"maxDisagreement": 0.01, "minRequests": 20}
        facts = judged(root, one, other, mode="Shadow", percent=20, limits=limits)

    worst = json.loads((root / "outputs/examples/worst.json").read_text())
    assert facts["verdict"] == "Pass"
    assert [each["id"] for each in worst] == ["2", "3", "1"]


def test_params_that_cannot_be_read_name_what_is_missing(root: Path) -> None:
    (root / "params.json").write_text(json.dumps({"mode": "Canary"}))

    assert main.main() == 2
    assert "model: Field required" in json.loads((root / "termination-log").read_text())["message"]
