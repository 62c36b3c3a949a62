"""Logs of running trials, line by line, as `kubectl logs -f` shows them: with the rights of the user."""

import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

from flywheel.client.controls import escape_controls
from flywheel.client.transport.pod_logs import open_pod_log, read_chunks
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import POD, Manifest
from flywheel.core.resource.names import STEP_LABEL, UID_LABEL

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from flywheel.cluster.client import Client

MAX_LINES = 2000  # of one pod; the reader has the whole log
MAX_LINE_CHARACTERS = 2000
MAX_PENDING_BYTES = 1 << 16  # of a line without an end
JOIN_SECONDS = 5


class LogStream:
    """The logs of an Experiment's pods. `show` gets each line, from several threads, one at a time."""

    def __init__(self, cluster: "Client", namespace: str, uid: str, show: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._uid = uid
        self._show = show
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        self._refused = False
        self._stopped = False

    def follow_new_pods(self) -> None:
        """Begins to follow each pod whose main container has started since the last call. Without an answer, the next call does."""
        if self._refused:
            return
        try:
            pods = self._cluster.list_objects(POD, self._namespace, f"{UID_LABEL}={self._uid}")
        except ApiError as error:
            if error.forbidden:
                self._refuse("'list' pods")
            return  # the logs are recorded anyway
        for pod in pods:
            uid = pod["metadata"]["uid"]
            if uid not in self._threads and _main_has_started(pod):
                name, step = pod["metadata"]["name"], pod["metadata"]["labels"].get(STEP_LABEL, "")
                thread = threading.Thread(target=self._follow, args=(name, step.replace("-", " ", 1)), daemon=True)
                self._threads[uid] = thread
                thread.start()

    def finish(self) -> None:
        """Waits until what ended pods wrote last is shown."""
        for thread in self._threads.values():
            thread.join(JOIN_SECONDS)

    def stop(self) -> None:
        """Shows nothing more: the lines of pods that still run would appear below another cell."""
        self._stopped = True

    def write_line(self, line: str) -> None:
        """Shows a line among those of the logs."""
        with self._lock:
            if not self._stopped:
                self._show(line)

    def _follow(self, pod: str, title: str) -> None:
        try:
            response = open_pod_log(self._cluster, self._namespace, pod, follow=True)
        except ApiError:
            return  # the trial goes on, and its log is recorded at its end
        try:
            if response.status == HTTPStatus.FORBIDDEN:
                self._refuse("'get' pods/log")
            elif response.status == HTTPStatus.OK:
                self._show_lines(title, read_lines(response))
        finally:
            response.close()  # an unread body would be taken for the next response

    def _show_lines(self, title: str, lines: Iterator[str]) -> None:
        for number, line in enumerate(lines):
            if self._stopped:
                return
            if number == MAX_LINES:
                self.write_line(f"{title} | more lines are not shown; log() of the trial has them when it has ended")
                return
            self.write_line(f"{title} | {line}")

    def _refuse(self, missing: str) -> None:
        with self._lock:
            first, self._refused = not self._refused, True
        if first:
            self.write_line(
                f"Logs are shown when trials have ended: you may not {missing} in namespace '{self._namespace}'."
            )


def read_lines(response: "BaseHTTPResponse") -> Iterator[str]:
    """Yields the lines of a log, without what would control a terminal."""
    from urllib3.exceptions import HTTPError

    rest = b""
    try:
        for chunk in read_chunks(response):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from map(clean_line, lines)
            if len(rest) > MAX_PENDING_BYTES:
                yield clean_line(rest)
                rest = b""
    except HTTPError:
        return  # the connection ended with the pod
    if rest:
        yield clean_line(rest)


def clean_line(line: bytes) -> str:
    """Returns a line as text that is safe to print: control characters are escaped, and a long line is cut."""
    text = line.decode(errors="replace").rstrip("\r")
    text = text if len(text) <= MAX_LINE_CHARACTERS else f"{text[:MAX_LINE_CHARACTERS]}…"
    return escape_controls(text, "\t")


def _main_has_started(pod: Manifest) -> bool:
    states = [
        each.get("state") or {}
        for each in (pod.get("status") or {}).get("containerStatuses") or ()
        if each["name"] == "main"
    ]
    return any("running" in state or "terminated" in state for state in states)
