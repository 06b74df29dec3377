"""The price stage: what each event costs, exactly, or that nobody knows.

`catalogue` turns a source's price list into rows of `price_catalogue`, `matching` turns a name
as callers write it into a catalogue model, `arithmetic` multiplies. Reading price sources is
`storage.price_book`'s. Before it comes `identity`, after it `cube`.
"""

from opsmeter_pipeline.price.arithmetic import price_events
from opsmeter_pipeline.price.cards import NAMES, build_cards
from opsmeter_pipeline.price.catalogue import flatten_prices
from opsmeter_pipeline.price.matching import provider_id_of, spelling_of

__all__ = [
    "NAMES",
    "build_cards",
    "flatten_prices",
    "price_events",
    "provider_id_of",
    "spelling_of",
]
