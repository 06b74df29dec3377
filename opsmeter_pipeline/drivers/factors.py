"""The split of a cost change by factor, per endpoint and model, exact to the last decimal.

The cost of a model at an endpoint is a product of seven quotients of sums (`FACTORS` without
`one_off`), so its change can be split by `drivers.shapley` with nothing left over. Formulas and
what they mean for a new or gone group stand in docs/why.md, the choice in ADR 0017.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import polars as pl

from opsmeter_pipeline.drivers.shapley import place_on_grid, split_product
from opsmeter_pipeline.model.tables import COMPARED, FACTORS

MEASURES = tuple(column.name for column in COMPARED)
_EXACT = Context(prec=60)
_SCALE = -18
_UNKNOWN = Fraction(0)


class Key(NamedTuple):
    """A model at an endpoint."""

    endpoint_tag: str
    provider: str
    model: str


Name = tuple[str, str]
"""Provider and model as the caller named them."""
Prices = Mapping[Name, Mapping[str, Decimal]]
"""Price per token by token class, of each name that the catalogue knows."""


@dataclass(frozen=True)
class Side:
    """What one group had in one of the two windows: the sums that are compared.

    Attributes:
        cost_usd: of the priced attempts.
    """

    requests: int = 0
    attempts: int = 0
    failures: int = 0
    unpriced_attempts: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)

    @property
    def token_classes(self) -> dict[str, int]:
        """Tokens by disjoint class, as the catalogue names them."""
        cached = self.cache_read_tokens + self.cache_write_tokens
        return {
            "uncached_input": self.input_tokens - cached,
            "cache_read": self.cache_read_tokens,
            "cache_write": self.cache_write_tokens,
            "output": self.output_tokens,
        }


class Pair(NamedTuple):
    """A group's sums in the previous window and in the window."""

    before: Side
    after: Side

    @property
    def change_usd(self) -> Decimal:
        """Cost in the window minus cost in the previous one."""
        return _EXACT.subtract(self.after.cost_usd, self.before.cost_usd)


Cells = Mapping[Key, Pair]
Parts = Mapping[str, Decimal]
"""US dollars by name of factor."""


def read_pair(row: Mapping[str, Any]) -> Pair:
    """Return the two sides of a row with the measures and the measures of the previous window."""
    return Pair(
        Side(**{name: row[f"previous_{name}"] for name in MEASURES}),
        Side(**{name: row[name] for name in MEASURES}),
    )


def read_cells(frame: pl.DataFrame) -> dict[Key, Pair]:
    """Return the sums per model at an endpoint; the rows of the frame are added up."""
    sums = frame.group_by(Key._fields, maintain_order=True).agg(
        pl.col(name).sum() for one in MEASURES for name in (one, f"previous_{one}")
    )
    ordered = sums.sort(Key._fields)
    return {Key(*(row[n] for n in Key._fields)): read_pair(row) for row in ordered.to_dicts()}


def read_prices(frame: pl.DataFrame) -> Prices:
    """Return prices by name; a class without one takes its parent's, as when events are priced."""
    told: dict[Name, dict[str, Decimal]] = {}
    for provider, model, token_class, price in frame.iter_rows():
        told.setdefault((provider, model), {})[token_class] = price
    return {name: _complete(prices) for name, prices in told.items()}


