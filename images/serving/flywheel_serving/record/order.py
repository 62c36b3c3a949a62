"""What the operator orders with `--record`: which predictions are logged, and how personal data is kept out."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Literal

import orjson

Action = Literal["Drop", "Hmac", "Bucket"]


@dataclass(frozen=True)
class Column:
    """What becomes of one input, output or the key: left out, replaced by its HMAC, or by the lower end of a bucket `width` wide."""

    name: str
    action: Action
    width: float = 0.0


@dataclass(frozen=True)
class Order:
    """The JSON of `--record`. `sample` is the share of requests whose rows are logged; counts are of all.

    `key` names the request's parameter or extra input that joins late labels. `store` is the folder of the store Secret's keys, `hmac_file`
    the secret of HMAC columns: both are read by the sink alone, at each of its starts.
    """

    sample: float
    service: str
    namespace: str
    pod: str = "local"
    digest: str = ""
    key: str = ""
    columns: tuple[Column, ...] = ()
    store: str = "/etc/flywheel/store"
    hmac_file: str = ""
    seconds: float = 60.0  # the age at which rows are written, and the length of a count's window
    rows: int = 50_000
    bytes: int = 8 * 1024 * 1024
    drain_seconds: float = 8.0

    def action(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    def document(self) -> str:
        """The JSON again, for the sink."""
        return orjson.dumps(asdict(self)).decode()


def parse(text: str) -> Order:
    """Raises ValueError with the field that is wrong."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004  the text is wrong, not its type
    given = {name: value for name, value in document.items() if name in Order.__dataclass_fields__}
    if missing := [name for name in ("sample", "service", "namespace") if name not in given]:
        raise ValueError(f"{missing[0]} is missing")
    if not isinstance(given["sample"], int | float) or not 0 <= given["sample"] <= 1:
        raise ValueError(f"sample is {given['sample']}, and must be between 0 and 1")
    try:
        columns = tuple(Column(**column) for column in given.pop("columns", ()))
        order = Order(**given, columns=columns)
    except TypeError as error:
        raise ValueError(f"columns: {error}") from error
    for column in order.columns:
        _check(column, order)
    return order


def _check(column: Column, order: Order) -> None:
    if column.action not in ("Drop", "Hmac", "Bucket"):
        raise ValueError(f"column {column.name!r}: action {column.action!r} is none of Drop, Hmac, Bucket")
    if column.action == "Bucket" and not (isinstance(column.width, int | float) and column.width > 0):
        raise ValueError(f"column {column.name!r}: width must be above 0")
    if column.action == "Hmac" and not order.hmac_file:
        raise ValueError(f"column {column.name!r}: HMAC needs hmac_file")


def threshold(sample: float) -> bytes:
    """A request is in the sample if its `place` is below this."""
    return b"\xff" * 33 if sample >= 1 else round(sample * 2**64).to_bytes(8, "big")


def place(request_id: str) -> bytes:
    """Where a request stands between none and all: SHA-256 of its id, of which a sample compares the first 8 bytes.

    The same id is in the sample of every server, and whoever has the ids can tell which rows were logged; in SQL,
    `('0x' || substr(sha256(id), 1, 16))::UBIGINT < sample * 2^64`.
    """
    return hashlib.sha256(request_id.encode()).digest()
