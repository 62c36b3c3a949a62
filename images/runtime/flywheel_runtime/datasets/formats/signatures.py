"""What a file is that is not the text it should be, by its first bytes or its name, and what to do with it."""

from flywheel_runtime.contract.errors import Failure

_UTF16 = "is UTF-16, not UTF-8; convert it, for example with iconv -f utf-16 -t utf-8"
_PACKED = "unpack it, or pack it by gzip"
_OF_BYTES = {
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
    b"PK\x03\x04": "is a ZIP archive, or a workbook such as .xlsx; unpack it, or save the sheet as CSV",
    b"PAR1\x15": "is Parquet; name it .parquet, or set the format to Parquet",
    b"\x1f\x8b": "is packed by gzip twice; unpack it once",
    **{b"BZh%d1AY&SY" % level: f"is packed by bzip2; {_PACKED}" for level in range(1, 10)},
    b"\x28\xb5\x2f\xfd": f"is packed by Zstandard; {_PACKED}",
    b"\xfd7zXZ": f"is packed by xz; {_PACKED}",
}
_OF_SUFFIX = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "save the sheet as CSV"),
    **dict.fromkeys((".zip", ".bz2", ".zst", ".xz", ".7z", ".tar", ".tgz"), _PACKED),
}


def check_text(start: bytes, name: str) -> None:
    """Failure NotUTF8 or FormatUnknown where a file that begins with `start`, unpacked, is known to be something else than text."""
    finding = next((found for signature, found in _OF_BYTES.items() if start.startswith(signature)), None)
    if finding is not None:
        raise Failure("NotUTF8" if finding is _UTF16 else "FormatUnknown", f"File '{name}' {finding}.")


def advise_on_suffix(suffix: str) -> str | None:
    """What to do with a file that no format reads, by its suffix."""
    return _OF_SUFFIX.get(suffix)
