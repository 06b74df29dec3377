"""Errors of probes."""

from datetime import datetime

from opsmeter_pipeline.model.errors import OpsmeterError


class TickTakenError(OpsmeterError):
    """A tick of the schedule has its probe already."""

    def __init__(self, scheduled_at: datetime) -> None:
        """Name the tick."""
        super().__init__(
            f"The tick of {scheduled_at:%Y-%m-%d %H:%M:%S} UTC has its probe already: "
            f"another daemon has sent it. Nothing is to be done."
        )
