"""The flag `--record`: which predictions are logged, and how personal data is kept out of the log."""

import argparse
import hashlib
from dataclasses import dataclass
from typing import Literal

import orjson

from flywheel_serving.flag_types import json_object, parsed_by

Action = Literal["Drop", "Hmac", "Bucket"]
ACTIONS = ("Drop", "Hmac", "Bucket")
MAX_KEY_LENGTH = 200  # of a join key; what is longer is cut


@dataclass(frozen=True)
class ColumnRule:
    """What is logged for one input, output or the key: nothing, its HMAC, or the lower end of a bucket `width` wide."""

    name: str
    action: Action
    width: float = 0.0


@dataclass(frozen=True)
class LogConfig:
    """The JSON of `--record`. `sample` is the share of requests whose rows are logged; all requests are counted.

    `key` names the parameter or extra input that joins late labels. `store` is a folder with the keys of the store's
    Secret, `hmac_file` the secret of HMAC columns: only the writer reads them, at each of its attempts. `socket` is
    where the sink listens.
    """

    sample: float
    service: str
    namespace: str
    pod: str = "local"
    digest: str = ""  # of the model's artifact
    key: str = ""
    columns: tuple[ColumnRule, ...] = ()
    store: str = "/etc/flywheel/store"
    hmac_file: str = ""
    socket: str = "/run/flywheel-log/sink.sock"
    seconds: float = 60.0  # the age at which rows are written, and the length of a window of counts
    rows: int = 50_000  # that are written at once
    bytes: int = 8 * 1024 * 1024  # that are written at once
    explanations: bool = False  # rows have the column `explanation`
    drain_seconds: float = 8.0  # for the writer to finish after the server has ended

    def rule(self, name: str) -> ColumnRule | None:
        """The rule of the column `name`, None if its values are logged unchanged."""
        return next((column for column in self.columns if column.name == name), None)

    def to_json(self) -> str:
        """The JSON that `parse_log_config` reads."""
        return orjson.dumps(self).decode()


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flag of prediction logging."""
    parser.add_argument_group("prediction logging").add_argument(
        "--record",
        type=parsed_by(parse_log_config),
        metavar="JSON",
        help="log predictions and count requests; images/README.md",
    )


def parse_log_config(text: str) -> LogConfig:
    """The configuration in the JSON `text`; unknown fields are ignored. Raises ValueError with the wrong field."""
    document = json_object(text)
    fields = {name: value for name, value in document.items() if name in LogConfig.__dataclass_fields__}
    if missing := [name for name in ("sample", "service", "namespace") if name not in fields]:
        raise ValueError(f"{missing[0]} is missing")
    if not isinstance(fields["sample"], int | float) or not 0 <= fields["sample"] <= 1:
        raise ValueError(f"sample is {fields['sample']}, and must be between 0 and 1")
    try:
        columns = tuple(ColumnRule(**column) for column in fields.pop("columns", ()))
        config = LogConfig(**fields, columns=columns)
    except TypeError as error:
        raise ValueError(f"columns: {error}") from error
    for column in config.columns:
        _check(column, config)
    return config


def _check(column: ColumnRule, config: LogConfig) -> None:
    if column.action not in ACTIONS:
        raise ValueError(f"column {column.name!r}: action {column.action!r} is none of {', '.join(ACTIONS)}")
    if column.action == "Bucket" and not (isinstance(column.width, int | float) and column.width > 0):
        raise ValueError(f"column {column.name!r}: width must be above 0")
    if column.action == "Hmac" and not config.hmac_file:
        raise ValueError(f"column {column.name!r}: HMAC needs hmac_file")


def sample_threshold(sample: float) -> bytes:
    """A request is in the sample if its `sample_position` is below this."""
    return b"\xff" * 33 if sample >= 1 else round(sample * 2**64).to_bytes(8, "big")


def sample_position(request_id: str) -> bytes:
    """SHA-256 of a request's id, whose first 8 bytes are compared with the threshold.

    The same id is in the sample of every server, and users who have the ids can tell which rows were logged; in SQL,
    `('0x' || substr(sha256(id), 1, 16))::UBIGINT < sample * 2^64`.
    """
    return hashlib.sha256(request_id.encode()).digest()
