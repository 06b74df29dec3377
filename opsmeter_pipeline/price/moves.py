"""How prices move when one version of the catalogue follows another.

Both versions are asked, by the function that prices events, for the card of made-up requests: one
for each instant, size and condition at which a price may change. So a move is what would be
charged otherwise, whatever rows say it. Which version prices, `storage.price_versions` decides.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import product

import polars as pl

from opsmeter_pipeline.model.columns import MONEY
from opsmeter_pipeline.model.tables import EVENTS
from opsmeter_pipeline.price.cards import CLASSES, NAMES, choose_cards

_CONDITIONS = ("environment", "tenant_id", "service_tier")
_REQUEST = (*NAMES, *_CONDITIONS, "occurred_at", "input_tokens")
MOVE_SCHEMA = {
    **{name: pl.String() for name in (*NAMES, "token_class", *_CONDITIONS)},
    "occurred_at": EVENTS.schema["occurred_at"],
    "input_tokens": pl.Int64(),
    "former_usd_per_unit": MONEY,
    "new_usd_per_unit": MONEY,
}
"""A move: the price of a unit by the former version and by the new one, null if none is left.

`token_class` names all classes that move alike, `occurred_at` and `input_tokens` the first request
for which it was found; of conditions, null stands for all that no price names.
"""
_OTHER = "(other)"
"""An environment or tenant that no price names."""
_ANY_TIME = datetime(2026, 1, 1, tzinfo=UTC)


def find_moves(former: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Return the prices that move by 50 % or more, to or from zero, or go: rows of `MOVE_SCHEMA`.

    A price that only comes is no move. Twice the price, or half of it, is one. Ratios are compared
    by multiplying, so nothing is rounded.

    Args:
        former: cards of the version that prices, see `price.build_cards`.
        new: cards of the version that would follow it, for the same names.
    """
    requests = _build_requests(former, new)
    old, then = pl.col("former_usd_per_unit"), pl.col("new_usd_per_unit")
    is_far = (2 * then >= 3 * old) | (2 * then <= old)
    is_no_fee = (pl.col("token_class") == "request") & (old == 0)
    moved = (
        _price(requests, former, "former_usd_per_unit")
        .hstack(_price(requests, new, "new_usd_per_unit").select("new_usd_per_unit"))
        .filter((old != then) & is_far | old.is_not_null() & then.is_null() & ~is_no_fee)
    )
    same = [*NAMES, *_CONDITIONS, old.meta.output_name(), then.meta.output_name()]
    alike = moved.group_by(*_REQUEST, *same[-2:], maintain_order=True).agg(
        pl.col("token_class").str.join(", ")
    )
    found = alike.sort(*NAMES, "occurred_at", "input_tokens", maintain_order=True)
    found = found.unique([*same, "token_class"], keep="first", maintain_order=True)
    # For whom a price does not differ from that for all others, nothing is told twice.
    told = [*NAMES, "service_tier", *same[-2:], "token_class"]
    of_all = found.filter(pl.col("environment").is_null() & pl.col("tenant_id").is_null())
    narrower = found.join(of_all, on=told, how="anti", nulls_equal=True)
    rows = pl.concat([of_all, narrower])
    return rows.select(pl.col(name).cast(dtype) for name, dtype in MOVE_SCHEMA.items())


def _build_requests(former: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Return the requests to ask for, of names whose cards differ."""
    told = ["valid_from", "valid_to", "window_start", "window_end", "above_input_tokens", "steps",
            *_CONDITIONS, *CLASSES]  # fmt: skip
    cards = pl.concat([one.select(*NAMES, *told) for one in (former, new)])
    text = pl.concat_str(pl.struct(told).struct.json_encode())
    counts = cards.with_columns(text.alias("card")).group_by(*NAMES, "card").len()
    changed = counts.filter(pl.col("len") == 1).select(NAMES).unique()
    groups = cards.join(changed, on=NAMES).partition_by(NAMES, as_dict=True)
    rows = [
        {"provider": provider, "model": model, **request}
        for (provider, model), group in sorted(groups.items())
        for request in _requests_of(group)
    ]
    return pl.DataFrame(rows, schema={name: EVENTS.schema[name] for name in _REQUEST})


def _requests_of(cards: pl.DataFrame) -> Iterator[dict[str, object]]:
    """Yield what to ask of one name's cards; a condition of None stands for all others."""
    conditions = [[None, *_values(cards[name])] for name in _CONDITIONS]
    for values in product(*conditions, _instants(cards), _sizes(cards)):
        yield dict(zip(_REQUEST[2:], values, strict=True))


def _values(column: pl.Series) -> list[object]:
    return column.drop_nulls().unique().sort().to_list()


def _instants(cards: pl.DataFrame) -> list[datetime]:
    """Return one instant of each span within which no price changes."""
    bounds = pl.concat([cards["valid_from"], cards["valid_to"].alias("valid_from")])
    starts: list[datetime] = bounds.drop_nulls().unique().sort().to_list() or [_ANY_TIME]
    clocks: list[time] = [
        *cards["window_start"].drop_nulls().unique(), *cards["window_end"].drop_nulls().unique()
    ]  # fmt: skip
    starts.insert(0, starts[0] - timedelta(days=2))
    found = set(starts)
    for start, clock in product(starts, clocks):
        same_day = datetime.combine(start.date(), clock, UTC)
        found.add(same_day if same_day >= start else same_day + timedelta(days=1))
    return sorted(found)


def _sizes(cards: pl.DataFrame) -> list[int]:
    """Return counts of input tokens on both sides of each tier."""
    marginal = cards["steps"].drop_nulls().explode().struct.field("above")
    tiers = pl.concat([cards["above_input_tokens"], marginal.alias("above_input_tokens")])
    return sorted({1, *(size for tier in tiers.drop_nulls() for size in (tier, tier + 1))} - {0})


def _price(requests: pl.DataFrame, cards: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return a row per request and class with the price of its next unit, null if unpriced."""
    asked = requests.with_columns(pl.col("environment", "tenant_id").fill_null(_OTHER))
    chosen = cards.select(*CLASSES, "steps")[choose_cards(asked, cards)]
    priced = requests.with_row_index("row").hstack(chosen)
    each = priced.unpivot(
        list(CLASSES), index=["row", *_REQUEST, "steps"], variable_name="token_class",
        value_name=name,
    ).sort("row", maintain_order=True)  # fmt: skip
    beyond = (
        priced.select("row", "input_tokens", "steps").explode("steps").unnest("steps")
        .filter(pl.col("above") < pl.col("input_tokens")).explode("counted")
        .group_by("row", pl.col("counted").alias("token_class")).agg(pl.col("step_usd").sum())
    )  # fmt: skip
    stepped = each.join(beyond, on=["row", "token_class"], how="left", maintain_order="left")
    price = pl.col(name) + pl.col("step_usd").fill_null(0)
    return stepped.with_columns(price.alias(name)).drop("row", "steps", "step_usd")
