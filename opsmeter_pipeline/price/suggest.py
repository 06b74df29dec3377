"""The next step for a name without a price: one sentence, and what to put into `prices.toml`.

Written once, when a name is resolved, so that a view only shows it. Nothing here prices anything:
a near name is offered to a person and never taken. What the file may hold is `price.own`'s.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence

from opsmeter_pipeline.price.spelling import clean, is_gateway, spelling_of

_LIKENESS = 0.75
"""How alike a known name must be to be offered: 1 is the same, 0 shares nothing."""
_UNKNOWN_PRICES = {"input_usd_per_mtok": "?", "output_usd_per_mtok": "?"}
"""The file is refused until a person has put numbers there."""


def suggest_for_known(provider: str, model: str, *, place: str) -> str:
    """Return the step for a name that is known; the view says by the reason what is missing."""
    return _with_entry(
        f"Known as {place}.", "price", {"provider": provider, "model": model, **_UNKNOWN_PRICES}
    )


def suggest_for_ambiguous(candidates: str | None) -> str:
    """Return the step for a name that points to several sellers: only the producer knows."""
    return f"Have the producer send the provider that bills it. It may mean: {candidates or '?'}."


def suggest_for_unknown(
    provider: str, model: str, *, rule: str, sellers: Mapping[str, Sequence[str]] | None
) -> str:
    """Return the step for a name that no price list has.

    A name that differs from a known one in more than its separators and letters, so in a number,
    is another model: that of a newer package, or a private one.

    Args:
        provider: as callers send it.
        model: as callers send it.
        rule: why it was not matched: `unknown_provider`, `unknown_model` or `fine_tuned`.
        sellers: the models of the providers it may be from, by provider, the likeliest first; None
            if a near name is not to be looked for.
    """
    price = {"provider": provider, "model": model, **_UNKNOWN_PRICES}
    if rule == "fine_tuned":
        return _with_entry("Fine-tuned: give it the price of your contract:", "price", price)
    if sellers is None:
        said = "New with so many others that no near name was looked for. Give it a price:"
        return _with_entry(said, "price", price)
    spelled = spelling_of(model, provider=provider)
    seller, near = _nearest(spelled, sellers)
    if near is None:
        if is_gateway(provider):
            return "Have the producer send the provider behind the gateway, or provider/model."
        return _with_entry(
            "No name is like it. Give it a price, or correct the provider:", "price", price
        )
    if _digits(near) != _digits(spelled):
        said = f"Nearest is {seller}/{near}, another version. Upgrade genai-prices, or price it:"
        return _with_entry(said, "price", price)
    means = {"means_provider": seller, "means_model": near}
    return _with_entry(
        f"Nearest is {seller}/{near}. If it means that:", "alias",
        {"provider": provider, "model": model, **means},
    )  # fmt: skip


def _nearest(name: str, sellers: Mapping[str, Sequence[str]]) -> tuple[str, str | None]:
    """Return the seller and the most alike of its models, of the first seller that has one."""
    for seller, models in sellers.items():
        if found := difflib.get_close_matches(clean(name), models, n=1, cutoff=_LIKENESS):
            return seller, found[0]
    return "", None


def _digits(name: str) -> str:
    return "".join(re.findall(r"\d", name))


def _with_entry(said: str, kind: str, entry: Mapping[str, str]) -> str:
    """Return the sentence, and below it an entry of `prices.toml`."""
    lines = [f"[[{kind}]]", *(f"{key} = {_quoted(value)}" for key, value in entry.items())]
    return "\n".join([said, *lines])


def _quoted(text: str) -> str:
    # A JSON string is a TOML string, but for one character that JSON does not escape.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
