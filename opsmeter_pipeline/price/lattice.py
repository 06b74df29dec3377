"""From the counts of an event, which overlap, to classes of units that do not.

On the wire cache reads, cache writes, audio and images are parts of the input, one-hour writes
are part of the writes, reasoning and audio are parts of the output. docs/prices.md draws it. A
part that no event tells of is left out of every sum, which keeps plain events quick.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add, sub

import polars as pl

from opsmeter_pipeline.model.columns import MONEY

PARTS = (
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "web_searches",
)
SPECIAL = (
    "input_audio",
    "input_audio_cache_read",
    "input_image",
    "input_image_cache_read",
    "output_audio",
    "web_search",
)
"""Classes that are not plain tokens; without a price they are unpriced as `special_units`."""
FLAGS = ("has_image_price", "untold_input", "untold_output")
"""What units and doubts read of a card beside its prices."""
_INPUT = pl.col("input_tokens")
_Part = pl.Expr | None
"""A count, 0 where an event does not tell it; None where no event does."""


@dataclass(frozen=True)
class Split:
    """How the counts of a frame of events are split.

    Attributes:
        told: the parts that some event tells of.
        units: how many units of each class an event has; over its counts and its card's
            `has_image_price`. They are never negative if the event keeps the contract.
        doubts: by reason, whether an event's card cannot price its units; over the same, the
            card's prices and its `untold_...` flags.
    """

    told: tuple[str, ...]
    units: Mapping[str, pl.Expr]
    doubts: Mapping[str, pl.Expr]


def split_counts(told: Collection[str]) -> Split:
    """Return the split of events that tell of these parts and no others.

    An image part without a price of its own is plain input: it costs the same, so it need not be
    told apart from cache reads. Where parts with different prices may overlap and the counts do
    not say by how much, the reason is `overlapping_parts`.
    """
    read, write, write_1h, audio, told_image, reasoning, output_audio, searches = (
        pl.col(name).fill_null(0) if name in told else None for name in PARTS
    )
    image = None if told_image is None else pl.when("has_image_price").then(told_image).otherwise(0)
    audio_read, image_read = _overlap(audio, read), _overlap(image, read)
    units = {
        "uncached_input": _less(_plus(_INPUT, audio_read, image_read), read, write, audio, image),
        "cache_read": read if read is None else _less(read, audio_read, image_read),
        "cache_write": write if write is None else _less(write, write_1h),
        "cache_write_1h": write_1h,
        "input_audio": audio if audio is None else _less(audio, audio_read),
        "input_audio_cache_read": audio_read,
        "input_image": image if image is None else _less(image, image_read),
        "input_image_cache_read": image_read,
        "output": _less(pl.col("output_tokens"), reasoning, output_audio),
        "reasoning": reasoning,
        "output_audio": output_audio,
        "web_search": searches,
        "request": pl.lit(1, pl.Int64),
    }
    used = {name: amount for name, amount in units.items() if amount is not None}
    unclear = _is_unclear(read=read, write=write, audio=audio, image=image)
    return Split(tuple(n for n in PARTS if n in told), used, _doubts(used, unclear=unclear))


def _overlap(part: _Part, read: _Part) -> _Part:
    """Return how much of a part was read from the cache, where the counts leave one answer.

    They do if the part is all of the input, or if all of the input was read.
    """
    if part is None or read is None:
        return None
    return (
        pl.when(part == 0).then(0)
        .when(part == _INPUT).then(read)
        .when(read == _INPUT).then(part)
        .otherwise(0)
    )  # fmt: skip


def _is_unclear(*, read: _Part, write: _Part, audio: _Part, image: _Part) -> _Part:
    """Say whether cached tokens may be audio or image tokens and the counts do not say how many."""
    parts = [part for part in (audio, image) if part is not None]
    cached = [part for part in (read, write) if part is not None]
    if not parts or not cached:
        return None
    covers_all = [part == _INPUT for part in (*parts, read) if part is not None]
    is_told = (
        pl.any_horizontal(covers_all)
        if write is None
        else (pl.any_horizontal(covers_all) & (write == 0))
    )
    return (reduce(add, parts) > 0) & (reduce(add, cached) > 0) & ~is_told


def _doubts(units: Mapping[str, pl.Expr], *, unclear: pl.Expr | None) -> dict[str, pl.Expr]:
    """Return the doubts that these units can raise, the gravest first."""
    untold = (
        pl.col(f"untold_{whole}") & (pl.col(f"{whole}_tokens") > 0) for whole in ("input", "output")
    )
    special = [(units[name] > 0) & pl.col(name).is_null() for name in SPECIAL if name in units]
    doubts = {
        "untold_parts": pl.any_horizontal(untold),
        "overlapping_parts": unclear,
        "special_units": pl.any_horizontal(special) if special else None,
    }
    return {reason: doubt for reason, doubt in doubts.items() if doubt is not None}


def _plus(whole: pl.Expr, *parts: _Part) -> pl.Expr:
    return reduce(add, (part for part in parts if part is not None), whole)


def _less(whole: pl.Expr, *parts: _Part) -> pl.Expr:
    return reduce(sub, (part for part in parts if part is not None), whole)


def times(units: pl.Expr, rate: pl.Expr) -> pl.Expr:
    """Return units times price; none of something costs nothing, priced or not."""
    cost = units.cast(pl.Decimal(38, 0)) * rate
    return pl.when(units == 0).then(pl.lit(0).cast(MONEY)).otherwise(cost.cast(MONEY))
