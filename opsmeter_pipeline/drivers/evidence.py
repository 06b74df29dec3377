"""The numbers behind a driver, before and after, and which version, model or tenant stands out.

Quotients are rounded decimals for reading; sums and parts come from `drivers.factors`. A quotient
of nothing is None. What makes a driver is decided in `drivers.classify`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import NamedTuple

from opsmeter_pipeline.drivers.factors import Cells, Key, Pair, Parts, Prices, Side, add_up
from opsmeter_pipeline.drivers.limits import SpikeLimits

Number = Decimal | int | None
_READ = Context(prec=60, rounding=ROUND_HALF_EVEN)
_RATIO_PLACES, _MONEY_PLACES = Decimal("0.000001"), Decimal("0.000000000001")
_TOKEN_COLUMNS = {
    "uncached_input": "uncached_input_tokens_per_attempt",
    "cache_read": "cache_read_tokens_per_attempt",
    "cache_write": "cache_write_tokens_per_attempt",
    "output": "output_tokens_per_attempt",
}


class Evidence(NamedTuple):
    """One number before and after; its unit is in the name."""

    name: str
    before: Number
    after: Number


Told = tuple[dict[str, str], list[Evidence]]
"""A driver, named as closely as it can be, and the evidence."""


@dataclass(frozen=True)
class Scene:
    """All that the two windows hold, as findings are looked for in it.

    Attributes:
        parts: the parts of the change by model at an endpoint.
        cells: the sums they are parts of; `late` ones are apart.
        late: sums of rows that arrived late.
        prices: at which tokens are valued.
        versions: prompt versions of each endpoint.
        tenants: of each endpoint the tenant that grew most.
        user: tenant and user that grew most of all, if anybody did.
        total: everything.
    """

    parts: Mapping[Key, Parts]
    cells: Cells
    late: Cells
    prices: Prices
    versions: Mapping[str, Sequence[tuple[str, Pair]]]
    tenants: Mapping[str, tuple[str, Pair]]
    user: tuple[str, str, Pair] | None
    total: Pair
    limits: SpikeLimits


def tell_requests(scene: Scene, driver: Mapping[str, str]) -> Told:
    """Return an endpoint's requests and what one cost."""
    pair = _of_endpoint(scene, driver)
    return {**driver}, [_count("requests", pair), _per_request(pair)]


def tell_tokens(scene: Scene, driver: Mapping[str, str]) -> Told:
    """Return an endpoint's tokens per attempt, the class that grew most, and a new version."""
    pair = _of_endpoint(scene, driver)
    token_class = max(_TOKEN_COLUMNS, key=lambda name: _growth_in_worth(scene, driver, name))
    evidence = [
        Evidence(column, *(_ratio(side.token_classes[name], side.attempts) for side in pair))
        for name, column in sorted(_TOKEN_COLUMNS.items(), key=lambda one: one[0] != token_class)
        if any(side.token_classes[name] for side in pair)
    ]
    deploy, deployed = _find_deploy(scene, driver["endpoint_tag"], pair)
    named = {**driver, **deploy, "token_class": token_class}
    return named, [*evidence, _per_request(pair), *deployed]


def tell_routing(scene: Scene, driver: Mapping[str, str]) -> Told:
    """Return the model that took over at an endpoint, its share and what an attempt of it costs."""
    pair = _of_endpoint(scene, driver)
    keys = [key for key in scene.cells if key.endpoint_tag == driver["endpoint_tag"]]
    key = max(keys, key=lambda one: scene.parts[one]["routing"])
    model = scene.cells[key]
    lost = min(keys, key=lambda one: scene.parts[one]["routing"])
    named = {**driver, "provider": key.provider, "model": key.model, "previous_model": lost.model}
    return named, [
        _share("share_of_attempts", model, pair, "attempts"),
        Evidence("model_cost_usd_per_attempt", *(_cost_by(s, s.attempts) for s in model)),
        Evidence("endpoint_cost_usd_per_attempt", *(_cost_by(s, s.attempts) for s in pair)),
    ]


def tell_retries(scene: Scene, driver: Mapping[str, str]) -> Told:
    """Return an endpoint's attempts per request and how many failed."""
    pair = _of_endpoint(scene, driver)
    return {**driver}, [
        Evidence("attempts_per_request", *(_ratio(s.attempts, s.requests) for s in pair)),
        Evidence("failed_share_of_attempts", *(_ratio(s.failures, s.attempts) for s in pair)),
        _per_request(pair),
    ]


def tell_price(scene: Scene, driver: Mapping[str, str]) -> Told:
    """Return what a model's tokens cost per million."""
    pair = _sum_where(scene.cells, lambda key: (key.provider, key.model) == (*driver.values(),))
    costs = [_READ.multiply(Decimal(1_000_000), side.cost_usd) for side in pair]
    tokens = [side.input_tokens + side.output_tokens for side in pair]
    paid = [_quotient(cost, n, _MONEY_PLACES) for cost, n in zip(costs, tokens, strict=True)]
    return {**driver}, [Evidence("cost_usd_per_mtok", *paid), _count("attempts", pair)]


def tell_unusual(scene: Scene, driver: Mapping[str, str]) -> Told:
    """Return a model's attempts without a price, and those that arrived late."""
    name = (*driver.values(),)
    pair = _sum_where(scene.cells, lambda key: (key.provider, key.model) == name)
    late = _sum_where(scene.late, lambda key: (key.provider, key.model) == name)
    return {**driver}, [
        _count("unpriced_attempts", pair),
        _count("attempts", pair),
        Evidence("late_attempts", *(side.attempts for side in late)),
        Evidence("late_cost_usd", *(side.cost_usd for side in late)),
    ]


