"""The order of a drill: traffic flows, a failure is injected, seen, told, mended, counted."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from opsmeter_pipeline.drills import watch
from opsmeter_pipeline.drills.drill import ALERTING_SECONDS, QUICK, Drill, Scene
from opsmeter_pipeline.drills.ground import Ground
from opsmeter_pipeline.drills.report import Report, Sighting
from opsmeter_pipeline.drills.traffic import CHECKOUT, SUPPORT, Traffic
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.drill_errors import DrillProcessError, DrillStuckError
from opsmeter_pipeline.storage.incidents import read_current
from opsmeter_pipeline.storage.webhook import Webhook, listen

SILENCE = timedelta(seconds=3 * ALERTING_SECONDS)
"""Without a heartbeat for longer, a dead-man service calls; three missed ones."""
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Asked:
    """How a drill is run.

    Attributes:
        command: how `opsmeter` is called.
        timeout_seconds: how long detection may take, and recovery.
        keep: the scratch home stays.
        say: tells a person what is going on.
    """

    command: Sequence[str]
    timeout_seconds: float
    keep: bool
    say: Callable[[str], None]


def run_drill(drill: Drill, asked: Asked) -> Report:
    """Run a drill on a scratch home of its own and return what it found.

    Whatever happens, its processes are stopped, and its home is removed unless it is to be kept.
    """
    began = time.monotonic()
    settings = {**QUICK, **drill.settings}
    report = Report(drill.name, drill.title, drill.expected, settings, asked.timeout_seconds)
    with listen() as webhook, _open(settings, webhook, asked) as ground:
        scene = Scene(ground, Traffic(ground.landing), webhook, report, asked.say)
        if asked.keep:
            report.home = str(ground.folder)
        try:
            _run(drill, scene)
        except (DrillStuckError, DrillProcessError) as exc:
            report.failures.append(str(exc))
        finally:
            scene.traffic.stop()
    report.seconds = round(time.monotonic() - began, 1)
    return report


def _open(settings: dict[str, object], webhook: Webhook, asked: Asked) -> Ground:
    told = {"alert_urls": [webhook.url], "heartbeat_url": webhook.heartbeat_url}
    return Ground(
        asked.command, keep=asked.keep, settings=settings | told, patience=asked.timeout_seconds
    )


def _run(drill: Drill, scene: Scene) -> None:
    scene.say("starts a scratch home")
    drill.prepare(scene)
    scene.ground.start()
    scene.say("traffic flows")
    began_at = utc_now()
    for producer in (CHECKOUT, SUPPORT):
        scene.traffic.start(producer)
    scene.wait_for_batches(1, since=began_at)
    drill.set_up(scene)
    _wait_for_calm(drill, scene)
    _inject(drill, scene)
    _wait_for_sightings(drill, scene)
    if scene.report.unseen:
        return
    scene.report.mended = drill.mend(scene)
    scene.say(scene.report.mended)
    try:
        _wait_for_end(drill, scene)
    finally:
        _count(drill, scene)


def _wait_for_calm(drill: Drill, scene: Scene) -> None:
    """Wait until none of the drill's rules is broken: what is seen later comes from the injection.

    Others may be, on a machine that is too busy for what is promised by default.
    """

    def is_calm() -> bool:
        current = read_current(scene.ground.lake)
        return bool(scene.webhook.beats) and not any(one.rule in drill.rules for one in current)

    scene.ground.wait(is_calm, "its rules were kept before the injection",
                      seconds=scene.ground.patience)  # fmt: skip


def _inject(drill: Drill, scene: Scene) -> None:
    # Taken before: what is done takes time, and may be seen while it is.
    at = utc_now()
    scene.report.injected = drill.inject(scene)
    scene.report.injected_at = scene.report.injected_at or at
    scene.say(f"injected: {scene.report.injected}")


def _wait_for_sightings(drill: Drill, scene: Scene) -> None:
    """Wait until all that must see it has, and people were told."""
    report, ground = scene.report, scene.ground
    since = report.injected_at or utc_now()
    deadline = time.monotonic() + report.timeout_seconds
    seen: dict[tuple[str, str], Sighting] = {}
    while time.monotonic() < deadline:
        drill.look(scene)
        incidents = watch.read_incidents(ground.lake, since=since, rules=drill.rules)
        found = [
            *watch.see_alerts(incidents),
            *watch.see_checks(ground.instance, drill.checks, since=since),
            *watch.see_silence(scene.webhook, since=since, limit=SILENCE, now=utc_now()),
        ]
        for one in found:
            if (one.kind, one.name) not in seen:
                seen[one.kind, one.name] = one
                scene.say(f"seen by {one.kind} {one.name} after {report.after(one.at)} s")
        report.sightings = sorted(seen.values(), key=lambda one: one.at)
        report.told = watch.read_told(scene.webhook, incidents)
        if not report.unseen and all(one.opened for one in report.told):
            break
        time.sleep(_POLL_SECONDS)


def _wait_for_end(drill: Drill, scene: Scene) -> None:
    """Wait until each incident is over and that was told."""
    report, ground = scene.report, scene.ground
    since = report.injected_at or utc_now()

    def is_over() -> bool:
        incidents = watch.read_incidents(ground.lake, since=since, rules=drill.rules)
        report.told = watch.read_told(scene.webhook, incidents)
        report.recovered_at = watch.find_end(incidents)
        return report.recovered_at is not None and all(one.resolved for one in report.told)

    ground.wait(is_over, "its incidents were over", seconds=report.timeout_seconds)
    scene.say(f"recovered after {report.after(report.recovered_at)} s")


def _count(drill: Drill, scene: Scene) -> None:
    """Stop the producers, let the home take the rest, and count what became of every line."""
    report, ground = scene.report, scene.ground
    scene.traffic.stop()
    ground.wait(
        lambda: watch.has_taken_all(ground.lake, scene.traffic),
        "all that was landed was taken",
        seconds=ground.patience,
    )
    report.counts = watch.count_lines(ground.lake, scene.traffic)
    report.failures += drill.examine(scene)
    since = report.injected_at or utc_now()
    known = watch.read_incidents(ground.lake, since=since, rules=drill.rules)
    report.told = watch.read_told(scene.webhook, known)
    report.incidents = watch.read_timelines(ground.lake, known)
