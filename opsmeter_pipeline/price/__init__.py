"""The price stage: what each event costs, exactly, or that nobody knows.

`catalogue` turns a source's price list into rows of `price_catalogue`, `matching` turns a name
as callers write it into a catalogue model, `arithmetic` multiplies, `held` estimates what refused
lines may have cost. Reading price sources is `storage.price_book`'s. Before it comes `identity`,
after it `cube`.
"""

from opsmeter_pipeline.price.arithmetic import NAMES, build_cards, price_events
from opsmeter_pipeline.price.catalogue import flatten_prices
from opsmeter_pipeline.price.held import estimate_refused
from opsmeter_pipeline.price.matching import provider_id_of, spelling_of

__all__ = [
    "NAMES",
    "build_cards",
    "estimate_refused",
    "flatten_prices",
    "price_events",
    "provider_id_of",
    "spelling_of",
]
