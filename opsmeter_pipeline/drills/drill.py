"""What a drill is, and what its steps have in hand.

A drill names what must see its failure mode, and has a step to inject it and one to mend it. The
order of the steps is the same for all of them and stands in `drills.run`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from opsmeter_pipeline.drills import watch
from opsmeter_pipeline.drills.ground import Ground
from opsmeter_pipeline.drills.report import Report
from opsmeter_pipeline.drills.traffic import Traffic
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.producers.demo_day import Payload
from opsmeter_pipeline.storage.webhook import Webhook

ALERTING_SECONDS = 5
COOLDOWN_SECONDS = 5
HUMP_SECONDS = 15
"""The cooldown where a backlog is worked off: its age goes up and down with each batch."""
QUICK: Mapping[str, object] = MappingProxyType(
    {"alerting_seconds": ALERTING_SECONDS, "alert_cooldown_seconds": COOLDOWN_SECONDS}
)
"""What is shorter in every scratch home."""
_SHORTEST_STALE_SECONDS = 15
_SLACK = 1.5
_MEASURED_BATCHES = 2


@dataclass
class Scene:
    """What the steps of one drill have in hand.

    Attributes:
        ground: the scratch home and its processes.
        traffic: the producers.
        webhook: who is told.
        report: what is found, filled in as it goes.
        say: tells a person what is going on.
        bad: lines that were landed broken, as they should have been.
    """

    ground: Ground
    traffic: Traffic
    webhook: Webhook
    report: Report
    say: Callable[[str], None]
    bad: list[Payload] = field(default_factory=list[Payload])

    def configure(self, **settings: object) -> None:
        """Set settings of the scratch home and note them for the report."""
        self.ground.configure(**settings)
        self.report.settings = {**self.report.settings, **settings}

    def wait_for_batches(self, number: int, *, since: datetime) -> None:
        """Wait until so many batches have become visible since a moment (UTC)."""
        self.ground.wait(
            lambda: watch.count_batches(self.ground.lake, since=since) >= number,
            f"{number} batches were visible",
            seconds=self.ground.patience,
        )

    def shorten_staleness(self) -> None:
        """Call what waits stale a little after the time that files take on this machine.

        A fixed time would be a false alarm on a busy machine, and long on a quick one. It is
        measured on files that land from now on: the first batch had to wait for its processes.
        """
        since = utc_now()
        self.wait_for_batches(_MEASURED_BATCHES, since=since)
        lag = watch.read_worst_lag(self.ground.lake, since=since) or 0
        self.configure(stale_seconds=max(_SHORTEST_STALE_SECONDS, round(_SLACK * lag)))


def do_nothing(scene: Scene) -> None:
    """Leave a step out."""
    del scene


def find_nothing(scene: Scene) -> list[str]:
    """Find no reason of its own to fail."""
    del scene
    return []


@dataclass(frozen=True)
class Drill:
    """One failure mode of the playbook.

    Attributes:
        name: as it is called.
        title: what fails, in a few words.
        practises: the step of the runbook it practises.
        expected: what must see it, such as `alert:run_failed` or `check:clock_skew`; an incident
            of each alert rule must be told once, and its end once.
        inject: does it and says what was done.
        mend: does what a person would and says so; says so too if it mends itself.
        prepare: what must have happened before the processes start.
        set_up: what must hold before the injection, while traffic flows.
        look: what somebody outside does while nothing has been detected.
        examine: writes figures and returns what is wrong with them.
        settings: what is shorter or smaller in the scratch home.
    """

    name: str
    title: str
    practises: str
    expected: tuple[str, ...]
    inject: Callable[[Scene], str]
    mend: Callable[[Scene], str]
    prepare: Callable[[Scene], None] = do_nothing
    set_up: Callable[[Scene], None] = do_nothing
    look: Callable[[Scene], None] = do_nothing
    examine: Callable[[Scene], list[str]] = find_nothing
    settings: Mapping[str, object] = field(default_factory=dict[str, object])

    @property
    def rules(self) -> list[str]:
        """The alert rules that must see it."""
        return self._names("alert")

    @property
    def checks(self) -> list[str]:
        """The asset checks that must."""
        return self._names("check")

    def _names(self, kind: str) -> list[str]:
        named = (one.partition(":") for one in self.expected)
        return [name for of_kind, _, name in named if of_kind == kind]
