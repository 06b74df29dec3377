"""What the page's server refuses, and why it cannot answer, each naming culprit and remedy.

Add a class here for an answer of 4xx or 503; which status it gets stands in `dashboard.app`.
"""

from collections.abc import Sequence
from datetime import datetime

from opsmeter_pipeline.model.errors import OpsmeterError, UsageError


class ParameterError(UsageError):
    """A request asks for something that cannot be asked so."""

    def __init__(self, name: str, value: str, *, why: str, remedy: str) -> None:
        """Name the parameter, what it was given, why that cannot be and what can."""
        shown = value if len(value) <= _SHOWN_CHARACTERS else f"{value[:_SHOWN_CHARACTERS]}..."
        super().__init__(f"{name}={shown!r}: {why}. {remedy}")


class UnknownParameterError(UsageError):
    """A request has a parameter that is none."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        """Name it and those there are."""
        there_are = f"There are {', '.join(known)}." if known else "None can be given here."
        shown = name[:_SHOWN_CHARACTERS]
        super().__init__(f"There is no parameter {shown!r} here. {there_are}")


class DashboardTokenError(UsageError):
    """The page cannot be served without a secret, or not with this one."""

    def __init__(self, why: str, *, needed: int) -> None:
        """Say what is wrong with the token, never what it is."""
        super().__init__(
            f"{why} Set OPSMETER_DASHBOARD_TOKEN to at least {needed} visible ASCII characters, "
            f"such as the output of `openssl rand -hex 32`, or leave --host away to serve on "
            f"loopback."
        )


class PausedError(OpsmeterError):
    """A view that can wait is paused."""

    def __init__(self, reason: str, *, since_at: datetime, paused_by: str) -> None:
        """Say why, since when, by whom, and what goes on."""
        super().__init__(
            f"Paused since {since_at:%Y-%m-%d %H:%M:%S} UTC by {paused_by}: {reason}. The overview "
            f"and freshness go on; `opsmeter resume` ends it."
        )


class WarehouseSlowError(OpsmeterError):
    """The warehouse did not answer in time."""

    def __init__(self, limit_seconds: float) -> None:
        """Name the limit."""
        super().__init__(
            f"The warehouse did not answer within {limit_seconds:g} s. Ask for a shorter range, "
            f"or try again; `opsmeter status` says what is under way."
        )


class WarehouseUnreadableError(OpsmeterError):
    """The warehouse is there and cannot be read."""

    def __init__(self, why: str) -> None:
        """Say what the database said."""
        super().__init__(
            f"The warehouse cannot be read now: {why.splitlines()[0]}. Try again; if it stays, "
            f'ask `opsmeter query "FROM overview"` what is wrong.'
        )


class TooManyReadersError(OpsmeterError):
    """More requests read at once than the server lets."""

    def __init__(self, readers: int) -> None:
        """Say how many may."""
        super().__init__(f"{readers} other requests are reading. Try again in a few seconds.")


_SHOWN_CHARACTERS = 60
