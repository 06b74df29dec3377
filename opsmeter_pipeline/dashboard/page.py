"""How an answer reads as HTML: which columns, in which order, and how a value is written.

Plain texts for the template, which escapes them. Money is shown rounded and carries its exact
value; a null cost reads `unpriced`, never 0.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from opsmeter_pipeline.dashboard.answers import VIEW_NAMES, Answer
from opsmeter_pipeline.model.columns import Column
from opsmeter_pipeline.model.hours import EVER
from opsmeter_pipeline.views import VIEWS
from opsmeter_pipeline.views.ranges import BY_DAY

CHOICES = (("today", "Today"), ("24h", "24 hours"), ("7d", "7 days"), ("30d", "30 days"),
           ("all", "All time"))  # fmt: skip
"""The ranges that are offered, by name, with what they are called."""
_NOTHING = "–"  # noqa: RUF001 - a dash for a person
_CENTS_OF_CENTS = Decimal("0.0001")
_MEASURES = ("cost_usd", "share_of_cost", "requests", "cost_per_request_usd",
             "unpriced_attempts", "tokens_per_request", "error_share",
             "latency_p50_ms", "latency_p95_ms")  # fmt: skip
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "overview": ("day", "state", "cost_usd", "requests", "attempts", "unpriced_attempts",
                 "input_tokens", "cache_read_tokens", "output_tokens", "error_share",
                 "latency_p50_ms", "latency_p95_ms", "left_out_attempts"),
    "top_endpoints": ("endpoint_tag", *_MEASURES),
    "top_users": ("tenant_id", "user_id", *_MEASURES),
    "prompt_versions": ("endpoint_tag", "prompt_version", *_MEASURES),
}  # fmt: skip
_KEYS = {"overview": 1, "top_endpoints": 1, "top_users": 2, "prompt_versions": 2}
_TITLES = {
    "overview": "Overview",
    "top_endpoints": "Top Endpoints",
    "top_users": "Top Users",
    "prompt_versions": "Prompt Versions",
}
_LABELS = {
    "day": "Day (UTC)", "state": "State", "cost_usd": "Cost (USD)", "requests": "Requests",
    "attempts": "Attempts", "unpriced_attempts": "Unpriced", "input_tokens": "Input tokens",
    "cache_read_tokens": "of these cached", "output_tokens": "Output tokens",
    "error_share": "Errors", "latency_p50_ms": "P50 (ms)", "latency_p95_ms": "P95 (ms)",
    "left_out_attempts": "Left out", "endpoint_tag": "Endpoint", "tenant_id": "Tenant",
    "user_id": "User", "prompt_version": "Prompt version", "share_of_cost": "Share",
    "cost_per_request_usd": "USD per request", "tokens_per_request": "Tokens per request",
}  # fmt: skip
_UNSEEN = ("Cc", "Cf", "Zl", "Zp", "Co", "Cs", "Cn")
"""Unicode categories of characters that have no shape, or change that of others."""
_TEXTS = ("day", "state", "endpoint_tag", "tenant_id", "user_id", "prompt_version")


@dataclass(frozen=True)
class Cell:
    """One value of a table.

    Attributes:
        text: what a person reads.
        exact: the value as the warehouse has it; empty if it is the text.
        is_number: it stands at the right.
        is_key: it names its row.
    """

    text: str
    exact: str = ""
    is_number: bool = True
    is_key: bool = False


@dataclass(frozen=True)
class ShownTable:
    """One view as the page shows it.

    Attributes:
        name: the view's name.
        title: its heading.
        caption: what a row is, and what time it is of.
        labels: the columns' names for people, and whether each is of numbers.
        rows: the cells, a row each.
        more: there are more rows than are shown.
    """

    name: str
    title: str
    caption: str
    labels: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[Cell]]
    more: bool


def show_tables(answer: Answer) -> list[ShownTable]:
    """Return the views that were read in the order of the page, the newest day first."""
    return [_show_table(answer, view) for view in VIEW_NAMES if view in answer.rows]


def list_meanings() -> list[tuple[str, str]]:
    """Return what each column means, in the catalogue's words, by the name it has on the page."""
    columns = {c.name: c for view in VIEWS if view.name in _COLUMNS for c in view.columns}
    shown = dict.fromkeys(name for names in _COLUMNS.values() for name in names)
    return [(_LABELS[name], _mean(columns[name])) for name in shown]


