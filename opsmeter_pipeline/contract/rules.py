"""The contract: the Pandera schema of a typed line, and the named rules that refuse one.

Add a rule here as one `Rule`; its name is what `quarantine.rule` shows and what docs and checks
list. Rules that can only be seen in a line's text stand in `contract.exact`. A line that breaks
several rules is filed under the first in this order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import cast

import pandera.polars as pa
import polars as pl

from opsmeter_pipeline.contract.lines import TYPED
from opsmeter_pipeline.contract.privacy import RAW
from opsmeter_pipeline.model.wire import (
    COUNTS,
    DATA_MODES,
    ENVIRONMENTS,
    MAX_COUNT,
    PARTS_OF,
    SERVICE_TIERS,
    STATUSES,
    WIRE,
)

MAX_ID_CHARACTERS = 256
FUTURE_TOLERANCE = timedelta(minutes=5)
"""How far a clock may run ahead before its event is refused (the field's usual tolerance)."""
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "malformed_json": "The line is no JSON by RFC 8259, no UTF-8, or longer than 64 MiB.",
        "not_an_object": "The line is JSON, but no object.",
        "duplicate_field": "A field occurs more than once with different values.",
        "wrong_type": "A field has a value of another type; nothing is coerced.",
        "naive_timestamp": "A timestamp has no UTC offset.",
        "unreadable_timestamp": "A timestamp is neither RFC 3339 nor epoch milliseconds.",
        "missing_field": "A required field is absent or null; of the tokens, one of the two.",
        "missing_usage": "`inputTokens` and `outputTokens` are both absent or null, as after an "
        "aborted stream: nobody knows what was used, which is not 0.",
        "empty_field": "A required text is empty or white space.",
        "too_long": f"`externalRequestId` has more than {MAX_ID_CHARACTERS} characters.",
        "raw_identifier": "`tenantId` or `userId` is not hashed, or another text holds an e-mail "
        "address or phone number; with `OPSMETER_IDENTIFIERS=hash` it is hashed instead.",
        "negative_count": "A count is below 0.",
        "absurd_count": "A count is above 2^40.",
        "invalid_attempt": "`attempt` is 0; the first is 1.",
        "unknown_status": f"`status` is no HTTP code and none of {', '.join(STATUSES)}.",
        "unknown_data_mode": f"`dataMode` is none of {', '.join(DATA_MODES)}.",
        "unknown_environment": f"`environment` is none of {', '.join(ENVIRONMENTS)}.",
        "unknown_service_tier": f"`serviceTier` is none of {', '.join(SERVICE_TIERS)}.",
        "future_timestamp": "A timestamp is more than 5 minutes ahead of when it was taken.",
        "contradicting_total": "`totalTokens` is not the sum of input and output.",
        "part_above_whole": "Tokens of a part are more than those of its whole.",
        "zero_input_with_output": "`inputTokens` is 0 and `outputTokens` is not.",
        "conflicting_duplicate": "Another event has the same id and attempt, with other content.",
    }
)
"""Every rule a line can be filed under, in the order in which they are asked. The first six are
seen in a line's text (`contract.exact`), the last is found by `identity`."""

_REQUIRED = [field.column for field in WIRE if field.required]
_REQUIRED_TEXT = [field.column for field in WIRE if field.required and field.kind == "text"]
_BOUNDED = [column for column in COUNTS if column != "total_tokens"]  # the sum of two bounded
_WIRE_NAME = {field.column: field.name for field in WIRE}
_USAGE = ("input_tokens", "output_tokens")


@dataclass(frozen=True)
class Rule:
    """One promise that every event keeps.

    Attributes:
        name: its name, in snake_case; what a line that breaks it is filed under.
        holds: true where a row keeps it; evaluated on the typed columns.
        detail: what a broken row shows for it, without values that could identify a person.
    """

    name: str
    holds: pl.Expr
    detail: pl.Expr


def _names_where(broken: Iterable[tuple[str, pl.Expr]], saying: str) -> pl.Expr:
    names = [pl.when(flag).then(pl.lit(_WIRE_NAME[column])) for column, flag in broken]
    return pl.format(saying, pl.concat_str(names, separator=", ", ignore_nulls=True))


def _each(name: str, columns: list[str], saying: str, broken: dict[str, pl.Expr]) -> Rule:
    flags = [(column, broken[column]) for column in columns]
    return Rule(name, ~pl.any_horizontal(flag for _, flag in flags), _names_where(flags, saying))


def _one_of(name: str, column: str, allowed: tuple[str, ...]) -> Rule:
    holds = pl.col(column).is_null() | pl.col(column).is_in(allowed)
    saying = f"{_WIRE_NAME[column]} is none of {', '.join(allowed)}"
    return Rule(name, holds, pl.lit(saying))


def _at_most(parts: Sequence[str], whole: str) -> Rule:
    held = sum((pl.col(part).fill_null(0) for part in parts), start=pl.lit(0))
    names = " + ".join(_WIRE_NAME[part] for part in parts)
    saying = f"{names} ({{}}) above {_WIRE_NAME[whole]} ({{}})"
    bound = pl.col(whole).fill_null(0)
    return Rule("part_above_whole", held <= bound, pl.format(saying, held, bound))


def _missing_rule() -> Rule:
    """Return the rule of required fields; a line that lacks nothing but usage keeps it."""
    rule = _each("missing_field", _REQUIRED, "{} missing or null", {
        column: pl.col(column).is_null() for column in _REQUIRED
    })  # fmt: skip
    has_texts = pl.all_horizontal(pl.col(column).is_not_null() for column in _REQUIRED_TEXT)
    has_both_or_none = pl.col(_USAGE[0]).is_null() == pl.col(_USAGE[1]).is_null()
    return Rule(rule.name, has_texts & has_both_or_none, rule.detail)


