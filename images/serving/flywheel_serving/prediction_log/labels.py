"""Labels that clients post for earlier predictions: parsed, bounded, and sent to the sink until the store has them.

A label names its prediction by the id of the response and the index of the row in the request, or by the row's key. Where rows were
drawn to be labelled, such as by `flywheel label`, a label has the probability with which its row was drawn.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from flywheel_serving.errors import InvalidRequest, Overloaded, RequestTooLarge
from flywheel_serving.prediction_log.batches import encode_message
from flywheel_serving.prediction_log.config import MAX_KEY_LENGTH, LogConfig
from flywheel_serving.prediction_log.metrics import LogMetrics

MAX_LABELS = 1_000  # of one request, which is parsed while others wait
MAX_BODY_BYTES = 256 * 1024
MAX_TEXT_LENGTH = 1_000
MAX_ROW = 2**31 - 1
MIN_PROBABILITY = 1e-6  # of a draw: a row counts as 1/probability rows, and no draw is of so few of so many
# Of labels that the store does not have yet. One client may fill half, so that it keeps no other out.
MAX_PENDING_BYTES = 2 * 1024 * 1024
MAX_PENDING_BYTES_OF_PEER = MAX_PENDING_BYTES // 2
MESSAGE_OVERHEAD_BYTES = 256  # of the objects of one message
SERVICE_ACCOUNT = "system:serviceaccount:"
MAX_SOURCE_LENGTH = 400  # the longest name of a ServiceAccount has 22 + 63 + 1 + 253 characters
SOURCE_HEX_DIGITS = 16
FIELDS = frozenset({"id", "row", "key", "label", "probability"})
BODY_FORM = '{"labels": [{"id": "…", "row": 0, "label": …}]}'

Columns = dict[str, list[Any]]  # id, row, key, label and probability of each


@dataclass(slots=True)
class _PendingMessage:
    content: bytes
    peer: str
    labels: int
    was_sent: bool = True

    @property
    def size(self) -> int:
        return len(self.content) + MESSAGE_OVERHEAD_BYTES


class LabelLog:
    """Belongs to the event loop. `send` returns whether a message was accepted."""

    def __init__(self, config: LogConfig, send: Callable[[bytes, int], bool], metrics: LogMetrics) -> None:
        self._config, self._send_message, self._metrics = config, send, metrics
        self._pending: dict[int, _PendingMessage] = {}  # by number, oldest first
        self._bytes_by_peer: Counter[str] = Counter()
        self._number = 0

    def add(self, body: bytes, peer: str, caller: str = "") -> int:
        """Sends the labels in `body`, which `caller` posted, to the sink and returns their number. Raises InvalidRequest, RequestTooLarge or Overloaded."""
        columns = parse_labels(body, self._config)
        count = len(columns["label"])
        source = name_source(caller, self._config.namespace, self._config.service)
        head = {"kind": "labels", "number": self._number, "time": time.time_ns() // 1000, "source": source, **columns}
        message = _PendingMessage(encode_message(head), peer, count)
        peer_bytes = self._bytes_by_peer[peer] + message.size
        is_full = (
            peer_bytes > MAX_PENDING_BYTES_OF_PEER or self._bytes_by_peer.total() + message.size > MAX_PENDING_BYTES
        )
        if is_full or not self._send_message(message.content, 0):
            self._metrics.labels["refused"] += count
            raise Overloaded(
                "more labels wait for the store than fit into memory; retry in a second, and post fewer at once"
            )
        self._pending[self._number] = message
        self._bytes_by_peer[peer] = peer_bytes
        self._number += 1
        return count

    def resend(self) -> None:
        """Sends all that the store does not have to a new writer."""
        for message in self._pending.values():
            message.was_sent = False
        self.send_unsent()

    def send_unsent(self) -> None:
        """Sends what a full connection did not accept before."""
        for message in self._pending.values():
            if not message.was_sent:
                message.was_sent = self._send_message(message.content, 0)

    def on_written(self, numbers: list[int]) -> None:
        """Notes the numbers of messages that the store has."""
        for number in numbers:
            if (message := self._pending.pop(number, None)) is not None:
                self._metrics.labels["written"] += message.labels
                self._bytes_by_peer[message.peer] -= message.size
                if not self._bytes_by_peer[message.peer]:
                    del self._bytes_by_peer[message.peer]

    def give_up(self) -> None:
        """Counts the labels that the store does not have as lost."""
        self._metrics.labels["lost"] += sum(message.labels for message in self._pending.values())


def parse_labels(body: bytes, config: LogConfig) -> Columns:
    """Returns the labels in the JSON `body` by column. Raises InvalidRequest, or RequestTooLarge for too many."""
    if len(body) > MAX_BODY_BYTES:
        raise RequestTooLarge(f"body: at most {MAX_BODY_BYTES} bytes of labels are accepted; send several requests")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"body: not valid JSON: {error}") from error
    entries = document.get("labels") if type(document) is dict and len(document) == 1 else None
    if type(entries) is not list or not entries:
        raise InvalidRequest(f"body: wanted {BODY_FORM} with one label at least")
    if len(entries) > MAX_LABELS:
        raise RequestTooLarge(f"labels: at most {MAX_LABELS} are accepted in one request; send several requests")
    columns: Columns = {"id": [], "row": [], "key": [], "label": [], "probability": []}
    for index, entry in enumerate(entries):
        try:
            values = _parse_entry(entry, config)
        except ValueError as error:
            raise InvalidRequest(f"labels[{index}]{error}") from error
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    return columns


def _parse_entry(entry: Any, config: LogConfig) -> tuple[str | None, int, str | None, str, float | None]:
    """(id, row, key, label, probability); either the id or the key is None. Raises ValueError with the field and the finding."""
    if type(entry) is not dict:
        raise ValueError(": wanted an object with id or key, and label")
    if unknown := entry.keys() - FIELDS:
        raise ValueError(f": unknown {sorted(unknown)[0][:100]!r}; wanted id, row, key, label and probability")
    id_, row, key = entry.get("id"), entry.get("row", 0), entry.get("key")
    if (id_ is None) == (key is None):
        raise ValueError(": wanted the id of the prediction's response, or the row's key, and not both")
    if id_ is not None and (type(id_) is not str or not 0 < len(id_) <= MAX_TEXT_LENGTH):
        raise ValueError(f".id: wanted text of at most {MAX_TEXT_LENGTH} characters, as the response had it")
    if type(row) is not int or not 0 <= row <= MAX_ROW:
        raise ValueError(f".row: wanted the index of the row in its request, found {_excerpt(row)}")
    parsed_key = None if key is None else _parse_key(key, "row" in entry, config)
    return id_, row, parsed_key, _parse_label(entry.get("label")), _parse_probability(entry.get("probability"))


def _parse_key(key: Any, has_row: bool, config: LogConfig) -> str:
    if has_row:
        raise ValueError(".row: a key names one row; leave it out")
    if type(key) not in (str, int):
        raise ValueError(f".key: wanted text or a whole number, found {_excerpt(key)}")
    rule = config.rule(config.key)
    if not config.key:
        raise ValueError(".key: this service logs no key; send the id, or set spec.logging.key of the InferenceService")
    if rule is not None and rule.action == "Drop":
        raise ValueError(".key: spec.logging.columns of the InferenceService drops the key; send the id")
    return str(key)[:MAX_KEY_LENGTH]


def _parse_label(label: Any) -> str:
    """The label as text: a class, or a number, whole ones without a point."""
    if type(label) is bool:
        return "true" if label else "false"
    if type(label) is float:
        return str(int(label)) if label.is_integer() else repr(label)
    if type(label) is int:
        return str(label)
    if type(label) is not str or not 0 < len(label) <= MAX_TEXT_LENGTH:
        found = _excerpt(label)
        raise ValueError(
            f".label: wanted text of at most {MAX_TEXT_LENGTH} characters, a number, true or false, found {found}"
        )
    return label


def _parse_probability(probability: Any) -> float | None:
    """The probability with which the row was drawn; None where it was not drawn."""
    if probability is None:
        return None
    if type(probability) not in (int, float) or not MIN_PROBABILITY <= probability <= 1:
        found = _excerpt(probability)
        raise ValueError(
            f".probability: wanted a number from 0.000001 to 1, with which the row was drawn, found {found}"
        )
    return float(probability)


def _excerpt(value: Any) -> str:
    return orjson.dumps(value)[:60].decode("utf-8", "replace")


def name_source(caller: str, namespace: str, service: str) -> str:
    """The source of the labels of `caller`, the user name of Kubernetes or the claim `sub`; empty if nobody was authenticated.

    A ServiceAccount has its name. Anybody else has a pseudonym: who knows the name can compute it (monitors do, for their trusted sources),
    and it is another one for each service.
    """
    if not caller or (caller.startswith(SERVICE_ACCOUNT) and len(caller) <= MAX_SOURCE_LENGTH):
        return caller
    return "user-" + hashlib.sha256(f"{namespace}/{service}\0{caller}".encode()).hexdigest()[:SOURCE_HEX_DIGITS]
