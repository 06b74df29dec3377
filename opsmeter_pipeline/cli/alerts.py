"""`opsmeter alerts`: the same look as the sensor's, from cron; and a try of every sink."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from opsmeter_pipeline.cli.app import err, out, print_json, print_table
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.errors import NoSinkError, WarehouseMissingError
from opsmeter_pipeline.settings import keep_files_private, load_settings, read_claim
from opsmeter_pipeline.storage.sinks import Letter, build_sinks, send

if TYPE_CHECKING:
    from opsmeter_pipeline.orchestration.alerting import Tick


def check_command(*, home: Path | None, landing: str | None, as_json: bool) -> None:
    """Do one tick of the alerts; exit 1 if something is wrong or a message is stuck.

    Raises:
        LandingMissingError: there is no landing.
        WarehouseMissingError: there is no home; it is not made by looking at it.
    """
    from opsmeter_pipeline.orchestration.alerting import Moment, describe_tick, tick
    from opsmeter_pipeline.orchestration.instance import open_instance
    from opsmeter_pipeline.orchestration.resources import HomeResource

    keep_files_private()
    settings = read_claim(load_settings(home=home, landing=landing))
    if not settings.home.is_dir():
        raise WarehouseMissingError(settings.home)
    resource = HomeResource(home=str(settings.home), landing=settings.landing_root)
    with open_instance(settings) as instance:
        done = tick(Moment(resource, instance, utc_now(), by="check"))
    if as_json:
        print_json(_tell(done))
    else:
        for one in done.look.conditions:
            what = escape(f"{one.key.scope} {one.key.rule}: {one.what} Next: {one.next_step}")
            err.print(f"[yellow]{one.severity}:[/yellow] {what}", soft_wrap=True)
        out.print(escape(describe_tick(done)), soft_wrap=True)
    if done.look.conditions or not done.is_good:
        sys.exit(1)


def test_command(*, home: Path | None, as_json: bool) -> None:
    """Send a test message to every sink; exit 1 if one does not take it.

    Raises:
        NoSinkError: no sink is configured.
    """
    sinks = build_sinks(load_settings(home=home).alert_urls)
    if not sinks:
        raise NoSinkError
    now = f"{utc_now():%Y-%m-%dT%H:%M:%S.%fZ}"
    letter = Letter(
        message_id=f"test-{now}", incident_id="test", kind="test", severity="warning",
        subject="[opsmeter] test",
        body="A test of the alerts. Nothing is wrong, and there is nothing to do.",
    )  # fmt: skip
    errors = {one.name: send(one, letter) for one in sinks}
    rows = [{"sink": name, "sent": error is None, "error": error} for name, error in errors.items()]
    if as_json:
        print_json({"sinks": rows})
    else:
        print_table(rows)
    if any(errors.values()):
        sys.exit(1)


def _tell(done: "Tick") -> dict[str, object]:
    return {
        "conditions": [{**asdict(one), **one.key._asdict()} for one in done.look.conditions],
        "unjudged": sorted(done.look.unjudged),
        "changed": [asdict(one) for one in done.decision.incidents],
        "deliveries": [
            {
                "message_id": one.claim.letter.message_id,
                "sink": one.claim.sink,
                "kind": one.claim.letter.kind,
                "attempt": one.claim.attempt,
                "error": one.error,
            }
            for one in done.deliveries
        ],
        "undelivered": done.undelivered,
        "failing": done.failing,
        "maintenance": asdict(done.maintenance) if done.maintenance else None,
        "heartbeat": done.heartbeat,
    }
