"""Charts as SVG by matplotlib: the same numbers give the same bytes, and are drawn once. matplotlib is imported only to draw.

Texts stay texts, so that a chart is small and can be searched, and nothing in them is read as mathematics.
"""

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

REFERENCE_COLOR, CURRENT_COLOR, THRESHOLD_COLOR = "#9aa5b1", "#1f6feb", "#c93c37"
LINE_COLORS = ("#1f6feb", "#bf8700", "#1a7f37", "#8250df", "#bc4c00")
MAX_LABELS = 12  # of bins; beyond, every second or third has one
MAX_LABEL_CHARACTERS = 18
MAX_MARKED_POINTS = 20  # of a curve
AXES = (0.09, 0.24, 0.89, 0.66)  # left, bottom, width and height, of the figure
CURVE_AXES = (0.15, 0.15, 0.81, 0.75)
LEGEND: dict[str, Any] = {
    "frameon": False,
    "ncols": 6,
    "loc": "lower right",
    "bbox_to_anchor": (1, 0.98),
    "borderpad": 0,
}

Draw = Callable[[Any], None]
Place = tuple[float, float, float, float]


class Charts:
    """Draws charts, each content once."""

    def __init__(self) -> None:
        self._drawn: dict[str, str] = {}

    def distribution(
        self,
        labels: Sequence[str],
        reference: Sequence[float],
        current: Sequence[float],
        inner_edges: Sequence[float] = (),
    ) -> str:
        """Steps of the shares (0 to 1) of each bin or category: reference and now. Bins are marked by the edges between them."""

        def draw(axes: Any) -> None:
            axes.stairs(reference, range(len(labels) + 1), fill=True, color=REFERENCE_COLOR, label="reference")
            axes.stairs(current, range(len(labels) + 1), color=CURRENT_COLOR, linewidth=1.6, label="now")
            marks = [f"{edge:.3g}" for edge in inner_edges] or [_shorten(label) for label in labels]
            first = 1.0 if inner_edges else 0.5
            step = max(1, -(-len(marks) // MAX_LABELS))
            places = [first + place for place in range(0, len(marks), step)]
            axes.set_xticks(places, marks[::step], rotation=30, ha="right")
            axes.set_ylabel("share of rows")
            axes.set_xlim(0, len(labels))
            axes.legend(**LEGEND)

        return self._draw(["distribution", labels, reference, current, inner_edges], (6.4, 2.4), draw)

    def trend(
        self, times: Sequence[int], lines: Mapping[str, Sequence[float | None]], threshold: float | None, unit: str
    ) -> str:
        """Lines over time (seconds since 1970) with the threshold; None is a gap."""

        def draw(axes: Any) -> None:
            moments = [datetime.fromtimestamp(time, UTC) for time in times]
            for color, (name, values) in zip(LINE_COLORS, lines.items(), strict=False):
                numbers = [float("nan") if value is None else value for value in values]
                axes.plot(moments, numbers, color=color, marker=".", linewidth=1.2, label=_shorten(name))
            if threshold is not None:
                axes.axhline(threshold, color=THRESHOLD_COLOR, linewidth=1, linestyle="--", label="threshold")
            axes.set_ylabel(unit)
            axes.set_ylim(bottom=0)
            axes.tick_params(axis="x", rotation=30)
            if len(lines) > 1:
                axes.legend(**LEGEND)

        return self._draw(["trend", times, dict(lines), threshold, unit], (6.4, 2.6), draw)

    def curve(
        self,
        lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
        x_label: str,
        y_label: str,
        *,
        diagonal: bool,
    ) -> str:
        """Lines of shares over shares, 0 to 1, with the diagonal where it means something."""

        def draw(axes: Any) -> None:
            if diagonal:
                axes.plot([0, 1], [0, 1], color=REFERENCE_COLOR, linewidth=1, linestyle=":")
            for color, (name, (xs, ys)) in zip(LINE_COLORS, lines.items(), strict=False):
                axes.plot(
                    xs, ys, color=color, marker="." if len(xs) < MAX_MARKED_POINTS else "", linewidth=1.4, label=name
                )
            axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=x_label, ylabel=y_label)
            if len(lines) > 1:
                axes.legend(**LEGEND)

        content = {name: [list(xs), list(ys)] for name, (xs, ys) in lines.items()}
        return self._draw(["curve", content, x_label, y_label, diagonal], (3.6, 3.0), draw, CURVE_AXES)

    def bars(self, labels: Sequence[str], values: Sequence[float], errors: Sequence[float], unit: str) -> str:
        """One bar for each label, with the half width of its interval."""

        def draw(axes: Any) -> None:
            axes.bar(
                range(len(labels)), values, 0.6, yerr=errors, capsize=3, color=CURRENT_COLOR, ecolor=REFERENCE_COLOR
            )
            axes.set_xticks(range(len(labels)), [_shorten(label) for label in labels], rotation=30, ha="right")
            axes.set_ylabel(unit)
            axes.set_ylim(bottom=0)

        return self._draw(["bars", labels, values, errors, unit], (6.4, 2.4), draw)

    def _draw(self, content: Any, size: tuple[float, float], draw: Draw, place: Place = AXES) -> str:
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        if digest not in self._drawn:
            self._drawn[digest] = _render(digest, size, draw, place)
        return self._drawn[digest]


def _render(salt: str, size: tuple[float, float], draw: Draw, place: Place) -> str:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.hashsalt": salt,  # the ids of a page's charts differ
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.family": "sans-serif",
        "font.size": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=size)
        FigureCanvasSVG(figure)
        draw(figure.add_axes(place))  # a place of its own: a layout that fits texts takes nearly as long as the drawing
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = file.getvalue()
    return svg[svg.index("<svg") :]  # within a page there is no XML declaration


def _shorten(text: str) -> str:
    if text.startswith("_"):
        text = f" {text}"  # matplotlib leaves a name that begins with an underscore out of the legend
    return text if len(text) <= MAX_LABEL_CHARACTERS else text[: MAX_LABEL_CHARACTERS - 1] + "…"
