"""Tables and sections of the page. Names and values come from requests, so every text is escaped unless it is Html."""

from collections.abc import Iterable, Sequence
from html import escape


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


class Number(str):
    """Text that is aligned to the right."""

    __slots__ = ()


def render_section(title: str, content: str) -> str:
    """A section of the page; `content` is HTML."""
    return f"<h2>{escape(title)}</h2>{content}"


def render_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, whose texts are escaped."""
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(each)}</th>' for each in header)}</tr>{body}</table>"


def _cell(text: str) -> str:
    if isinstance(text, Html):
        return f"<td>{text}</td>"
    return f'<td class="n">{escape(text)}</td>' if isinstance(text, Number) else f"<td>{escape(text)}</td>"


def format_number(value: float | None) -> str:
    """Three significant digits; empty for None."""
    return "" if value is None else f"{value:.3g}"
