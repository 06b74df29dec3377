"""Which lines are a request's attempts and which are redeliveries of one.

An attempt is billed, a redelivery is not, and the caller's id alone cannot tell them apart:
clients reuse it for both. With `attempt` the key is `(environment, external_request_id, attempt)`;
without it, content decides (ADR 0004). Comes after `contract`, before `price`; what earlier
batches published arrives as `known`.
"""

from collections.abc import Iterable

import numpy as np
import polars as pl

REQUEST_ID = "external_request_id"
ID = ("environment", REQUEST_ID)
CONTENT = (
    "provider",
    "model",
    "endpoint_tag",
    "prompt_version",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "web_searches",
    "service_tier",
    "latency_ms",
    "status",
)
"""What two lines must agree in to be one event. Times are not among it: senders restamp them."""
CANDIDATE = ("seq", *ID, "attempt", "ingested_at", "occurred_at", *CONTENT)
"""Columns of a staged event that identity needs, once its id is known to occur twice."""
KNOWN = (*ID, "attempt", "attempt_told", "is_first_attempt", *CONTENT)
"""Columns of a published event that identity needs."""
PUBLISHED = (*KNOWN, "attempt_inferred", "batch_id", "file", "line_number")
"""Columns of a published event that identity needs when its batch is replayed."""
VERDICT_SCHEMA = {
    "seq": pl.Int64,
    "verdict": pl.String,
    "attempt": pl.Int64,
    "attempt_inferred": pl.Boolean,
    "is_first_attempt": pl.Boolean,
}


def hash_ids(events: pl.DataFrame) -> pl.DataFrame:
    """Return the hash `id` of each event's `external_request_id`, in their order."""
    return events.select(pl.col(REQUEST_ID).hash().alias("id"))


def mark_candidates(hashes: Iterable[pl.DataFrame], known: pl.DataFrame) -> list[pl.Series]:
    """Return which staged events may be one of several of their request, a mask for each part.

    A collision of hashes only brings a needless candidate.

    Args:
        hashes: what `hash_ids` returned for the staged events, part by part.
        known: all published events of these ids.
    """
    parts = [*hashes]
    # Sorting takes half the time of counting each in a table.
    seen = np.sort(pl.concat([hash_ids(known).clear(), *parts])["id"].to_numpy())
    repeated = pl.Series(seen[1:][seen[1:] == seen[:-1]])
    wanted = pl.concat([repeated, hash_ids(known)["id"]]).unique().implode()
    return [part["id"].is_in(wanted) for part in parts]


