"""Traffic at times in the past: what a server would have logged, had it been asked then.

The clock of a running server cannot be turned back. Here the server's own code computes, counts and encodes, and only the time is given.
Errors and latencies are not counted, since nothing measures them, but those errors that a story says.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

import numpy
import orjson
import pandas
from numpy.typing import NDArray

from e2e import artifacts, kube
from flywheel_serving.errors import FAILED
from flywheel_serving.infer.requests import DIRECT
from flywheel_serving.metrics.server_metrics import ServerMetrics
from flywheel_serving.model.onnx_model import OnnxModel
from flywheel_serving.prediction_log.baseline import read_baseline
from flywheel_serving.prediction_log.batches import LENGTH_BYTES, BatchEncoder, LoggedRequest, decode_message
from flywheel_serving.prediction_log.config import LogConfig
from flywheel_serving.prediction_log.count_windows import CountWindows
from flywheel_serving.prediction_log.counts import Counts
from flywheel_serving.prediction_log.labels import MAX_LABELS, parse_labels
from flywheel_serving.prediction_log.metrics import LogMetrics
from flywheel_serving.prediction_log.schema import row_schema
from flywheel_serving.prediction_log.service_counts import ServiceCounts
from flywheel_serving.prediction_log.sink.parquet import ParquetEncoder

MINUTE = 60  # seconds that a document of counts covers
LATENCY_SECONDS = 0.001  # of each request, since none is measured
UPLOADS = 8  # at once

Tensors = dict[str, NDArray[Any]]
Objects = Iterator[tuple[str, bytes]]
"""Keys in the bucket, and contents."""
Heads = Iterator[dict[str, Any]]


@dataclass(frozen=True)
class Traffic:
    """Requests to replay: `rows` with the model's columns in the order of `times` (seconds since 1970), and what turned out to be true,
    None where nobody has posted it yet.

    Rows of a minute come together in requests of at most MAX_LABELS rows. Their labels are posted `label_seconds` after that minute, by
    `sources`, one of each row; empty, by nobody who was authenticated.
    """

    rows: pandas.DataFrame
    times: NDArray[numpy.float64]
    labels: Sequence[Any] | None
    label_seconds: float = 0.0
    sources: Sequence[str] = ()

    def minutes(self) -> Iterator[tuple[int, list[slice]]]:
        """The start of each minute with rows, and the rows of its requests."""
        starts = (self.times // MINUTE * MINUTE).astype(int).tolist()
        first = 0
        for start, listed in groupby(starts):
            end = first + sum(1 for _ in listed)
            yield start, [slice(at, min(at + MAX_LABELS, end)) for at in range(first, end, MAX_LABELS)]
            first = end


class ReplayedServer:
    """A server of the version in `folder` that logs everything and has ended. `config` is that of the flag --record."""

    def __init__(self, folder: Path, version: str, config: LogConfig, boot: str, failed_share: float = 0.0) -> None:
        """Raises ValueError if the version has no baseline: its traffic could not be counted.

        `failed_share`: so many requests as a share of the answered rows were such that the model failed, in each minute.
        """
        self._model = OnnxModel(folder / "model.onnx")
        self._version, self._config, self._boot = version, config, boot
        signature = self._model.signature
        baseline = read_baseline(folder / "baseline.json", signature)
        if baseline is None:
            raise ValueError(f"{version} has no baseline.json, so its traffic cannot be counted; train it by Flywheel")
        schema = row_schema(signature, config)
        self._rows, self._files = BatchEncoder(schema), ParquetEncoder(config, schema, version, None)
        self._counts, self._now = Counts(baseline), 0.0
        self._sent: list[bytes] = []
        identity = {"service": config.service, "namespace": config.namespace, "pod": config.pod, "boot": boot}
        served = {"version": version, "digest": config.digest, "baseline": baseline.digest}
        self._metrics, self._failed_share = ServerMetrics(config.service, version), failed_share
        service = ServiceCounts(self._metrics) if failed_share else None
        self._windows = CountWindows(identity | served, self._accept, LogMetrics(), lambda: self._now, service)
        self._numbers: Counter[str] = Counter()  # of requests, and of files by kind

    def replay(self, traffic: Traffic) -> Objects:
        """What the log has of the traffic: counts of each minute, rows and labels of each hour."""
        feeds, outputs = self._predict(traffic.rows)
        rows: dict[str, list[bytes]] = {}
        labels: dict[str, list[dict[str, Any]]] = {}
        for start, places in traffic.minutes():
            requests = []
            for place in places:
                inputs, response = ({name: each[place] for name, each in side.items()} for side in (feeds, outputs))
                request = self._make_request(inputs, response, float(traffic.times[place.start]))
                message = self._rows.encode(self._rows.shape(request), [request])
                rows.setdefault(_hour(start), []).append(message[LENGTH_BYTES:])
                if traffic.labels is not None:
                    posted = start + MINUTE + traffic.label_seconds
                    heads = self._label_heads(request.id, traffic.labels[place], traffic.sources[place], posted)
                    labels.setdefault(_hour(posted), []).extend(heads)
                requests.append(request)
            yield self._count(requests, start)
        for hour, messages in rows.items():
            yield self._file_key("rows", hour), self._files.encode(messages)
        for hour, posts in labels.items():
            yield self._file_key("labels", hour), self._files.encode_labels(posts)

    def _predict(self, rows: pandas.DataFrame) -> tuple[Tensors, Tensors]:
        """The inputs and outputs of all rows."""
        signature = self._model.signature
        feeds = {each.name: artifacts.input_tensor(rows[each.name], each.datatype) for each in signature.inputs}
        names = [each.name for each in signature.outputs]
        return feeds, dict(zip(names, self._model.run(feeds, names), strict=True))

    def _make_request(self, feeds: Tensors, outputs: Tensors, time: float) -> LoggedRequest:
        """One request for these rows, with the model's response."""
        id_, rows = f"{self._boot}-{self._next_number('requests')}", len(next(iter(feeds.values())))
        time_us = int(time * 1e6)
        return LoggedRequest(id_, time_us, feeds, outputs, rows, LATENCY_SECONDS, self._version, DIRECT, None)

    def _count(self, requests: Sequence[LoggedRequest], start: int) -> tuple[str, bytes]:
        """The document of a minute with these requests."""
        self._now = start
        self._windows.close_window(self._counts)  # nothing was counted since the minute before
        for each in requests:
            self._counts.observe(each.feeds, [*each.outputs], [*each.outputs.values()], each.rows)
        self._counts.count_observed()
        rows = sum(each.rows for each in requests)
        for _ in range(rows):
            self._metrics.infer_seconds.observe(LATENCY_SECONDS)
        self._metrics.errors[FAILED] += round(self._failed_share * rows)
        self._windows.add_totals(len(requests), rows)
        self._now = start + MINUTE - 0.001
        self._windows.close_window(self._counts)
        head, _ = decode_message(self._sent.pop()[LENGTH_BYTES:])
        self._windows.on_written({"window": head["window"], "outcome": "written"})
        name = f"{self._config.pod}-{self._boot}-{head['window']:06}.json"
        return self._key("counts", _hour(head["from"]), name), json.dumps(head["document"], sort_keys=True).encode()

    def _accept(self, message: bytes, _rows: int) -> bool:
        self._sent.append(message)
        return True

    def _label_heads(self, id_: str, labels: Sequence[Any], sources: Sequence[str], posted: float) -> Heads:
        """The labels of one request's rows, as the server passes them to its sink: those of each source together."""
        entries: dict[str, list[dict[str, Any]]] = {}
        for row, (label, source) in enumerate(zip_longest(labels, sources, fillvalue="")):
            entries.setdefault(source, []).append({"id": id_, "row": row, "label": label})
        for source, listed in entries.items():
            columns = parse_labels(orjson.dumps({"labels": listed}), self._config)
            yield {"time": int(posted * 1e6), "source": source, **columns}

    def _file_key(self, kind: str, hour: str) -> str:
        pod = self._config.pod
        return self._key(kind, f"{hour}/pod={pod}", f"{pod}-{self._boot[:8]}-{self._next_number(kind):06}.parquet")

    def _key(self, kind: str, folder: str, name: str) -> str:
        return f"{self._config.namespace}/predictions/{self._config.service}/{kind}/{folder}/{name}"

    def _next_number(self, kind: str) -> int:
        self._numbers[kind] += 1
        return self._numbers[kind]


def remove_replayed(config: LogConfig) -> None:
    """Remove what an earlier replay with this pod's name has written, since its times are others."""
    store, bucket = kube.store(), kube.bucket()
    prefix = f"{config.namespace}/predictions/{config.service}/"
    for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for each in page.get("Contents", []):
            if each["Key"].rpartition("/")[2].startswith(f"{config.pod}-"):
                store.delete_object(Bucket=bucket, Key=each["Key"])


def upload(objects: Objects) -> int:
    """Write the objects into the trial store, and return their number."""
    store, bucket = kube.store(), kube.bucket()
    with ThreadPoolExecutor(UPLOADS) as pool:
        written = pool.map(lambda each: store.put_object(Bucket=bucket, Key=each[0], Body=each[1]), objects)
        return sum(1 for _ in written)


def _hour(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):dt=%Y-%m-%d/hour=%H}"
