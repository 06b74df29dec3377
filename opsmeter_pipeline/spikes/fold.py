"""Which spikes of one window are the same event seen from several sides, and which one is told.

A burst of one endpoint is a spike of the endpoint, its tenant, its model and the workspace. The
first of these is told and named at the others, which stay in the table.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

import polars as pl

from opsmeter_pipeline.spikes.limits import SpikeRules
from opsmeter_pipeline.spikes.search import DIMENSIONS, GRAIN_OF, WORKSPACE
from opsmeter_pipeline.spikes.spike import Spike

_ORDER = ("endpoint_tag", "tenant_id", "model", WORKSPACE)
"""Whom a person can do most about comes first."""


def fold_spikes(spikes: Iterable[Spike], cells: pl.DataFrame, rules: SpikeRules) -> list[Spike]:
    """Return the spikes, each with the one that is told in its place.

    One covers another of its window, of another dimension, if it makes `cover_share` of the other's
    growth or more and that part of what it is made of also belongs to the other.

    Args:
        spikes: as found, in order.
        cells: what the windows are made of; see `stack_series`.
        rules: from which part on.
    """
    folded: list[Spike] = []
    for (start, window), group in groupby(spikes, lambda o: (o.window_start_at, o.rule_window)):
        end = start + GRAIN_OF[window].length
        within = cells.filter((pl.col("at") >= start) & (pl.col("at") < end), ~pl.col("is_late"))
        folded += _fold_window([*group], within, rules)
    return folded


def name_series(spike: Spike) -> str:
    """Return what a spike is of, in words that name one series: `model openai/gpt-4o`."""
    within = f"{spike.within}/" if spike.within else ""
    return f"{spike.dimension} {within}{spike.value}"


def _fold_window(spikes: Sequence[Spike], cells: pl.DataFrame, rules: SpikeRules) -> list[Spike]:
    ranked = sorted(spikes, key=lambda o: (_ORDER.index(o.dimension), -o.extra_usd, o.series))
    leads: list[Spike] = []
    told: dict[tuple[str, str, str], Spike] = {}
    for one in ranked:
        cover = next((lead for lead in leads if _covers(lead, one, cells, rules)), None)
        told[one.series] = replace(one, covered_by=name_series(cover)) if cover else one
        if cover is None:
            leads.append(one)
    return [told[one.series] for one in spikes]


def _covers(lead: Spike, one: Spike, cells: pl.DataFrame, rules: SpikeRules) -> bool:
    if lead.dimension == one.dimension:
        return False
    grown = lead.more_in(one.measure) >= rules.cover_share * one.more_in(one.measure)
    return grown and _overlap(lead, one, cells) >= rules.cover_share


def _overlap(lead: Spike, one: Spike, cells: pl.DataFrame) -> float:
    """Return which part of the lead's window also belongs to the other."""
    of_lead = cells.filter(_is_of(lead))
    whole = float(of_lead[one.measure].sum() or 0)
    return float(of_lead.filter(_is_of(one))[one.measure].sum() or 0) / whole if whole else 0.0


def _is_of(spike: Spike) -> pl.Expr:
    within, value = DIMENSIONS[spike.dimension]
    return (within == spike.within) & (value == spike.value)
