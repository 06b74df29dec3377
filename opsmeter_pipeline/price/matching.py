"""Which model of the catalogue a caller's provider and model mean.

Each reading of the name (`price.spelling`) is held against the catalogue's own patterns in their
order; the first match wins. A name that stays unknown, or that may mean two models, is unpriced
and not guessed. The rules are described in docs/prices.md; opening the catalogue is
`storage.price_book`'s.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, cast

from opsmeter_pipeline.price.spelling import (
    clean,
    is_fine_tuned,
    is_gateway,
    is_other_seller,
    key_of,
    provider_id_of,
    readings_of,
    seller_named_by,
    tuned_base_of,
    without_gateways,
)
from opsmeter_pipeline.price.suggest import (
    suggest_for_ambiguous,
    suggest_for_known,
    suggest_for_unknown,
)


class Resolution(NamedTuple):
    """What a name means: columns of `model_resolutions`."""

    called_provider_id: str | None
    provider_id: str | None
    model_id: str | None
    rule: str
    candidates: str | None = None


class _Hit(NamedTuple):
    """A model that a reading was found to mean, and the catalogue's clause that says so."""

    seller: str
    owner: str
    model: str
    steps: tuple[str, ...]
    clause: str
    text: str

    @property
    def place(self) -> str:
        """The model's place in the catalogue."""
        return f"{self.owner}/{self.model}"

    @property
    def rule(self) -> str:
        """The steps of the reading, the clause, and whether the price is borrowed."""
        borrowed = () if self.owner == self.seller else ("borrowed",)
        return "+".join((*self.steps, self.clause, *borrowed))


@dataclass(frozen=True)
class Matcher:
    """The catalogue's patterns.

    Attributes:
        providers: `genai_prices.types.Provider` objects in the package's order.
    """

    providers: Sequence[Any]

    def resolve(self, provider: str, model: str) -> Resolution:
        """Return what a provider and model, as callers name them, mean in the catalogue.

        A fine-tuned name that tells its base has that as its candidate, never as its model.
        """
        found = self._match(provider, model)
        base = tuned_base_of(clean(model))
        if found.rule != "fine_tuned" or found.candidates or base is None:
            return found
        meant = self._match(provider, base)
        known = meant.model_id and f"{meant.provider_id}/{meant.model_id}"
        return found._replace(candidates=known or meant.candidates)

    def compare(self, provider: str, model: str) -> list[str]:
        """Return the providers whose models a name may be one of, those it borrows from last.

        Their prices bound what an unpriced event may cost. None is known for an unknown provider.
        """
        name, told = without_gateways(clean(model)), provider_id_of(provider)
        told = self._id_of_key.get(key_of(told), told)
        named = seller_named_by(name, sellers=frozenset(self._by_id))
        called = self._makers(name) if is_gateway(provider) and not named else [told, named]
        sellers = [one for one in called if one in self._by_id]
        borrowed = (self._by_id[one].fallback_model_providers or () for one in sellers)
        return [*dict.fromkeys([*sellers, *(one for some in borrowed for one in some)])]

    def suggest(
        self, provider: str, model: str, *, found: Resolution, is_searched: bool = True
    ) -> str:
        """Return the next step for a name if it is unpriced; see `price.suggest`.

        Args:
            provider: as callers send it.
            model: as callers send it.
            found: what the name means.
            is_searched: look for a near name, which takes up to 10 ms.
        """
        if found.model_id is not None:
            place = f"{found.provider_id}/{found.model_id}"
            return suggest_for_known(provider, model, place=place)
        if found.rule == "ambiguous":
            return suggest_for_ambiguous(found.candidates)
        if not is_searched:
            return suggest_for_unknown(provider, model, rule=found.rule, sellers=None)
        makers = self._makers(clean(model)) if found.rule == "unknown_provider" else []
        near = difflib.get_close_matches(key_of(provider), self._id_of_key, n=1)
        guessed = [self._id_of_key[one] for one in near] if found.rule == "unknown_provider" else []
        sellers = dict.fromkeys([*self.compare(provider, model), *guessed, *makers])
        lists = {one: [model.id for model in self._by_id[one].models] for one in sellers}
        return suggest_for_unknown(provider, model, rule=found.rule, sellers=lists)

    def _match(self, provider: str, model: str) -> Resolution:
        name, told = without_gateways(clean(model)), provider_id_of(provider)
        sellers, told = frozenset(self._by_id), self._id_of_key.get(key_of(told), told)
        named = seller_named_by(name, sellers=sellers)
        if is_gateway(provider):
            makers = [named] if named else self._makers(name)
            return _judge(name, [self._find(name, seller) for seller in makers])
        if told not in sellers:
            return Resolution(None, None, None, "unknown_provider")
        literal = self._find(name, told)
        if named is None or not is_other_seller(named, seller=told) or _says(literal, name):
            return _judge(name, [literal])
        if name.startswith("arn:"):
            return _judge(name, [self._find(name, named)])
        return _judge(name, [self._find(name, named), literal], is_contradiction=True)

    @cached_property
    def _by_id(self) -> dict[str, Any]:
        return {one.id: one for one in self.providers}

    @cached_property
    def _id_of_key(self) -> dict[str, str]:
        return {key_of(one): one for one in self._by_id}

    def _makers(self, name: str) -> list[str]:
        """Return the providers that the catalogue knows as makers of a bare name."""
        if "/" in name:
            return []
        return [
            one.id for one in self.providers if one.model_match and one.model_match.is_match(name)
        ]

    def _find(self, name: str, seller: str) -> _Hit | None:
        """Return the first model that a reading of the name matches at a seller."""
        own = self._by_id[seller]
        lists = [own, *map(self._by_id.get, own.fallback_model_providers or ())]
        for reading in readings_of(name, seller=seller):
            for owner in filter(None, lists):
                for model in owner.models:
                    for clause, text in _matched(model.match, reading.name):
                        return _Hit(seller, owner.id, model.id, reading.steps, clause, text)
        return None


def _matched(clause: Any, name: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - a clause
    """Yield the kind and the text of the clauses by which a name matches, the first first."""
    [(kind, value)] = cast("dict[str, Any]", vars(clause)).items()
    if not clause.is_match(name):
        return
    if isinstance(value, str):
        yield kind, value.lower()
    else:
        for part in cast("list[Any]", value):
            yield from _matched(part, name)


def _says(hit: _Hit | None, name: str) -> bool:
    """Say whether a seller's own list spells the prefix of a name out."""
    return hit is not None and not hit.steps and name.partition("/")[0] + "/" in hit.text


def _judge(name: str, hits: Sequence[_Hit | None], *, is_contradiction: bool = False) -> Resolution:
    """Return the one model that all hits mean, or why there is none."""
    found = [hit for hit in hits if hit]
    places = sorted({hit.place for hit in found})
    if is_fine_tuned(name) and not any(is_fine_tuned(hit.text) for hit in found):
        return Resolution(None, None, None, "fine_tuned", ", ".join(places) or None)
    if not found:
        return Resolution(None, None, None, "unknown_model")
    if len(places) > 1 or (is_contradiction and None in hits):
        return Resolution(None, None, None, "ambiguous", ", ".join(places))
    hit = found[0]
    return Resolution(hit.seller, hit.owner, hit.model, hit.rule)