def _complete(prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
    fresh = prices.get("uncached_input", Decimal(0))
    return {
        "uncached_input": fresh,
        "cache_read": prices.get("cache_read", fresh),
        "cache_write": prices.get("cache_write", fresh),
        "output": prices.get("output", Decimal(0)),
    }


def split_change(on_time: Cells, late: Cells, prices: Prices) -> dict[Key, Parts]:
    """Return what each factor added to the cost of each model at an endpoint.

    All parts of a group sum to the change of its cost, on the 18 decimals that money has.

    Args:
        on_time: groups whose change is explained by the first seven factors.
        late: groups of rows that arrived late; their change is `one_off`.
        prices: the prices at which tokens are valued before and after alike.
    """
    split = _split_on_time(on_time, prices)
    late_parts = {key: {"one_off": pair.change_usd} for key, pair in late.items()}
    nothing = dict.fromkeys(FACTORS, Decimal(0))
    return {
        key: {**nothing, **split.get(key, {}), **late_parts.get(key, {})}
        for key in sorted({*split, *late_parts})
    }


def sum_parts(parts: Iterable[Parts]) -> dict[str, Decimal]:
    """Return the sums by factor, exactly."""
    sums = dict.fromkeys(FACTORS, Decimal(0))
    for one in parts:
        for name, amount in one.items():
            sums[name] = _EXACT.add(sums[name], amount)
    return sums


def add_up(amounts: Iterable[Decimal]) -> Decimal:
    """Return a sum of money with every decimal, also beyond Python's usual 28 digits."""
    total = Decimal(0)
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total


def to_money(amount: Decimal) -> Decimal:
    """Return an amount with 18 decimals, as the warehouse has it."""
    return amount.quantize(Decimal(1).scaleb(_SCALE), context=_EXACT)


class _Level(NamedTuple):
    """Requests and attempts in a window: of each endpoint, and of all."""

    requests: Counter[str]
    attempts: Counter[str]
    total: int


def _split_on_time(cells: Cells, prices: Prices) -> dict[Key, Parts]:
    levels = [_sum_levels({key: pair[side] for key, pair in cells.items()}) for side in (0, 1)]
    names = [*FACTORS][:-1]
    split: dict[Key, Parts] = {}
    for key, pair in cells.items():
        worth = _value_tokens(pair, prices.get((key.provider, key.model)))
        sides = [
            _quotients(key, one, level=level, worth=value)
            for one, level, value in zip(pair, levels, worth, strict=True)
        ]
        before, after = _fill(*sides)
        placed = place_on_grid(split_product(before, after))
        split[key] = {n: _to_usd(units) for n, units in zip(names, placed, strict=True)}
    return split


def _sum_levels(sides: Mapping[Key, Side]) -> _Level:
    """Return the sums above the cells; attempts whose requests lie outside count as requests."""
    requests, attempts = Counter[str](), Counter[str]()
    for key, side in sides.items():
        requests[key.endpoint_tag] += side.requests
        attempts[key.endpoint_tag] += side.attempts
    for endpoint, count in attempts.items():
        requests[endpoint] = requests[endpoint] or count
    return _Level(requests, attempts, sum(requests.values()))


def _value_tokens(pair: Pair, prices: Mapping[str, Decimal] | None) -> list[int]:
    """Return what both windows' tokens are worth at the same prices, in any unit.

    Without a known price every token is worth the same. Where such tokens are worth nothing and
    yet cost something (a fee per request), each attempt is worth the same.
    """
    worth = [
        sum(
            count * (_to_units(prices[name]) if prices else 1)
            for name, count in side.token_classes.items()
        )
        for side in pair
    ]
    is_unusable = any(
        (value == 0 and side.cost_usd != 0) or value < 0
        for value, side in zip(worth, pair, strict=True)
    )
    return [side.attempts for side in pair] if is_unusable else worth


def _quotients(key: Key, side: Side, *, level: _Level, worth: int) -> list[Fraction | None]:
    """Return the seven numbers whose product is the cost, None for a quotient of nothing."""
    requests, attempts = level.requests[key.endpoint_tag], level.attempts[key.endpoint_tag]
    priced = side.attempts - side.unpriced_attempts
    if priced <= 0 and side.cost_usd != 0:
        priced = side.attempts
    cost = _to_units(side.cost_usd)
    return [
        Fraction(level.total),
        _divide(requests, level.total),
        _divide(side.attempts, attempts),
        _divide(attempts, requests),
        _divide(worth, side.attempts),
        _divide(cost * side.attempts, worth * priced),
        _divide(priced, side.attempts),
    ]


def _divide(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole else None


def _fill(
    before: Sequence[Fraction | None], after: Sequence[Fraction | None]
) -> tuple[list[Fraction], list[Fraction]]:
    """Return both sides' factors; one that a window does not have is as in the other window."""
    pairs = [(_first(x, y), _first(y, x)) for x, y in zip(before, after, strict=True)]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _first(one: Fraction | None, other: Fraction | None) -> Fraction:
    return one if one is not None else other if other is not None else _UNKNOWN


def _to_units(amount: Decimal) -> int:
    """Return money in units of the 18th decimal."""
    units = amount.scaleb(-_SCALE, context=_EXACT)
    return int(units)


def _to_usd(units: int) -> Decimal:
    return Decimal(units).scaleb(_SCALE, context=_EXACT)
