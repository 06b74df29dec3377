"""What stops a comparison of prompt versions: a name that is none, or a window without hours."""

from collections.abc import Sequence

from opsmeter_pipeline.model.errors import UsageError


class UnknownEndpointError(UsageError):
    """There is no endpoint of that name in an environment."""

    def __init__(self, endpoint: str, environment: str, near: Sequence[str]) -> None:
        """Name it and those that are spelled alike."""
        meant = f"Did you mean {' or '.join(near)}? " if near else ""
        super().__init__(
            f"There is no real traffic of an endpoint {endpoint!r} in {environment}. {meant}"
            f'All of them: opsmeter query "SELECT DISTINCT environment, endpoint_tag FROM '
            f'attribution_hourly".'
        )


class UnknownVersionError(UsageError):
    """An endpoint has no prompt version of that name."""

    def __init__(self, version: str, *, endpoint: str, window: str, near: Sequence[str]) -> None:
        """Name it and those there are."""
        known = f"It has {', '.join(near)}." if near else "It has none at all there."
        super().__init__(f"{endpoint} has no version {version!r} {window}. {known}")


class SameVersionError(UsageError):
    """A version was to be compared with itself."""

    def __init__(self, version: str) -> None:
        """Name it and where its own past is compared."""
        super().__init__(
            f"Both versions are {version!r}. Name two; how a version compares with its own past "
            f'stands in: opsmeter query "FROM prompt_version_drift".'
        )


class MomentsMissingError(UsageError):
    """A warehouse was made before tokens had moments, and nothing has been taken since."""

    def __init__(self, table: str) -> None:
        """Name the table and what adds it."""
        super().__init__(
            f"The warehouse has no table {table} yet: an older version made it. `opsmeter run` "
            f"adds it; versions can be compared by what is taken from then on, or replayed."
        )