def find_burst(scene: Scene, driver: Mapping[str, str], change_usd: Decimal) -> Told:
    """Return the tenant or user that made most of an endpoint's growth in a burst, if one did."""
    who: dict[str, str] = {}
    evidence: list[Evidence] = []
    tenant, pair = scene.tenants.get(driver["endpoint_tag"], ("", Pair(Side(), Side())))
    if _is_burst(pair, _of_endpoint(scene, driver), change_usd, scene.limits):
        who = {"tenant_id": tenant}
        evidence = [
            _count("tenant_requests", pair, "requests"),
            _share("tenant_share_of_requests", pair, _of_endpoint(scene, driver), "requests"),
        ]
    within, user, pair = scene.user or ("", "", Pair(Side(), Side()))
    fits = who.get("tenant_id", within) == within
    if fits and _is_burst(pair, scene.total, scene.total.change_usd, scene.limits):
        who |= {"tenant_id": within, "user_id": user}
        evidence += [
            _count("user_requests", pair, "requests"),
            _share("user_share_of_requests", pair, scene.total, "requests"),
        ]
    return who, evidence


def _is_burst(one: Pair, whole: Pair, change_usd: Decimal, limits: SpikeLimits) -> bool:
    before, after = (
        Fraction(part.requests, of.requests) if of.requests else Fraction()
        for part, of in zip(one, whole, strict=True)
    )
    return (
        0 < Fraction(change_usd) * Fraction(limits.concentration_share) <= Fraction(one.change_usd)
        and one.after.requests >= limits.burst_ratio * one.before.requests
        and one.after.requests - one.before.requests >= limits.burst_requests
        and after - before >= Fraction(limits.burst_share)
    )


def _find_deploy(scene: Scene, endpoint_tag: str, pair: Pair) -> Told:
    """Return the prompt version that took over at an endpoint and costs more than it did."""
    versions = scene.versions.get(endpoint_tag, ())
    gains = [(_gain(one, pair), version, one) for version, one in versions]
    gain, version, one = max(gains, default=(Fraction(), "", pair), key=lambda each: each[0])
    is_dearer = (
        Fraction(one.after.cost_usd) * pair.before.requests
        > Fraction(pair.before.cost_usd) * one.after.requests
    )
    if gain < Fraction(scene.limits.deploy_share) or not is_dearer:
        return {}, []
    lost = min(gains, key=lambda each: each[0])[1]
    return {"prompt_version": version, "previous_prompt_version": lost}, [
        _share("version_share_of_requests", one, pair, "requests"),
        Evidence("version_cost_usd_per_request", *(_cost_by(side, side.requests) for side in one)),
    ]


def _gain(one: Pair, whole: Pair) -> Fraction:
    before, after = (
        Fraction(part.requests, of.requests) if of.requests else Fraction()
        for part, of in zip(one, whole, strict=True)
    )
    return after - before


def _growth_in_worth(scene: Scene, driver: Mapping[str, str], token_class: str) -> Fraction:
    """Return how much more an attempt's tokens of a class are worth than before, summed up."""
    cells = {
        key: pair
        for key, pair in scene.cells.items()
        if key.endpoint_tag == driver["endpoint_tag"] and all(side.attempts for side in pair)
    }
    known = {key: scene.prices.get((key.provider, key.model)) for key in cells}
    is_priced = any(known.values())
    growth = Fraction()
    for key, (before, after) in cells.items():
        more = Fraction(after.token_classes[token_class], after.attempts) - Fraction(
            before.token_classes[token_class], before.attempts
        )
        prices = known[key]
        # Beside known prices a token without one cannot be weighed.
        worth = Fraction(prices[token_class]) if prices else Fraction(not is_priced)
        growth += more * worth * after.attempts
    return growth


def _of_endpoint(scene: Scene, driver: Mapping[str, str]) -> Pair:
    return _sum_where(scene.cells, lambda key: key.endpoint_tag == driver["endpoint_tag"])


def _sum_where(cells: Cells, is_wanted: Callable[[Key], bool]) -> Pair:
    pairs = [pair for key, pair in cells.items() if is_wanted(key)]
    return Pair(sum_sides([one.before for one in pairs]), sum_sides([one.after for one in pairs]))


def sum_sides(sides: Sequence[Side]) -> Side:
    """Return the sums of several groups in one window."""
    names = [name for name in vars(Side()) if name != "cost_usd"]
    counts = {name: sum(getattr(side, name) for side in sides) for name in names}
    return Side(**counts, cost_usd=add_up(side.cost_usd for side in sides))


def _count(name: str, pair: Pair, column: str = "") -> Evidence:
    return Evidence(name, *(getattr(side, column or name) for side in pair))


def _share(name: str, part: Pair, whole: Pair, column: str) -> Evidence:
    return Evidence(
        name,
        *(
            _ratio(getattr(one, column), getattr(of, column))
            for one, of in zip(part, whole, strict=True)
        ),
    )


def _per_request(pair: Pair) -> Evidence:
    return Evidence("cost_usd_per_request", *(_cost_by(side, side.requests) for side in pair))


def _cost_by(side: Side, count: int) -> Decimal | None:
    return _quotient(side.cost_usd, count, _MONEY_PLACES)


def _ratio(part: int, whole: int) -> Decimal | None:
    return _quotient(Decimal(part), whole, _RATIO_PLACES)


def _quotient(part: Decimal, whole: int, places: Decimal) -> Decimal | None:
    if not whole:
        return None
    return _READ.divide(part, Decimal(whole)).quantize(places, context=_READ)
