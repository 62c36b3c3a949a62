"""A receipt as one JSON document: its parts, the SHA-256 of each, and one over all of them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flywheel.client.errors import FlywheelError

DOCUMENT, VERSION = "flywheel.ml/receipt", 1
PARTS = ("prediction", "version", "audit", "replay", "contributions")
MAX_BYTES = 64 << 20


def canonical_bytes(value: Any) -> bytes:
    """Returns JSON with sorted keys and no spaces: equal values have equal bytes.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def part_digest(value: Any) -> str:
    """Returns the digest of a part."""
    return f"sha256:{hashlib.sha256(canonical_bytes(value)).hexdigest()}"


@dataclass(frozen=True)
class Receipt:
    """What is known of one prediction. A part that is not known has `missing`, a sentence that says why."""

    made_at: str
    prediction: Mapping[str, Any]
    version: Mapping[str, Any]
    audit: Mapping[str, Any]
    replay: Mapping[str, Any]
    contributions: Mapping[str, Any]

    @property
    def parts(self) -> dict[str, Mapping[str, Any]]:
        """The parts by their names."""
        return {name: getattr(self, name) for name in PARTS}

    def to_document(self) -> dict[str, Any]:
        """Returns the document, which states the digests of its parts and of itself."""
        digests = {name: part_digest(part) for name, part in self.parts.items()}
        head = {"document": DOCUMENT, "v": VERSION, "madeAt": self.made_at, "digests": digests}
        return {**head, "digest": part_digest(head), "parts": self.parts}

    def to_json(self) -> str:
        """Returns the text of a receipt file."""
        return canonical_bytes(self.to_document()).decode() + "\n"


@dataclass(frozen=True)
class ReceiptFile:
    """A parsed receipt file, with one sentence for each change after it was written; nothing else of it was checked."""

    receipt: Receipt
    changes: tuple[str, ...]


def parse_receipt(text: str, name: str) -> ReceiptFile:
    """Parses a receipt file, and compares its parts with the digests that it states.

    Raises:
        FlywheelError: it is no receipt, or one of a newer release.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _no_receipt(name, f"it is no JSON ({error})") from None
    if not isinstance(document, dict) or document.get("document") != DOCUMENT:
        raise _no_receipt(name, f"it does not say that it is a {DOCUMENT}")
    version, parts = document.get("v"), document.get("parts")
    if isinstance(version, int) and version > VERSION:
        raise FlywheelError(
            f"'{name}' is a receipt of format {version}, and this release reads up to {VERSION}; check it with the release that wrote it",
            reason="NewerFormat",
        )
    if version != VERSION or not isinstance(parts, dict):
        raise _no_receipt(name, "it has no version number or no parts")
    broken = [each for each in PARTS if not isinstance(parts.get(each), dict)]
    if broken:
        raise _no_receipt(name, f"its part '{broken[0]}' is missing or is no object")
    receipt = Receipt(str(document.get("madeAt")), **{each: parts[each] for each in PARTS})
    return ReceiptFile(receipt, tuple(_changes(document, receipt)))


def _changes(document: Mapping[str, Any], receipt: Receipt) -> list[str]:
    stated = document.get("digests")
    digests: Mapping[str, Any] = stated if isinstance(stated, dict) else {}
    changes = []
    for name, part in receipt.parts.items():
        try:
            found = part_digest(part)
        except ValueError:  # a number such as NaN, which no receipt has
            found = "none, since it has a number that is not finite"
        if found != digests.get(name):
            changes.append(
                f"the part '{name}' was changed: its digest is {found}, and the receipt states {digests.get(name)}"
            )
    unknown = sorted({*document["parts"], *digests} - set(PARTS))
    if unknown:
        changes.append(f"a part was added: '{unknown[0]}'")
    head = {key: document.get(key) for key in ("document", "v", "madeAt", "digests")}
    if part_digest(head) != document.get("digest"):
        changes.append(
            f"the digests of the parts or the time were changed: together they do not have the digest {document.get('digest')}"
        )
    return changes


def _no_receipt(name: str, finding: str) -> FlywheelError:
    return FlywheelError(
        f"'{name}' is not what 'flywheel why --to' writes: {finding}; give the file as it was written",
        reason="NoReceipt",
    )
