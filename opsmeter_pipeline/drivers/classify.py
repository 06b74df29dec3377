"""What kind of spike a cost change is, and who drove it: numeric rules over the exact parts.

Each class has candidates, an endpoint or a model, with the part of the change they made. What is
material becomes a finding; a spike has the class of the largest positive sum. The limits stand in
`drivers.limits`, what to do in `drivers.controls`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from opsmeter_pipeline.drivers.evidence import (
    Evidence,
    Scene,
    Told,
    find_burst,
    tell_price,
    tell_requests,
    tell_retries,
    tell_routing,
    tell_tokens,
    tell_unusual,
)
from opsmeter_pipeline.drivers.factors import Key, Pair, add_up
from opsmeter_pipeline.drivers.limits import SpikeLimits

VOLUME = "volume"
REGRESSION = "efficiency_regression"
ROUTING = "routing_drift"
RETRIES = "retry_storm"
CONCENTRATION = "concentration"
PRICE = "price_change"
ARTEFACT = "data_artefact"
STEADY, DECREASE, UNKNOWN, NO_DATA = "steady", "decrease", "unknown", "no_data"
SPIKES = (VOLUME, REGRESSION, ROUTING, RETRIES, CONCENTRATION, PRICE, ARTEFACT)
CLASSES = (*SPIKES, STEADY, DECREASE, UNKNOWN, NO_DATA)


@dataclass(frozen=True)
class Finding:
    """A driver that is worth naming.

    Attributes:
        spike_class: one of `SPIKES`.
        driver: the dimension values that name it.
        change_usd: what it added.
        evidence: numbers before and after.
    """

    spike_class: str
    driver: Mapping[str, str]
    change_usd: Decimal
    evidence: Sequence[Evidence]


class _Candidate(NamedTuple):
    """What may become a finding."""

    driver: Mapping[str, str]
    change_usd: Decimal
    previous_cost_usd: Decimal


class _Rule(NamedTuple):
    """How a class is recognised: whose parts of which factors, and what is told of them."""

    factors: tuple[str, ...]
    group: Callable[[Key], Mapping[str, str]]
    tell: Callable[[Scene, Mapping[str, str]], Told]


def _by_endpoint(key: Key) -> dict[str, str]:
    return {"endpoint_tag": key.endpoint_tag}


def _by_model(key: Key) -> dict[str, str]:
    return {"provider": key.provider, "model": key.model}


_RULES: Mapping[str, _Rule] = {
    VOLUME: _Rule(("volume", "mix"), _by_endpoint, tell_requests),
    REGRESSION: _Rule(("tokens",), _by_endpoint, tell_tokens),
    ROUTING: _Rule(("routing",), _by_endpoint, tell_routing),
    RETRIES: _Rule(("retries",), _by_endpoint, tell_retries),
    PRICE: _Rule(("price",), _by_model, tell_price),
    ARTEFACT: _Rule(("unpriced", "one_off"), _by_model, tell_unusual),
}


def classify_change(
    scene: Scene, total: Pair, limits: SpikeLimits
) -> tuple[str, tuple[Finding, ...]]:
    """Return the class of a change, and what is worth naming, the spike's own driver first."""
    candidates = {name: [*_find_candidates(rule, scene)] for name, rule in _RULES.items()}
    top = max(candidates, key=lambda name: add_up(one.change_usd for one in candidates[name]))
    is_spike = _is_above(total.change_usd, total.before.cost_usd, limits.spike_share)
    named = [
        _name(name, one, scene)
        for name, found in candidates.items()
        for one in found
        if _is_material(one, total, limits) or (is_spike and name == top and one is found[0])
    ]
    first = candidates[top][0].driver if is_spike else None
    named.sort(key=lambda one: one.change_usd, reverse=True)
    named.sort(key=lambda one: not _is_of(one, top, first))
    findings = tuple(named[: limits.findings])
    return _class_of(total, findings if is_spike else (), limits), findings


def _class_of(total: Pair, spike: Sequence[Finding], limits: SpikeLimits) -> str:
    sides = [side for side in total if side.attempts]
    if not sides:
        return NO_DATA
    if all(side.attempts == side.unpriced_attempts for side in sides):
        return UNKNOWN
    if spike:
        return spike[0].spike_class
    is_fall = _is_above(-total.change_usd, total.before.cost_usd, limits.spike_share)
    return DECREASE if is_fall else STEADY


def _is_of(finding: Finding, top: str, driver: Mapping[str, str] | None) -> bool:
    same = finding.spike_class in (top, CONCENTRATION if top == VOLUME else top)
    return driver is not None and same and driver.items() <= finding.driver.items()


def _find_candidates(rule: _Rule, scene: Scene) -> Iterator[_Candidate]:
    """Yield all that a rule groups by, the largest part first."""
    grouped: dict[tuple[str, ...], list[Key]] = {}
    for key in scene.parts:
        grouped.setdefault(tuple(rule.group(key).values()), []).append(key)
    found = [
        _Candidate(
            rule.group(keys[0]),
            add_up(scene.parts[key][factor] for key in keys for factor in rule.factors),
            add_up(scene.cells[key].before.cost_usd for key in keys if key in scene.cells),
        )
        for keys in grouped.values()
    ]
    yield from sorted(found, key=lambda one: one.change_usd, reverse=True)


def _is_material(one: _Candidate, total: Pair, limits: SpikeLimits) -> bool:
    return _is_above(one.change_usd, total.before.cost_usd, limits.part_of_total) and _is_above(
        one.change_usd, one.previous_cost_usd, limits.part_of_own
    )


def _is_above(amount: Decimal, of: Decimal, share: Decimal) -> bool:
    return amount > 0 and Fraction(amount) >= Fraction(share) * Fraction(of)


def _name(name: str, one: _Candidate, scene: Scene) -> Finding:
    driver, evidence = _RULES[name].tell(scene, one.driver)
    if name == VOLUME:
        who, burst = find_burst(scene, one.driver, one.change_usd)
        if who:
            name, driver, evidence = CONCENTRATION, driver | who, [*evidence, *burst]
    return Finding(name, driver, one.change_usd, evidence)