def _parts_rule() -> Rule:
    rules = [_at_most(parts, whole) for parts, whole in PARTS_OF]
    details = pl.coalesce(pl.when(~rule.holds).then(rule.detail) for rule in rules)
    return Rule("part_above_whole", pl.all_horizontal(rule.holds for rule in rules), details)


def _future_rule() -> Rule:
    """Return the rule on event and ingest time; its detail says how far each is ahead."""
    future = pl.col("taken_at") + FUTURE_TOLERANCE
    leads = {
        column: (pl.col(column) > future, (pl.col(column) - pl.col("taken_at")).dt.total_seconds())
        for column in ("timestamp", "ingested_at")
    }
    details = [
        pl.when(is_ahead).then(pl.format(f"{_WIRE_NAME[column]} {{}} seconds ahead", lead))
        for column, (is_ahead, lead) in leads.items()
    ]
    holds = ~pl.any_horizontal(is_ahead.fill_null(value=False) for is_ahead, _ in leads.values())
    detail = pl.concat_str(details, separator=", ", ignore_nulls=True)
    return Rule("future_timestamp", holds, detail)


_ID = pl.col("external_request_id")
_TOTAL = pl.col("input_tokens") + pl.col("output_tokens")

RULES: tuple[Rule, ...] = (
    _missing_rule(),
    Rule(
        "missing_usage",
        pl.any_horizontal(pl.col(column).is_not_null() for column in _USAGE),
        pl.lit("inputTokens and outputTokens missing or null"),
    ),
    _each("empty_field", _REQUIRED_TEXT, "{} empty", {
        column: pl.col(f"is_blank_{column}") for column in _REQUIRED_TEXT
    }),
    Rule(
        "too_long",
        _ID.str.len_chars() <= MAX_ID_CHARACTERS,
        pl.format("externalRequestId has {} characters", _ID.str.len_chars()),
    ),
    Rule("raw_identifier", pl.col(RAW).is_null(), pl.col(RAW)),
    _each("negative_count", list(COUNTS), "{} below 0", {
        column: pl.col(column).fill_null(0) < 0 for column in COUNTS
    }),
    _each("absurd_count", _BOUNDED, "{} above 2^40", {
        column: pl.col(column).fill_null(0) > MAX_COUNT for column in _BOUNDED
    }),
    Rule(
        "invalid_attempt",
        pl.col("attempt").fill_null(1) >= 1,
        pl.lit("attempt is 0, the first is 1"),
    ),
    Rule(
        "unknown_status",
        pl.col("outcome").is_not_null(),
        pl.lit(f"status is no HTTP code and none of {', '.join(STATUSES)}"),
    ),
    _one_of("unknown_data_mode", "data_mode", DATA_MODES),
    _one_of("unknown_environment", "environment", ENVIRONMENTS),
    _one_of("unknown_service_tier", "service_tier", SERVICE_TIERS),
    _future_rule(),
    Rule(
        "contradicting_total",
        (pl.col("total_tokens") == _TOTAL).fill_null(value=True),
        pl.format("totalTokens is {}, the parts sum up to {}", "total_tokens", _TOTAL),
    ),
    _parts_rule(),
    Rule(
        "zero_input_with_output",
        (pl.col("input_tokens") > 0) | (pl.col("output_tokens") <= 0),
        pl.format("inputTokens 0 with outputTokens {}", "output_tokens"),
    ),
)  # fmt: skip


class Contract:
    """Rules in their order, and the Pandera schema of the typed lines that keep them."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Ask `rules` in this order."""
        kept = [rule.holds.fill_null(value=False) for rule in rules]
        self._keeps_all = pl.all_horizontal(kept)
        self._first = pl.coalesce(
            pl.when(~one).then(pl.lit(rule.name)) for rule, one in zip(rules, kept, strict=True)
        )
        self._detail = pl.coalesce(
            pl.when(pl.col("rule") == rule.name).then(rule.detail) for rule in rules
        )
        self._schema = pa.DataFrameSchema(
            {field.column: pa.Column(TYPED[field.column], nullable=True) for field in WIRE},
            # All rules as one check: fifteen cost Pandera three times what they cost Polars.
            checks=pa.Check(self._check, name="rules"),
        )

    def find_broken(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return `row`, `rule`, `detail` of each row that breaks the contract, by its first rule.

        `row` is the position in `rows`. The frame must be collected: on a lazy one Pandera checks
        the schema alone (unionai-oss/pandera#1606 and its kin).

        Raises:
            TypeError: the frame does not have the contract's columns and types.
        """
        broken = self._find_rows(rows)
        named = rows[broken].select(self._first.alias("rule"), pl.all())
        return named.select(broken, "rule", self._detail.alias("detail"))

    def _find_rows(self, rows: pl.DataFrame) -> pl.Series:
        """Return the positions of the rows that break a rule, as Pandera tells them."""
        try:
            self._schema.validate(rows, lazy=True)
        except pa.errors.SchemaErrors as found:
            failures = cast("pl.DataFrame", found.failure_cases)
        else:
            return pl.Series("row", dtype=pl.UInt32)
        if failures["index"].null_count():  # a column's failure has no row
            msg = f"The typed frame broke the contract's shape: {failures['check'].to_list()}"
            raise TypeError(msg)
        return failures["index"].cast(pl.UInt32).sort().alias("row")

    def _check(self, data: pa.PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(self._keeps_all)


CONTRACT = Contract(RULES)
