"""The digest as a page of sections, and the two ways it is written: Markdown and HTML.

Names come from telemetry and are data: nothing in them may become markup. The HTML stands alone,
with no address of anything, so that it can be sent and kept.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

_MARKUP = re.compile(r"([\\|<&*`\[\]~])")
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#1c1e21;background:#fff}h1{font-size:1.5rem;margin:0}
h2{font-size:1.1rem;margin:1.8rem 0 .4rem;border-bottom:1px solid #d5d9de}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.25rem .6rem .25rem 0;border-bottom:1px solid #eceff2;
overflow-wrap:anywhere;vertical-align:top}td.n,th.n{text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums}p,ul{margin:.4rem 0}code{font-size:.8rem;background:#f3f5f7;
padding:.1rem .3rem;overflow-wrap:anywhere}.lead{font-size:1.2rem}
summary{color:#5b6570;font-size:.85rem;cursor:pointer}
footer{margin-top:2rem;color:#5b6570;font-size:.85rem}
"""


@dataclass(frozen=True)
class Step:
    """Something to do, and the command that shows whether it helped."""

    text: str
    command: str | None = None


@dataclass(frozen=True)
class Grid:
    """A table; columns from the second on are numbers unless they are named as texts."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Section:
    """A part of the page: sentences, a table, things to do."""

    title: str
    lines: Sequence[str] = ()
    grid: Grid | None = None
    steps: Sequence[Step] = ()


@dataclass(frozen=True)
class Page:
    """The whole digest.

    Attributes:
        title: the week.
        lead: the one sentence that matters.
        sections: in the order of reading.
        foot: where the numbers come from.
    """

    title: str
    lead: str
    sections: Sequence[Section]
    foot: str


def to_markdown(page: Page) -> str:
    """Return the page as Markdown that also reads well in a terminal."""
    lines = [f"# {mark(page.title)}", "", f"**{mark(page.lead)}**", ""]
    for section in page.sections:
        lines += [f"## {mark(section.title)}", ""]
        lines += [f"- {mark(line)}" for line in section.lines]
        if section.lines:
            lines.append("")
        if section.grid:
            lines += [*_write_grid(section.grid), ""]
        lines += [*_write_steps(section.steps)]
    return "\n".join([*lines, f"_{mark(page.foot)}_", ""])


def to_html(page: Page) -> str:
    """Return the page as one HTML document that needs nothing else."""
    body = "\n".join(map(_section_html, page.sections))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        f'<h1>{escape(page.title)}</h1>\n<p class="lead">{escape(page.lead)}</p>\n{body}\n'
        f"<footer>{escape(page.foot)}</footer>\n</body></html>\n"
    )


def mark(text: str) -> str:
    r"""Return a text that Markdown shows as it is, in one line.

    >>> mark("a|b <img> *x*" + chr(10) + "# y")
    'a\\|b \\<img> \\*x\\* # y'
    """
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def _write_grid(grid: Grid) -> Iterator[str]:
    cells = [[mark(cell) for cell in row] for row in (grid.heads, *grid.rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(grid.heads))]
    right = [_is_number(grid, n) for n in range(len(grid.heads))]
    for number, row in enumerate(cells):
        padded = (cell.rjust(width) if is_right else cell.ljust(width)
                  for cell, width, is_right in zip(row, widths, right, strict=True))  # fmt: skip
        yield f"| {' | '.join(padded)} |"
        if number == 0:
            ends = ("-" * (width - 1) + (":" if is_right else "-")
                    for width, is_right in zip(widths, right, strict=True))  # fmt: skip
            yield f"| {' | '.join(ends)} |"


def _write_steps(steps: Sequence[Step]) -> Iterator[str]:
    for number, step in enumerate(steps, start=1):
        yield f"{number}. {mark(step.text)}"
        if step.command:
            yield f"   verify: {_code(step.command)}"
    if steps:
        yield ""


def _code(text: str) -> str:
    """Return a text as it is, as code: fenced by more backticks than it has in a row."""
    line = " ".join(text.split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"


def _section_html(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>"]
    if section.lines:
        parts.append(f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in section.lines)}</ul>")
    if section.grid:
        parts.append(_grid_html(section.grid))
    if section.steps:
        parts.append(f"<ol>{''.join(map(_step_html, section.steps))}</ol>")
    return "\n".join(parts)


def _step_html(step: Step) -> str:
    code = f"<code>{escape(step.command)}</code>" if step.command else ""
    shown = f"<details><summary>verify</summary>{code}</details>" if code else ""
    return f"<li>{escape(step.text)}{shown}</li>"


def _grid_html(grid: Grid) -> str:
    kinds = [' class="n"' if _is_number(grid, n) else "" for n in range(len(grid.heads))]
    rows = [
        "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>"
                for cell, kind in zip(row, kinds, strict=True))
        for tag, row in [("th", grid.heads), *(("td", row) for row in grid.rows)]
    ]  # fmt: skip
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _is_number(grid: Grid, place: int) -> bool:
    return place > 0 and grid.heads[place] not in grid.texts
