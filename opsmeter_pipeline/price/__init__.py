"""The price stage: what each event costs, exactly, or that nobody knows.

`catalogue` turns a source's price list into rows of `price_catalogue`. `spelling` and `matching`
turn a name as callers write it into a catalogue model. `cards` gathers what is in force together
and chooses, `lattice` splits an event's counts into classes, `arithmetic` multiplies, `comparable`
and `bounds` say between what and what the rest may cost, `suggest` what to do about it, `held`
estimates what refused lines may have cost. The user's own prices are read by `own` and its
companions, far moves found by `moves`. Reading price sources is `storage.price_book`'s. Before it
comes `identity`, after it `cube`.
"""

from opsmeter_pipeline.price.arithmetic import READS, price_events
from opsmeter_pipeline.price.cards import NAMES, build_cards
from opsmeter_pipeline.price.catalogue import flatten_prices
from opsmeter_pipeline.price.comparable import (
    NOTHING_COMPARABLE,
    Comparables,
    build_comparables,
)
from opsmeter_pipeline.price.held import estimate_refused
from opsmeter_pipeline.price.matching import Matcher, Resolution
from opsmeter_pipeline.price.spelling import provider_id_of, spelling_of

__all__ = [
    "NAMES",
    "NOTHING_COMPARABLE",
    "READS",
    "Comparables",
    "Matcher",
    "Resolution",
    "build_cards",
    "build_comparables",
    "estimate_refused",
    "flatten_prices",
    "price_events",
    "provider_id_of",
    "spelling_of",
]
