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