def show_money(value: Decimal | None, *, unpriced_attempts: int = 0) -> str:
    """Return dollars with four decimals; what has no price is said.

    >>> show_money(Decimal("1234.5"))
    '1,234.5000'
    >>> show_money(Decimal("0.0035"), unpriced_attempts=2)
    'at least 0.0035'
    >>> show_money(Decimal("0.00001")), show_money(Decimal(0)), show_money(None)
    ('< 0.0001', '0.0000', 'unpriced')
    """
    if value is None:
        return "unpriced"
    rounded = value.quantize(_CENTS_OF_CENTS, ROUND_HALF_EVEN)
    text = f"{rounded:,f}" if rounded or not value else f"< {_CENTS_OF_CENTS}"
    return f"at least {text}" if unpriced_attempts else text


def show_text(text: str) -> str:
    r"""Return a name with what cannot be seen in it spelled out, so that two never look alike.

    >>> show_text("chat.reply"), show_text("a\u202egnp.exe"), show_text("a\tb")
    ('chat.reply', 'a\\u202egnp.exe', 'a\\u0009b')
    """
    return "".join(
        f"\\u{ord(one):04x}" if unicodedata.category(one) in _UNSEEN else one for one in text
    )


def show_instant(at: datetime | None) -> str:
    """Return an instant to the second.

    >>> show_instant(None)
    'never'
    """
    return "never" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def show_seconds(seconds: float | None) -> str:
    """Return an age in the unit a person would take.

    >>> show_seconds(42.4), show_seconds(300), show_seconds(7500), show_seconds(200000)
    ('42 s', '5 min', '2 h 5 min', '2 d 7 h')
    """
    if seconds is None:
        return "unknown"
    whole = round(seconds)
    if abs(whole) < 120:
        return f"{whole} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 120:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{days} d {hours % 24} h"


def show_range(answer: Answer, *, by_day: bool = False) -> str:
    """Return the range in words."""
    hours = answer.hours.widen_to_days() if by_day else answer.hours
    if hours == EVER:
        return "all time"
    if hours == hours.widen_to_days():
        days = (hours.end_day - hours.first_day).days
        if days == 1:
            return f"{hours.first_day} (UTC)"
        return f"the {days} UTC days from {hours.first_day}"
    return f"{hours.start_at:%Y-%m-%d %H:%M} to {hours.end_at:%Y-%m-%d %H:%M} UTC"


def _show_table(answer: Answer, view: str) -> ShownTable:
    names, rows = _COLUMNS[view], answer.rows[view]
    caption = f"{_grain(view)} In {show_range(answer, by_day=view in BY_DAY)}."
    if view in BY_DAY and answer.hours != answer.hours.widen_to_days():
        caption += " Users are summed by UTC day, so this table holds whole days."
    return ShownTable(
        name=view,
        title=_TITLES[view],
        caption=caption,
        labels=[(_LABELS[name], name not in _TEXTS) for name in names],
        rows=[
            [_show_cell(row, name, is_key=place < _KEYS[view]) for place, name in enumerate(names)]
            for row in (reversed(rows) if view == "overview" else rows)
        ],
        more=view != "overview" and view in answer.more,
    )


def _grain(view: str) -> str:
    return next(one.grain for one in VIEWS if one.name == view)


def _mean(column: Column) -> str:
    return column.meaning.replace("`", "")


def _show_cell(row: Mapping[str, Any], name: str, *, is_key: bool) -> Cell:
    value = row[name]
    if name in _TEXTS:
        return Cell(show_text(str(value)), is_number=False, is_key=is_key)
    if name == "cost_usd":
        text = show_money(value, unpriced_attempts=row["unpriced_attempts"])
        return Cell(text, exact="" if value is None else f"{value:f}")
    if value is None:
        is_unpriced = name == "cost_per_request_usd" and row["requests"]
        return Cell("unpriced" if is_unpriced else _NOTHING)
    return Cell(_show_number(name, value), exact=str(value))


def _show_number(name: str, value: float) -> str:
    if name.endswith("_share") or name.startswith("share_"):
        return f"{value:.1%}"
    if name.endswith("_usd"):
        return f"{value:,.6f}"
    return f"{value:,.0f}"