def identify(candidates: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return a verdict for each candidate: one row per `seq`, columns of `VERDICT_SCHEMA`.

    `verdict` is `event`, `duplicate` or `conflicting_duplicate`; the other columns are null
    unless it is `event`.

    The earliest line wins (by ingest time, event time, then order of reading), but an event that
    an earlier batch published always stays. Attempts that lines do not name are numbered among
    themselves in order of event time, with the smallest numbers that are free, so that
    replaying any batch gives its events the same numbers again. A told attempt is never refused
    for a number that was inferred.

    Args:
        candidates: all staged events of ids that occur twice, columns `CANDIDATE`.
        known: all published events of these ids, columns `KNOWN`, but for replayed batches.
    """
    if candidates.is_empty():
        return pl.DataFrame(schema=VERDICT_SCHEMA)
    ranked = candidates.sort("ingested_at", "occurred_at", "seq").with_row_index("rank", offset=1)
    told = _judge_told(ranked.filter(pl.col("attempt").is_not_null()), known)
    accepted = told.filter(pl.col("verdict") == "event")
    untold = _judge_untold(ranked.filter(pl.col("attempt").is_null()), known, accepted)
    return _mark_first(pl.concat([told, untold]), known).select(*VERDICT_SCHEMA)


def identify_batches(
    candidates: pl.DataFrame, known: pl.DataFrame, published: pl.DataFrame
) -> pl.DataFrame:
    """Return the verdicts of several batches, each judged after the ones before it.

    A replayed line that is an event and reads as it did stays one, with its number; the others
    are judged after all of those. So a line that leaves quarantine takes no event's place, and it
    does not matter which batches are replayed together (ADR 0010).

    Args:
        candidates: as for `identify`, and `batch`: the order of the batches.
        known: as for `identify`.
        published: the events of replayed batches, columns `KNOWN`, `attempt_inferred`,
            `slice_index` and `line_number`.
    """
    candidates = candidates.with_columns(pl.col(pl.Categorical).cast(pl.String))
    kept = _keep_published(candidates, known, published)
    verdicts = [kept.select(*VERDICT_SCHEMA)]
    known = pl.concat([known, kept.select(KNOWN)])
    candidates = candidates.join(kept, on="seq", how="anti", maintain_order="left")
    for batch in candidates.sort("batch", "seq").partition_by("batch", maintain_order=True):
        verdicts.append(identify(batch, known))
        published = apply_verdicts(batch, verdicts[-1]).select(KNOWN)
        known = pl.concat([known, published])
    return pl.concat(verdicts)


def _keep_published(
    candidates: pl.DataFrame, known: pl.DataFrame, published: pl.DataFrame
) -> pl.DataFrame:
    """Return the candidates that are events already, with their verdict.

    If none of an id's events counts the request any more, because the one that did is refused by
    now, the lowest attempt that stays counts it.
    """
    told = pl.when("attempt_told").then("attempt").alias("told")
    same = ["slice_index", "line_number", *ID, *CONTENT, "told"]
    numbers = ["attempt", "attempt_told", "attempt_inferred", "is_first_attempt"]
    kept = candidates.rename({"attempt": "told"}).join(
        published.select(told, *dict.fromkeys((*same[:-1], *numbers))), on=same, nulls_equal=True
    )
    counted = pl.concat([known.select(KNOWN), kept.select(KNOWN)]).filter("is_first_attempt")
    uncounted = kept.join(counted, on=ID, how="anti").sort("attempt", "seq")
    first = uncounted.unique(ID, keep="first", maintain_order=True)["seq"]
    return kept.with_columns(
        pl.col("is_first_attempt") | pl.col("seq").is_in(first.implode()), verdict=pl.lit("event")
    )


def _judge_told(told: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Judge lines that name their attempt.

    One whose content is that of a published event without an attempt is its redelivery. Of the
    others the first of a key stays, equals are duplicates, the rest conflicts.
    """
    key, same = [*ID, "attempt"], [*ID, *CONTENT]
    untold = known.filter(~pl.col("attempt_told")).select(same).unique()
    redelivered = told.join(untold, on=same, how="semi", nulls_equal=True)
    fresh = told.join(untold, on=same, how="anti", nulls_equal=True)
    held = known.filter("attempt_told")
    holders = pl.concat([held.select(*key, *CONTENT), fresh.select(*key, *CONTENT)])
    first = holders.unique(key, keep="first", maintain_order=True)
    is_first = pl.col("rank") == pl.col("rank").min().over(key)
    judged = (
        fresh.join(held.select(key).unique().with_columns(held=True), on=key, how="left")
        .join(first.with_columns(same=True), on=[*key, *CONTENT], how="left", nulls_equal=True)
        .with_columns(
            pl.when(is_first & pl.col("held").is_null()).then(pl.lit("event"))
            .when(pl.col("same")).then(pl.lit("duplicate"))
            .otherwise(pl.lit("conflicting_duplicate"))
            .alias("verdict")
        )
    )  # fmt: skip
    columns = ["seq", "verdict", *ID, "attempt", *CONTENT]
    duplicates = redelivered.with_columns(verdict=pl.lit("duplicate")).select(columns)
    return pl.concat([judged.select(columns), duplicates]).with_columns(attempt_inferred=False)


def _judge_untold(
    untold: pl.DataFrame, known: pl.DataFrame, accepted: pl.DataFrame
) -> pl.DataFrame:
    """Judge lines without an attempt: equal content is a redelivery, other content an attempt."""
    same = [*ID, *CONTENT]
    held = pl.concat([known.select(same), accepted.select(same)]).unique().with_columns(held=True)
    judged = untold.join(held, on=same, how="left", nulls_equal=True).with_columns(
        pl.when(pl.col("held").is_null() & (pl.col("rank") == pl.col("rank").min().over(same)))
        .then(pl.lit("event"))
        .otherwise(pl.lit("duplicate"))
        .alias("verdict")
    )
    taken = known.filter(~pl.col("attempt_told")).select(*ID, "attempt")
    numbers = _number_attempts(judged.filter(pl.col("verdict") == "event"), taken)
    return (
        judged.drop("attempt")
        .join(numbers, on="seq", how="left")
        .with_columns((pl.col("attempt") > 1).alias("attempt_inferred"))
        .select("seq", "verdict", *ID, "attempt", *CONTENT, "attempt_inferred")
    )


def _number_attempts(events: pl.DataFrame, taken: pl.DataFrame) -> pl.DataFrame:
    """Return `seq` and `attempt`: the smallest numbers not taken, in order of event time."""
    nth = pl.int_range(pl.len(), dtype=pl.Int64).over(ID).alias("nth")
    ordered = events.sort("occurred_at", "rank").select("seq", *ID, nth)
    taken = taken.unique().join(ordered, on=ID, how="semi")
    if taken.is_empty():
        return ordered.select("seq", attempt=pl.col("nth") + 1)
    used = pl.concat([ordered.select(ID), taken.select(ID)])
    free = (
        used.group_by(ID, maintain_order=True)
        .agg(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("attempt"))
        .explode("attempt")
        .join(taken, on=[*ID, "attempt"], how="anti", maintain_order="left")
        .with_columns(nth)
    )
    return ordered.join(free, on=[*ID, "nth"], how="left").select("seq", "attempt")


def _mark_first(judged: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Mark one event of each id, unless a published one is marked: it counts the request."""
    counted = known.filter("is_first_attempt").select(ID).unique().with_columns(counted=True)
    is_event = pl.col("verdict") == "event"
    first = pl.col("seq").filter(is_event).sort_by(pl.col("attempt").filter(is_event)).first()
    return (
        judged.sort("seq")
        .join(counted, on=ID, how="left")
        .with_columns(
            pl.when(is_event)
            .then((pl.col("seq") == first.over(ID)) & pl.col("counted").is_null())
            .alias("is_first_attempt"),
            *(pl.when(is_event).then(name).alias(name) for name in ("attempt", "attempt_inferred")),
        )
    )


def apply_verdicts(events: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Return the events that stay, their attempts numbered and marked as `events` has them.

    An event without a verdict is alone with its id: it is its request's first attempt.

    Args:
        events: staged events, in the order of `seq`.
        verdicts: columns of `VERDICT_SCHEMA`, of these and of events before and after them.

    Raises:
        ValueError: a verdict has no event.
    """
    seq = events["seq"]
    judged = verdicts.filter(pl.col("seq").is_between(seq.min(), seq.max()))
    rows = seq.search_sorted(judged["seq"])
    if not (seq.gather(rows) == judged["seq"]).all():
        msg = "A verdict's event is not there, or the events are not in the order of `seq`."
        raise ValueError(msg)
    is_event, inferred, first = (
        pl.repeat(value, events.height, dtype=pl.Boolean, eager=True).scatter(rows, found)
        for value, found in (
            (True, judged["verdict"] == "event"),
            (False, judged["attempt_inferred"]),
            (True, judged["is_first_attempt"]),
        )
    )
    return events.with_columns(
        pl.col("attempt").is_not_null().alias("attempt_told"),
        events["attempt"].fill_null(1).scatter(rows, judged["attempt"]),
        attempt_inferred=inferred,
        is_first_attempt=first,
    ).filter(is_event)
