"""A producer goes wrong: a deploy that changes fields, or clocks that are off."""

import secrets
from datetime import datetime, timedelta

from opsmeter_pipeline.drills.drill import Drill, Scene
from opsmeter_pipeline.drills.traffic import CHECKOUT
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.producers.demo_day import Payload
from opsmeter_pipeline.producers.drill_lines import (
    change_type,
    drop_zone,
    send_raw_users,
    shift_clock,
)

BAD_LINES = 100
"""Of each kind: above 1 % of the hour until it has 10,000 lines, also on a machine that is so busy
that a batch holds minutes of traffic."""
REST_OF_HOUR = 12_000
"""Good lines of the same hour, which checks judge as a whole: with them 100 are below 1 %."""
AHEAD = timedelta(hours=1)
KOLKATA = timedelta(hours=5, minutes=30)
_MOVED = "SELECT count(*) FROM moved_lines"
_BROKEN = "SELECT count(*) FROM quarantine"


def _take_history(scene: Scene) -> None:
    scene.traffic.land_history(now=utc_now())
    scene.ground.run("run")


def _deploy(scene: Scene) -> str:
    lines, at = _make_bad(scene)
    typed, raw = change_type(lines[:BAD_LINES]), send_raw_users(lines[BAD_LINES:])
    file = scene.traffic.land([*typed, *raw], landed_at=at, is_right=False)
    scene.report.figures["file"] = file
    return (
        f"a deploy of {CHECKOUT} sends `inputTokens` as text in {BAD_LINES} lines and `userId` as "
        f"an e-mail address in {BAD_LINES}, beside its instances that were not deployed"
    )


def _set_clocks(scene: Scene) -> str:
    lines, at = _make_bad(scene)
    ahead = shift_clock(lines[:BAD_LINES], at=at, by=AHEAD)
    naive = drop_zone(lines[BAD_LINES:], at=at, offset=KOLKATA)
    scene.traffic.land([*ahead, *naive], landed_at=at, is_right=False)
    return (
        f"a host of {CHECKOUT} has a clock an hour ahead ({BAD_LINES} lines), another sends local "
        f"time without an offset ({BAD_LINES} lines)"
    )


def _make_bad(scene: Scene) -> tuple[list[Payload], datetime]:
    at = utc_now()
    scene.report.injected_at = at
    lines = scene.traffic.make(2 * BAD_LINES, at=at)
    scene.bad = lines
    return lines, at


def _land_again(scene: Scene, lines: list[Payload]) -> None:
    """Land the lines right, and the rest of the hour's traffic.

    In the landing hour of the bad ones, though the clock may have gone beyond it.
    """
    at = scene.report.injected_at or utc_now()
    scene.traffic.land(lines, landed_at=at)
    scene.traffic.land(scene.traffic.make(REST_OF_HOUR, at=at), landed_at=at)


def _mend_deploy(scene: Scene) -> str:
    """Replay what a setting mends, then land again what only the producer can.

    In that order: a replay judges the batch with the lines that it cannot mend once more.
    """
    # Both at once: a run between them would have no key.
    scene.ground.configure(identifiers="hash", hash_key=secrets.token_hex(32))
    _, told = scene.ground.run("replay", "--rule", "raw_identifier")
    scene.traffic.requests |= {one["externalRequestId"] for one in scene.bad}
    scene.report.figures["replayed_lines"] = told["moved"]
    _land_again(scene, scene.bad[:BAD_LINES])
    return (
        f"with OPSMETER_IDENTIFIERS=hash `opsmeter replay --rule raw_identifier` moved "
        f"{told['moved']} lines; the fixed producer landed the other {BAD_LINES} again, right"
    )


def _mend_clocks(scene: Scene) -> str:
    _land_again(scene, scene.bad)
    return f"clocks were set, and the {2 * BAD_LINES} lines landed again with right times"


def _examine(scene: Scene) -> list[str]:
    scene.report.figures["quarantined_now"] = scene.ground.lake.read(_BROKEN).item()
    return []


SCHEMA = Drill(
    name="schema",
    title="fields change with a producer's deploy",
    practises="4. Recover",
    expected=("alert:quarantine_jump", "check:quarantine_shift", "check:field_change"),
    prepare=_take_history,
    inject=_deploy,
    mend=_mend_deploy,
    examine=_examine,
)
CLOCK = Drill(
    name="clock",
    title="a clock an hour off, and local times without a zone",
    practises="4. Recover",
    expected=("alert:clock_skew", "alert:quarantine_jump", "check:clock_skew",
              "check:quarantine_shift"),
    prepare=_take_history,
    inject=_set_clocks,
    mend=_mend_clocks,
    examine=_examine,
)  # fmt: skip
