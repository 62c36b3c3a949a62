"""The judge between real servers: a champion that shares its requests by route.json, challengers of every sort, and a user who asks.

What the stories in e2e/ tell on a cluster, without one: the series that the server writes are the ones that the judge reads.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from e2e.onnx_models import faulty, linear, not_a_number, slow
from e2e.traffic import Traffic
from flywheel_runtime.commands.canary_analysis import main
from tests.serving.local_server import LocalServer

pytestmark = pytest.mark.integration
NAME, ROW = "fraud", [100.0, 1.0]
CANARY = {"maxErrorRate": 0.02, "maxP99Ratio": 1000.0, "minRequests": 20}


def port_of(server: LocalServer) -> int:
    return int(server.ready["http"])


@contextmanager
def served(folder: Path, version: str, content: bytes, *flags: str) -> Iterator[LocalServer]:
    """A server of its own process."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(content)
    with LocalServer(folder, "--name", NAME, "--version", version, *flags) as server:
        yield server


def judged(
    folder: Path, challenger: bytes, limits: dict[str, float], mode: str = "Canary"
) -> tuple[dict[str, Any], Traffic]:
    """The judge's facts, and what users saw meanwhile."""
    route = folder / "route.json"
    with (
        served(folder / "one", "fraud-1", linear([1.0, 0.0]), "--route", str(route)) as one,
        served(folder / "two", "fraud-2", challenger) as two,
        Traffic(port_of(one), NAME, ROW) as traffic,
    ):
        sides = [
            {"version": version, "host": "127.0.0.1", "port": port_of(server)}
            for version, server in (("fraud-1", one), ("fraud-2", two))
        ]
        shared = {"v": 1, "mode": mode, "percent": 50, "challenger": sides[1], "timeoutSeconds": 5.0}
        route.write_text(json.dumps(shared))
        asked = {"mode": mode, "model": NAME, "percent": 50, "champion": sides[0], "challenger": sides[1]}
        times = {"seconds": 3, "atMostSeconds": 30, "takesUpSeconds": 30}
        (folder / "params.json").write_text(json.dumps({**asked, **times, "limits": limits}))
        assert main.main() == 0
    facts: dict[str, Any] = json.loads((folder / "outputs/facts.json").read_text())
    return facts, traffic


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLYWHEEL_ROOT", str(tmp_path))
    monkeypatch.setenv("FLYWHEEL_TERMINATION_LOG", str(tmp_path / "termination-log"))
    return tmp_path


@pytest.mark.parametrize(
    ("challenger", "limits", "verdict", "words"),
    [
        pytest.param(linear([2.0, 0.0]), CANARY, "Pass", "had 0 % errors", id="one that answers well"),
        pytest.param(faulty([2.0, 0.0]), CANARY, "Breach", "errors (limit 2 %; ", id="one that errs"),
        pytest.param(not_a_number([2.0, 0.0]), CANARY, "Breach", " invalid", id="one that answers NaN"),
        pytest.param(
            slow([2.0, 0.0]), {**CANARY, "maxP99Ratio": 2.0}, "Breach", "a p99 latency of", id="one that is slow"
        ),
    ],
)
def test_a_canary(folder: Path, challenger: bytes, limits: dict[str, float], verdict: str, words: str) -> None:
    facts, traffic = judged(folder, challenger, limits)

    assert (facts["verdict"], words in facts["message"]) == (verdict, True), facts
    assert traffic.failures == {}
    assert traffic.answers["fraud-1: 100.0"] > 0
    assert set(traffic.answers) <= {"fraud-1: 100.0", "fraud-2: 200.0"}


@pytest.mark.parametrize(
    ("challenger", "verdict", "words"),
    [
        pytest.param(linear([1.0, 0.0], bias=0.00001), "Pass", "disagreed in 0 %", id="one that agrees"),
        pytest.param(linear([2.0, 0.0]), "Breach", "disagreed in 100 % (limit 5 %)", id="one that does not"),
    ],
)
def test_a_shadow(folder: Path, challenger: bytes, verdict: str, words: str) -> None:
    facts, traffic = judged(folder, challenger, {"maxDisagreement": 0.05, "minRequests": 20}, mode="Shadow")
    worst = json.loads((folder / "outputs/examples/worst.json").read_text())

    assert (facts["verdict"], words in facts["message"]) == (verdict, True), facts
    assert traffic.failures == {}
    assert set(traffic.answers) == {"fraud-1: 100.0"}
    assert bool(worst) is (verdict == "Breach")
