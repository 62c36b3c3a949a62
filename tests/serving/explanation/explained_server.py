"""Servers with an explainer in tests, as a pod has them."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from e2e.waiting import wait_until
from flywheel_serving.explanation.sidecar.worker import LOAD_SECONDS
from tests.serving.local_server import LocalServer
from tests.serving.prediction_log.log_store import metric, start_sink


@contextmanager
def start_explainer(config: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The explainer in its own process, which writes its log to the file."""
    command = [sys.executable, "-m", "flywheel_serving.explanation.sidecar", config]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with log.open("ab") as output, subprocess.Popen(command, stderr=output, env=environment) as explainer:
        try:
            yield explainer
        finally:
            explainer.terminate()
            try:
                explainer.wait(20)
            finally:
                explainer.kill()


@contextmanager
def explained_server(
    model: Path, log: Path, record: str | None = None, *, waits: bool = True, **explain: Any
) -> Iterator[LocalServer]:
    """A server whose explainer has loaded the model; with `record`, the JSON of `--record`, it logs, too."""
    with tempfile.TemporaryDirectory(prefix="explain-") as folder, ExitStack() as stack:
        config = json.dumps({"header": True, "socket": f"{folder}/explain", "model": str(model), **explain})
        stack.enter_context(start_explainer(config, log))
        flags = ["--name", "delay", "--version", "v1", "--drain-seconds", "0", "--explain", config]
        sink = None
        if record is not None:
            with_socket = json.dumps({**json.loads(record), "explanations": True, "socket": f"{folder}/sink"})
            sink = stack.enter_context(start_sink(with_socket, log.with_name("sink.log")))
            wait_until(Path(folder, "sink").exists)
            flags += ["--record", with_socket]
        wait_until(Path(folder, "explain").exists)
        server = stack.enter_context(LocalServer(model, *flags))
        server.sink = sink
        if waits:
            wait_until(lambda: "explaining" in log.read_text(), LOAD_SECONDS)  # it gives way to all other work
            wait_until(lambda: metric(server, "flywheel_explainer_connected") == 1)
        yield server
