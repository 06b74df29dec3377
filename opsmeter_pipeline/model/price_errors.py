"""What stops prices from being read, decided on, asked for or put right, each naming the remedy.

Add a class here for the user's own prices, `opsmeter prices` and `opsmeter reprice`.
"""

from collections.abc import Sequence
from datetime import date

from opsmeter_pipeline.model.errors import OpsmeterError, UsageError


class OwnPricesError(UsageError):
    """The user's own price file cannot be used."""

    def __init__(self, file: str, problems: Sequence[str]) -> None:
        """Name the file and, entry by entry, what is wrong and what to write."""
        listed = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(
            f"Prices in {file} cannot be used:{listed}\nNothing of it was loaded. Mend it, then "
            f"ask `opsmeter prices check {file}`."
        )


class NothingWaitsError(UsageError):
    """A version of prices was to be accepted that does not wait."""

    def __init__(self, version: str, waiting: Sequence[str]) -> None:
        """Name the version and those that wait."""
        known = f"These wait: {', '.join(waiting)}." if waiting else "None waits."
        super().__init__(f"Version {version!r} does not wait. {known} Nothing was accepted.")


class PriceQuestionError(UsageError):
    """A price was asked for in a way that has no answer."""

    def __init__(self, what: str, remedy: str) -> None:
        """Say what cannot be asked and how to ask."""
        super().__init__(f"{what} {remedy}")


class RepriceRangeError(UsageError):
    """A reprice was asked for of days that end before they begin."""

    def __init__(self, first: date, last: date) -> None:
        """Name the days."""
        super().__init__(f"--to {last} is before --from {first}; both days are included.")


class RepriceReasonError(UsageError):
    """Priced events were to be priced again without a word why."""

    def __init__(self) -> None:
        """Say how to ask."""
        super().__init__(
            "Events that have a price are priced again only with a reason, which is kept: "
            "--all --reason 'contract rates from October were missing'. See what would change "
            "first with --dry-run."
        )


class UnknownNameError(UsageError):
    """No event has such a provider or model."""

    def __init__(self, what: str, name: str, near: Sequence[str]) -> None:
        """Name it and those that are spelled alike."""
        listing = 'List them: opsmeter query "SELECT DISTINCT provider, model FROM events".'
        meant = f"Did you mean {', '.join(near)}?" if near else listing
        super().__init__(f"No event has the {what} {name!r}. {meant}")


class RepriceOvertakenError(OpsmeterError):
    """Batches were replaced or priced again while a reprice was reading them."""

    def __init__(self, batch_ids: Sequence[str]) -> None:
        """Name the batches."""
        named = ", ".join(sorted(batch_ids)[:3]) + (" and others" if len(batch_ids) > 3 else "")
        super().__init__(
            f"Another run replayed or repriced {named} in the meantime. Nothing of these batches "
            f"was written; run `opsmeter reprice` again, it goes on where it stopped."
        )


class RepriceSumsError(OpsmeterError):
    """What is summed of repriced events does not agree with them."""

    def __init__(self, table: str, batch_ids: Sequence[str]) -> None:
        """Name the table and the batches."""
        super().__init__(
            f"{table} would not agree with the repriced events of {', '.join(batch_ids[:3])}. "
            f"Nothing of these batches was written. Run the job `quality`, and replay the ingest "
            f"days of the batches it names; if it stays, report this as a bug."
        )


class PricesOvertakenError(OpsmeterError):
    """Somebody else has decided on prices in the meantime."""

    def __init__(self, source: str, version: str) -> None:
        """Name what was decided on."""
        super().__init__(
            f"Another process decided on version {version} of {source} in the meantime. Nothing "
            f"was written; look at `opsmeter prices pending` and try again."
        )
