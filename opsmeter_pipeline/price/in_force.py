"""The cards of two price lists together: the package's, and the user's own over it."""

import polars as pl

from opsmeter_pipeline.price.cards import NAMES, build_cards
from opsmeter_pipeline.price.own_names import OWN_RULES

_CONDITIONS = ("valid_from", "valid_to", "environment", "tenant_id", "above_input_tokens")


def join_cards(
    catalogue: pl.DataFrame, answers: pl.DataFrame, own: pl.DataFrame, resolved: pl.DataFrame
) -> pl.DataFrame:
    """Return the cards of all names; of those in force at once, the own one has the priority.

    A name whose own price holds always keeps no card of the catalogue for the same service tier,
    so that most names have one card and need no choice.

    Args:
        catalogue: rows of `price_catalogue` from the package.
        answers: rows of `model_resolutions`: the package's answer for each name.
        own: rows of `price_catalogue` from the user's file.
        resolved: rows of `model_resolutions` by `resolve_own`.
    """
    listed = build_cards(catalogue, answers)
    if own.is_empty():
        return listed
    mine = build_cards(own, resolved.filter(pl.col("rule").is_in(OWN_RULES)))
    always = mine.filter(pl.all_horizontal(pl.col(_CONDITIONS).is_null()))
    covered = [*NAMES, "service_tier"]
    kept = listed.join(always.select(covered), on=covered, how="anti", nulls_equal=True)
    # A list may have prices for classes that no event can have, each a column of its own.
    shared = [name for name in listed.columns if name in mine.columns]
    return pl.concat([kept.select(shared), mine.select(shared)])
