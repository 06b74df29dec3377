"""Which names of callers the user's own prices are for, and which model an alias means.

The user's file is asked first: an alias stands for its model, then an entry prices the name as it
is spelled, or the catalogue's model that the name was matched to, at the provider that was called.
So a contract with one provider never prices calls to another one that borrows its price list.
"""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import polars as pl

from opsmeter_pipeline.model.tables import MODEL_RESOLUTIONS
from opsmeter_pipeline.price.cards import NAMES
from opsmeter_pipeline.price.spelling import clean, provider_id_of, spelling_of
from opsmeter_pipeline.price.suggest import suggest_for_known

Name = tuple[str, str]
"""A provider and a model."""
_TO_CATALOGUE = "alias"
_TO_OWN, _OWN_NAME, _OWN_MODEL = "own_alias", "own_name", "own_model"
OWN_RULES = (_TO_OWN, _OWN_NAME, _OWN_MODEL)
"""Rules by which a name has a price in the user's file; `alias` leads to the catalogue's."""


def key_of(name: Name) -> Name:
    """Return a caller's provider and model as entries of the file are compared with them.

    >>> key_of(("Azure.AI.OpenAI", "azure/Prod-Chat "))
    ('azure', 'prod-chat')
    """
    provider, model = name
    return provider_id_of(provider), spelling_of(model, provider=provider)


def name_meant(name: Name, aliases: Mapping[Name, Name]) -> Name:
    """Return the name to ask the catalogue for: what an alias means, else the name itself."""
    return aliases.get(key_of(name), name)


class Matched(NamedTuple):
    """What names are matched to: rows of `model_resolutions`.

    Attributes:
        answers: the catalogue's answer for each name, or for what it means.
        own: the names that the user's file knows, by `resolve_own`.
    """

    answers: pl.DataFrame
    own: pl.DataFrame


def match_names(
    names: pl.DataFrame,
    ask: Callable[[pl.DataFrame], pl.DataFrame],
    *,
    own: Collection[Name],
    aliases: Mapping[Name, Name],
    version: str,
) -> Matched:
    """Return what the catalogue and the user's file say of each name.

    Args:
        names: `provider` and `model` as callers send them, each pair once.
        ask: returns the catalogue's rows of `model_resolutions` for names.
        own: the providers and models the file has entries for.
        aliases: what each alias means.
        version: the file's version.
    """
    meant = sorted(
        {name_meant((provider, model), aliases) for provider, model in names.iter_rows()}
    )
    asked = ask(pl.DataFrame(meant, schema=dict.fromkeys(NAMES, pl.String), orient="row"))
    answers = answer_names(names, asked, aliases=aliases)
    return Matched(answers, resolve_own(answers, own=own, aliases=aliases, version=version))


def resolve_own(
    answers: pl.DataFrame, *, own: Collection[Name], aliases: Mapping[Name, Name], version: str
) -> pl.DataFrame:
    """Return rows of `model_resolutions` for the names that the user's file knows.

    Args:
        answers: rows of `model_resolutions`: what the catalogue says of each name, and of the name
            an alias means in place of the alias.
        own: the providers and models the file has entries for.
        aliases: what each alias means.
        version: the file's version.
    """
    rows = [
        {**row, **found, "source_version": version}
        for row in answers.iter_rows(named=True)
        if (found := _find(row, own=own, aliases=aliases)) is not None
    ]
    return pl.DataFrame(rows, schema=MODEL_RESOLUTIONS.schema)


def answer_names(
    names: pl.DataFrame, asked: pl.DataFrame, *, aliases: Mapping[Name, Name]
) -> pl.DataFrame:
    """Return a row of `model_resolutions` for each name: the catalogue's answer to what it means.

    Args:
        names: `provider` and `model` as callers send them.
        asked: rows of `model_resolutions` for these, or for what they mean.
        aliases: what each alias means.
    """
    meant = [name_meant((provider, model), aliases) for provider, model in names.iter_rows()]
    pairs = names.select(NAMES).with_columns(
        pl.Series("asked_provider", [one[0] for one in meant], pl.String),
        pl.Series("asked_model", [one[1] for one in meant], pl.String),
    )
    found = asked.rename({"provider": "asked_provider", "model": "asked_model"})
    joined = pairs.join(found, on=["asked_provider", "asked_model"], maintain_order="left")
    return MODEL_RESOLUTIONS.arrange(joined)


def _find(
    row: Mapping[str, str | None], *, own: Collection[Name], aliases: Mapping[Name, Name]
) -> dict[str, str | None] | None:
    """Return what the file says of a name, or None if it says nothing."""
    key = key_of((row["provider"] or "", row["model"] or ""))
    is_alias, meant = key in aliases, aliases.get(key, key)
    if row["rule"] == "ambiguous" and not is_alias and clean(row["model"] or "") != key[1]:
        return None  # what was taken off in front of it is what makes it ambiguous
    called = row["called_provider_id"]
    spelled = (meant, (called, meant[1]))
    matched = (called, row["model_id"])
    name = next((one for one in (*spelled, matched) if one in own), None)
    if name is not None:
        rule = _TO_OWN if is_alias else _OWN_NAME if name in spelled else _OWN_MODEL
        place = f"{name[0]}/{name[1]} in prices.toml"
        known = suggest_for_known(row["provider"] or "", row["model"] or "", place=place)
        return {"called_provider_id": name[0], "provider_id": name[0], "model_id": name[1],
                "rule": rule, "candidates": None, "suggestion": known}  # fmt: skip
    return {"rule": _TO_CATALOGUE} if is_alias else None
