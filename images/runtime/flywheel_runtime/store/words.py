"""What a broken connection says, in words for people."""

import re


def plain_words(error: Exception) -> str:
    """The finding, without the library's wrapping."""
    text = str(getattr(error, "kwargs", {}).get("error") or error)
    for sign, words in (
        ("Connection refused", "connection refused"),
        ("Name or service not known", "its name is not known"),
        ("Temporary failure in name resolution", "its name is not known"),
        ("No address associated", "its name is not known"),
        ("timed out", "timed out"),
        ("imeout", "timed out"),
        ("certificate", "its certificate is not trusted"),
        ("reset", "connection lost"),
        ("closed", "connection lost"),
        ("No route", "no route to it"),
    ):
        if sign in text:
            return words
    return re.sub(r"\s+", " ", text)[:200]
