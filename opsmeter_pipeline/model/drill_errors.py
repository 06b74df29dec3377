"""What keeps a drill from being asked for or from going on; the rest stands in `model.errors`."""

from collections.abc import Sequence

from opsmeter_pipeline.model.errors import OpsmeterError, UsageError

_LONGEST_SAID = 400


class DrillNameError(UsageError):
    """There is no such drill."""

    def __init__(self, names: Sequence[str], known: Sequence[str]) -> None:
        """Name what was asked for, and the drills there are."""
        asked = ", ".join(map(repr, names)) if names else "none"
        super().__init__(
            f"Which drill? There are {', '.join(known)} and `all`; {asked} was asked for. "
            f"`opsmeter drill --list` says what each does."
        )


class DrillPlaceError(UsageError):
    """This system does not tell which processes belong to the scratch home."""

    def __init__(self) -> None:
        """Say what is needed."""
        super().__init__(
            "Drills kill and stop processes that they find in /proc, which this system does not "
            "have; run them on Linux."
        )


class DrillStuckError(OpsmeterError):
    """A step of a drill did not come about in time; the drill has failed."""

    def __init__(self, until: str, seconds: float) -> None:
        """Name what was waited for."""
        super().__init__(f"It was not within {seconds:g} s that {until}.")


class DrillProcessError(OpsmeterError):
    """A command on the scratch home failed; the drill has failed."""

    def __init__(self, command: str, said: str) -> None:
        """Name the command and the last it said."""
        super().__init__(f"`opsmeter {command}` failed: {said[-_LONGEST_SAID:]}")
