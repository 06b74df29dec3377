"""What one look at the landing knows: how far everything that landed is visible.

A plain value that the landing stage measures, storage keeps and commands show. What a day's total
is called because of it (provisional or final) is said by the `views` stage.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Watermark:
    """How far everything is visible that the landing showed at one look.

    Attributes:
        looked_at: when the landing was listed (UTC).
        complete_through: of the files listed then, none that landed before this instant (UTC)
            waits. A file that was refused does not wait; it is counted apart.
        waiting_files: files of which something waits, an unfinished last line included.
        refused_files: files in the landing that cannot be taken as they are.
        lateness_allowance_seconds: how long after an hour its events may still land.
    """

    looked_at: datetime
    complete_through: datetime
    waiting_files: int
    refused_files: int
    lateness_allowance_seconds: int

    @property
    def final_before(self) -> datetime:
        """The instant (UTC) up to which hours that have ended are final."""
        return self.complete_through - timedelta(seconds=self.lateness_allowance_seconds)
