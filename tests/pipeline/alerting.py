"""Looks and sendings at moments of a fake clock, on a real lake; nothing here needs Dagster.

Processes that a test kills import it, so it must be quick to import.
"""

from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from opsmeter_pipeline.alerts import Decision, Look, Rules
from opsmeter_pipeline.alerts.messages import Addresses
from opsmeter_pipeline.model.condition import WARNING, Condition, Key
from opsmeter_pipeline.storage.alerts import deliver
from opsmeter_pipeline.storage.incidents import record_look
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.sinks import Sink, build_sinks
from tests.pipeline.receiver import Receiver

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LINKS = Addresses("http://127.0.0.1:3000")
RULES = Rules(cooldown=timedelta(seconds=300))


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def late(severity: str = WARNING) -> Condition:
    key = Key("pipeline", "pipeline_stale", "now")
    return Condition(key, severity, at(-60), 360.0, 300.0, "seconds", "Files wait.", "status")


def tick(lake: Lake, receiver: Receiver, seconds: float, *found: Condition) -> list[str | None]:
    """Look and send at a moment; return the error of each try."""
    sinks = build_sinks([SecretStr(receiver.url)])
    record(lake, sinks, seconds, *found)
    return send_due(lake, sinks, seconds)


def record(lake: Lake, sinks: tuple[Sink, ...], seconds: float, *found: Condition) -> Decision:
    names = [one.name for one in sinks]
    return record_look(lake, Look(found), rules=RULES, sinks=names, addresses=LINKS,
                       now=at(seconds))  # fmt: skip


def send_due(lake: Lake, sinks: tuple[Sink, ...], seconds: float) -> list[str | None]:
    done = deliver(lake, sinks, holder="test:1", clock=lambda: at(seconds), until=at(seconds + 1))
    return [one.error for one in done]
