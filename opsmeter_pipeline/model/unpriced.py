"""Why an event has no cost: the closed set of `events.unpriced_reason`.

The price stage gives them, in this order; the promises of the published tables and docs/prices.md
list them.
"""

from collections.abc import Mapping
from types import MappingProxyType

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "unknown_model": "No provider or no model of the catalogue has this name.",
        "ambiguous_model": "The name may mean several models; `model_resolutions.candidates` "
        "names them.",
        "fine_tuned_model": "The name is a fine-tuned model's and the catalogue prices the base "
        "model only.",
        "no_usable_price": "The model is known, but has no price by tokens, requests or searches.",
        "service_tier": "The model has no price for this service tier at this instant.",
        "no_price_then": "The model has prices, but none for this instant, tenant or environment.",
        "untold_parts": "The model prices parts of its input or output apart that the payload "
        "cannot tell: video, generated images, citations, minutes of audio.",
        "overlapping_parts": "Cache reads may be audio or images with other prices, and the counts "
        "do not say how many are.",
        "special_units": "Audio tokens or web searches were used and have no price of their own.",
        "no_token_price": "A class of tokens was used that has no price.",
    }
)
OF_NAMES = ("unknown_model", "ambiguous_model", "fine_tuned_model")
"""The reasons that lie in the name alone: what a known name's events do not have."""
STEPS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "no_usable_price": ("It has no price by tokens; if it is free, put 0.", ""),
        "service_tier": ("Put the tier and its price.", 'service_tier = "?"'),
        "untold_parts": ("If your contract has one price for all parts, put it.", ""),
        "overlapping_parts": ("If your contract has one price for all parts, put it.", ""),
        "special_units": (
            "Put its prices, and leave out the units it does not have.",
            'input_audio_usd_per_mtok = "?"\noutput_audio_usd_per_mtok = "?"\nweb_search_usd = "?"',
        ),
        "no_token_price": (
            "Put its prices, and leave out the classes it does not have.",
            'cache_write_1h_usd_per_mtok = "?"',
        ),
    }
)
"""What to do where a known model has no price for something, and the lines to add to its entry in
`prices.toml`; a reader's number stands for each `?`."""
