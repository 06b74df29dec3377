"""The policy for raw identifiers, applied to typed rows before anything of them is written.

Values are judged once each, not once a line. Comes inside `contract.readings`, before the rules:
what is refused gets a reading that the rule `raw_identifier` shows, what is hashed is replaced.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import polars as pl

from opsmeter_pipeline.contract.identifiers import PLAIN_ID, find_shape
from opsmeter_pipeline.contract.personal import (
    LIKE_BASE64,
    NUMBER_AFTER_PLUS,
    SUSPICIOUS,
    find_personal,
)
from opsmeter_pipeline.model.identifiers import IdentifierPolicy, hash_identifier
from opsmeter_pipeline.model.wire import WIRE

RAW = "raw_identifiers"
"""The reading: which fields of a row are raw and in what shape; null if none is."""
IDENTITIES = ("tenant_id", "user_id")
_NAMES = {field.column: field.name for field in WIRE}
_TEXTS = ("external_request_id", "provider", "model", "endpoint_tag", "prompt_version")
_FINDERS: Mapping[str, Callable[[str], str | None]] = MappingProxyType(
    {**dict.fromkeys(_TEXTS, find_personal), **dict.fromkeys(IDENTITIES, find_shape)}
)
"""How each column is judged; the other texts are closed sets."""


def guard_identifiers(
    rows: pl.DataFrame, distinct: Mapping[str, pl.Series], policy: IdentifierPolicy
) -> pl.DataFrame:
    """Return the rows with raw identifiers replaced if there is a key, named in `RAW` if not.

    Args:
        rows: typed rows.
        distinct: the distinct texts of the columns that are categories.
        policy: what to do.
    """
    shapes = {
        column: {value: shape for value in values if (shape := find(value))}
        for column, find in _FINDERS.items()
        if len(values := _find_suspects(column, distinct.get(column, rows[column])))
    }
    shapes = {column: found for column, found in shapes.items() if found}
    if shapes and policy.key is None:
        return rows.with_columns(_describe(rows, shapes))
    none = pl.lit(None, pl.String).alias(RAW)
    return rows.with_columns(*_hash(rows, shapes, key=policy.key or b""), none)


def _find_suspects(column: str, values: pl.Series) -> pl.Series:
    """Return the few values that a quick look in bulk does not show to be harmless."""
    if column in IDENTITIES:
        return values.filter(~values.str.contains(PLAIN_ID))
    is_beyond_ascii = values.str.len_chars() != values.str.len_bytes()
    suspects = values.filter(values.str.contains(SUSPICIOUS) | is_beyond_ascii)
    is_numbered = suspects.str.contains(NUMBER_AFTER_PLUS)
    return suspects.filter(is_numbered | ~suspects.str.contains(LIKE_BASE64))


def _describe(rows: pl.DataFrame, shapes: Mapping[str, Mapping[str, str]]) -> pl.Series:
    """Return for each row its fields that are raw, and never what stands in them."""
    details = [
        _map(
            rows[column], {value: f"{_NAMES[column]} is {shape}" for value, shape in found.items()}
        )
        if column in IDENTITIES
        else _map(
            rows[column], {v: f"{_NAMES[column]} holds {shape}" for v, shape in found.items()}
        )
        for column, found in shapes.items()
    ]
    joined = pl.concat_str(details, separator="; ", ignore_nulls=True)
    return pl.select(pl.when(joined != "").then(joined).alias(RAW)).to_series()


def _hash(
    rows: pl.DataFrame, shapes: Mapping[str, Mapping[str, str]], *, key: bytes
) -> list[pl.Series]:
    """Return the columns in which raw values stand, each such value replaced by its hash."""
    replaced: list[pl.Series] = []
    for column, found in shapes.items():
        hashes = {value: hash_identifier(value, name=_NAMES[column], key=key) for value in found}
        text = rows[column].cast(pl.String)
        hashed = _map(text, hashes)
        replaced.append(
            text.zip_with(hashed.is_null(), hashed).cast(rows.schema[column]).alias(column)
        )
    return replaced


def _map(text: pl.Series, values: Mapping[str, str]) -> pl.Series:
    return text.cast(pl.String).replace_strict(
        list(values), list(values.values()), default=None, return_dtype=pl.String
    )
