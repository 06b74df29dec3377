"""What keeps a provider's export from being compared, one class per failure; see `errors`."""

from collections.abc import Sequence
from decimal import Decimal

from opsmeter_pipeline.model.errors import UsageError


class StatementFileError(UsageError):
    """An export cannot be opened or read as text."""

    def __init__(self, file: str, why: str) -> None:
        """Name the file and what is wrong with it."""
        super().__init__(f"The export {file!r} cannot be read: {why}.")


class StatementFormatError(UsageError):
    """An export is in no known format."""

    def __init__(self, *, found: str, expected: Sequence[str]) -> None:
        """Say what was found and each format that would do."""
        known = "".join(f"\n  {one}" for one in expected)
        super().__init__(f"This is no known export: {found}. Known are:{known}")


class StatementValueError(UsageError):
    """A value of an export is not what its format says."""

    def __init__(self, *, place: str, found: object, expected: str) -> None:
        """Name the place in the export, the value and what was expected."""
        shown = str(found) if isinstance(found, Decimal) else repr(found)
        shown = f"{shown[:77]}..." if len(shown) > 80 else shown
        super().__init__(
            f"{place} is {shown}; expected {expected}. Nothing was compared. If the file is in "
            f"another format, say so with --format."
        )


class CurrencyError(UsageError):
    """An export is not in US dollars."""

    def __init__(self, place: str, currency: object) -> None:
        """Name the place and the currency."""
        told = f"is in {currency!r}" if currency is not None else "names no currency"
        super().__init__(
            f"{place} {told}, and the warehouse holds US dollars; nothing is converted. Export it "
            f"in USD."
        )


class EmptyStatementError(UsageError):
    """An export holds nothing that could be compared."""

    def __init__(self, *, why: str) -> None:
        """Say what is not there."""
        super().__init__(f"There is nothing to compare: {why}.")


class ReconcileOptionError(UsageError):
    """An option of `reconcile` cannot be used."""

    def __init__(self, option: str, found: str, expected: str) -> None:
        """Name the option, what it was and how to write it."""
        super().__init__(f"{option} {found!r} is not understood; write it as {expected}.")
