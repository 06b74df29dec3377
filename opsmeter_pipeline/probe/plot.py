"""The picture of the probes' days: a plain SVG as a Markdown image, which Dagster's UI shows.

A day without probes is drawn as unknown, never as quick. Pure text from plain rows; add here what
is drawn, and nothing that reads.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import polars as pl

SHOWN_DAYS = 30
_WIDTH, _HEIGHT = 760, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 52, 44
_ROOM = _WIDTH - _LEFT - _RIGHT
_BASE = _HEIGHT - _BOTTOM
_LABELS = 10
"""How many days are named at most."""
_INK, _QUIET, _LINE = "#1f2933", "#616e7c", "#d9dee5"
_P50, _P95, _LOST = "#2b6cb0", "#9cc3ea", "#b42318"
_TEXT = '<text x="{x:.1f}" y="{y:.1f}" fill="{fill}" font-size="{size}" text-anchor="{anchor}">'


def draw_days(days: pl.DataFrame) -> str:
    """Return a Markdown image of rows of `probes_daily`, the oldest first."""
    rows = days.to_dicts()
    svg = draw_svg(rows)
    image = base64.b64encode(svg.encode()).decode()
    told = f"Probes from {rows[0]['day']} to {rows[-1]['day']}" if rows else "No probes yet"
    return f"![{told}](data:image/svg+xml;base64,{image})"


def tell_days(days: pl.DataFrame) -> dict[str, str]:
    """Return what the newest day says, as texts by name; what is not known says so."""
    if days.is_empty():
        return {"state": "unknown"}
    newest = days.row(-1, named=True)
    return {
        "newest_day": newest["day"].isoformat(),
        "state": newest["state"],
        "p50_seconds": _show(newest["p50_seconds"]),
        "p95_seconds": _show(newest["p95_seconds"]),
        "lost": str(newest["lost"]),
    }


def draw_svg(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the picture: P50 in P95 as bars, how many were lost above, unknown days marked."""
    top = pick_top(max((row["p95_seconds"] or 0 for row in rows), default=0))
    parts = [*_draw_frame(top), *_draw_legend()]
    step = _ROOM / max(len(rows), 1)
    every = -(-len(rows) // _LABELS) or 1
    for nth, row in enumerate(rows):
        middle = _LEFT + step * (nth + 0.5)
        parts += _draw_day(row, middle=middle, width=min(step * 0.7, 40), top=top)
        if (len(rows) - 1 - nth) % every == 0:
            parts.append(
                _write(f"{row['day']:%m-%d}", middle, _BASE + 18, fill=_QUIET, anchor="middle")
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>{"".join(parts)}</svg>'
    )


def pick_top(seconds: float) -> int:
    """Return the scale's end: the first 1, 2 or 5 times a power of ten that is not below.

    >>> [pick_top(one) for one in (0, 0.4, 10, 10.1, 21, 500.5)]
    [1, 1, 10, 20, 50, 1000]
    """
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power >= seconds:
                return factor * power
        power *= 10


def _draw_frame(top: int) -> Iterator[str]:
    yield _write("Probes: seconds from sent to shown by the page", _LEFT, 20, size=14)
    for part in (0, 0.25, 0.5, 0.75, 1):
        y = _BASE - part * (_BASE - _TOP)
        yield (
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" '
            f'stroke="{_LINE}"/>'
        )
        yield _write(f"{top * part:g} s", _LEFT - 6, y + 4, fill=_QUIET, anchor="end")


def _draw_legend() -> Iterator[str]:
    x = _LEFT
    for colour, name in ((_P50, "P50"), (_P95, "P95"), (_LOST, "lost"), (_LINE, "unknown")):
        yield f'<rect x="{x}" y="30" width="10" height="10" fill="{colour}"/>'
        yield _write(name, x + 14, 39, fill=_QUIET)
        x += 70


def _draw_day(row: Mapping[str, Any], *, middle: float, width: float, top: int) -> Iterator[str]:
    """Yield what is drawn of a day; a percentile that falls on a lost probe has no bar."""
    title = ", ".join(f"{name}: {_show(value)}" for name, value in row.items())
    yield f"<g><title>{escape(title)}</title>"
    if row["state"] == "unknown":
        yield _draw_bar(middle, width, _BASE - _TOP, _LINE, opacity=0.5)
        yield _write("?", middle, (_BASE + _TOP) / 2, fill=_QUIET, size=14, anchor="middle")
    for name, colour, part in (("p95_seconds", _P95, 1.0), ("p50_seconds", _P50, 0.6)):
        if row[name] is not None:
            height = max(row[name] / top * (_BASE - _TOP), 1)
            yield _draw_bar(middle, width * part, height, colour)
    if row["lost"]:
        yield _draw_bar(middle, width, 4, _LOST, below=6)
        yield _write(f"{row['lost']}", middle, _BASE + 34, fill=_LOST, anchor="middle")
    yield "</g>"


def _draw_bar(
    middle: float, width: float, height: float, colour: str, *, opacity: float = 1, below: float = 0
) -> str:
    return (
        f'<rect x="{middle - width / 2:.1f}" y="{_BASE - height + below:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" fill="{colour}" fill-opacity="{opacity}"/>'
    )


def _write(
    text: str, x: float, y: float, *, fill: str = _INK, size: int = 12, anchor: str = "start"
) -> str:
    opened = _TEXT.format(x=x, y=y, fill=fill, size=size, anchor=anchor)
    return f"{opened}{escape(text)}</text>"


def _show(value: object) -> str:
    if value is None:
        return "unknown"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
