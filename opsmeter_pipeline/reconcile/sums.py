"""What is reconciled: sums of a UTC day, a provider and a model, from either side.

Amounts are exact decimals by measure, counts too. A measure that is absent is not told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from typing import NamedTuple

EXACT = Context(prec=76)
"""Digits enough for any sum and product of money; nothing is rounded in silence."""
Amounts = Mapping[str, Decimal]


class Key(NamedTuple):
    """A provider and a model in the catalogue's spelling; no model is all its models together."""

    provider: str
    model: str | None


class Place(NamedTuple):
    """A UTC day, a provider and, if the export is grouped so, a model."""

    day: date
    provider: str
    model: str | None


@dataclass(frozen=True)
class Known:
    """What the warehouse has of a day and a key, in the hours that the export speaks for.

    Attributes:
        day: UTC day on which the events occurred.
        key: their provider and model.
        amounts: all measures of all events.
        late: of these, in batches that became visible after the export was made.
        unbilled: of these, that the provider may not bill: failed and inferred attempts.
        unpriced_attempts: events without a price, whose cost is in no amount.
        unpriced_tokens: their input and output.
        names: the model as callers name it.
    """

    day: date
    key: Key
    amounts: Amounts
    late: Amounts = field(default_factory=dict[str, Decimal])
    unbilled: Amounts = field(default_factory=dict[str, Decimal])
    unpriced_attempts: int = 0
    unpriced_tokens: int = 0
    names: frozenset[str] = frozenset()

    def add(self, other: "Known") -> "Known":
        """Return both together, at this one's day and key."""
        return Known(
            self.day,
            self.key,
            add_amounts(self.amounts, other.amounts),
            add_amounts(self.late, other.late),
            add_amounts(self.unbilled, other.unbilled),
            self.unpriced_attempts + other.unpriced_attempts,
            self.unpriced_tokens + other.unpriced_tokens,
            self.names | other.names,
        )


@dataclass(frozen=True)
class Refused:
    """Lines in quarantine, by day and rule.

    Attributes:
        day: UTC day of their calls, or of their landing where that is all that is known.
        rule: the rule they broke.
        lines: how many.
        key: of which provider and model; None if they do not tell.
        amounts: what they may have used and cost; a measure that is absent is not known.
    """

    day: date
    rule: str
    lines: int
    key: Key | None = None
    amounts: Amounts = field(default_factory=dict[str, Decimal])


class Uncovered(NamedTuple):
    """What the warehouse has of a day in hours that the export does not speak for."""

    day: date
    attempts: int
    cost_usd: Decimal


@dataclass(frozen=True)
class Warehouse:
    """What the warehouse has of the statement's providers in the period.

    Attributes:
        known: its events' sums.
        refused: lines in quarantine.
        uncovered: its events in hours for which the export does not speak.
        taken_through: when the newest file that was taken had landed, or up to where nothing that
            waits may hold events, if that is earlier; None if none was taken.
        attempts: all attempts of each day, of any provider.
    """

    known: tuple[Known, ...]
    refused: tuple[Refused, ...] = ()
    uncovered: tuple[Uncovered, ...] = ()
    taken_through: datetime | None = None
    attempts: Mapping[date, int] = field(default_factory=dict[date, int])


class Period(NamedTuple):
    """UTC days, the end exclusive."""

    start: date
    end: date

    def holds(self, day: date) -> bool:
        """Say whether a day is one of them."""
        return self.start <= day < self.end

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.start) // timedelta(days=1)


@dataclass(frozen=True)
class Case:
    """Both sides of one place, and what bears on their difference.

    Attributes:
        place: which one.
        told: what the export tells.
        known: what the warehouse has.
        is_listed: the export has a row for it; else it was not billed there.
        is_taken: a file that landed after the day has been taken.
        is_over: the day was over when the export was made.
        refused: lines in quarantine that may belong to it.
        told_names: the model as the export names it.
    """

    place: Place
    told: Amounts
    known: Known
    is_listed: bool
    is_taken: bool
    is_over: bool
    refused: tuple[Refused, ...] = ()
    told_names: frozenset[str] = frozenset()

    @property
    def refused_lines(self) -> int:
        """How many lines in quarantine may belong to it."""
        return sum(one.lines for one in self.refused)


@dataclass(frozen=True)
class Compared:
    """One measure of one place.

    Attributes:
        place: which one; None for the total of all.
        measure: which one, of `model.statement.MEASURES`.
        statement: what the export tells; None if it does not.
        warehouse: what we have; a cost leaves out what has no price.
        delta: warehouse less statement; None if there is nothing to compare.
        parts: what explains the delta, `unexplained` included; they sum to it exactly.
        is_within: the delta is within the tolerance; None if there is none.
    """

    place: Place | None
    measure: str
    statement: Decimal | None
    warehouse: Decimal
    delta: Decimal | None
    parts: Amounts
    is_within: bool | None


@dataclass(frozen=True)
class Reconciliation:
    """The whole answer.

    Attributes:
        period: the days that were compared.
        rows: by day, provider, model and measure.
        totals: by measure, of the rows that could be compared.
        cases: what bears on the rows, by day, provider and model.
        refused: all quarantined lines of the days.
        uncovered: days in the period of which the export tells nothing and the warehouse something.
        notes: what a reader must know.
        passed: each row is within the tolerance, and no day is uncovered.
    """

    period: Period
    rows: tuple[Compared, ...]
    totals: tuple[Compared, ...]
    cases: tuple[Case, ...]
    refused: tuple[Refused, ...]
    uncovered: tuple[Uncovered, ...]
    notes: tuple[str, ...]
    passed: bool


def add_amounts(one: Amounts, other: Amounts) -> dict[str, Decimal]:
    """Return the sums by measure; what one side does not tell is the other's."""
    names = dict.fromkeys((*one, *other))
    zero = Decimal()
    return {name: EXACT.add(one.get(name, zero), other.get(name, zero)) for name in names}
