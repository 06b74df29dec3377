"""Probes over a real home: sent by ticks, taken by real runs, read back from a real page."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.probe_errors import TickTakenError
from opsmeter_pipeline.orchestration.probing import (
    describe_look,
    keep_looking,
    look_back,
    send_probe,
)
from opsmeter_pipeline.orchestration.schedules import probe_schedule
from opsmeter_pipeline.orchestration.sensors import probing_sensor
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.probes import (
    read_last_probe_at,
    read_newest,
    read_outstanding,
)
from tests.pipeline.conftest import MakeHome
from tests.pipeline.serving import serving
from tests.pipeline.support import PipelineHome, hours, jsonl, payload, run_opsmeter

NOBODY = 1
"""A port on which nothing listens."""
TOKEN = "a-token-of-thirty-two-characters"


@pytest.fixture(scope="module")
def kept(make_home: MakeHome) -> PipelineHome:
    """A home with one production event."""
    home = make_home()
    home.land("a.jsonl", jsonl(payload("a", timestamp=None)), landed_at=None)
    home.take_all()
    return home


@contextmanager
def page(home: PipelineHome, **settings: object) -> Iterator[Settings]:
    """Serve the home's page; yield settings by which it is found."""
    asked = home.settings.model_copy(update=settings)
    with serving(asked) as client:
        yield asked.model_copy(update={"dashboard_port": client.port})


def row(home: PipelineHome, probe_id: str) -> dict[str, object]:
    return home.resource.lake.read("FROM probes WHERE probe_id = ?", [probe_id]).row(0, named=True)


def test_a_probe_goes_the_whole_way_and_counts_in_nothing_of_production(
    kept: PipelineHome,
) -> None:
    shown = ("overview", "top_endpoints", "top_users", "prompt_versions", "unpriced_models")
    before = {name: kept.resource.lake.read(f"FROM {name}").to_dicts() for name in shown}
    lake, local = kept.resource.lake, timezone(timedelta(hours=5, minutes=30))
    with page(kept, dashboard_token=SecretStr(TOKEN)) as settings:
        probe = send_probe(lake, settings, clock=lambda: utc_now().astimezone(local))
        assert probe.sent_at.tzinfo is UTC
        waiting = look_back(lake, settings)
        assert (waiting.seen, waiting.lost, waiting.error) == ((), (), None)
        assert [one.probe_id for one in waiting.outstanding] == [probe.probe_id]
        assert describe_look(waiting) == "1 looked for."
        kept.take_all()
        assert look_back(Lake(settings.warehouse), settings).seen == (probe,)  # as after a restart
        assert describe_look(look_back(lake, settings)) == "No probe is looked for."
    found = row(kept, probe.probe_id)
    assert found["state"] == "visible"
    times = [found[name] for name in ("sent_at", "ingested_at", "taken_at", "visible_at")]
    assert times == sorted(times)
    assert found["published_at"] is not None
    assert [found[name] for name in ("scheduled_at", "lost_at", "stuck_at")] == [None] * 3
    assert read_last_probe_at(lake) == found["visible_at"]
    event = lake.read("FROM events WHERE external_request_id = ?", [probe.probe_id]).row(
        0, named=True
    )
    assert (event["data_mode"], event["environment"], event["endpoint_tag"]) == (
        *("test", "prod"),
        "opsmeter.synthetic_probe",
    )
    assert event["cost_usd"] is not None
    assert event["ingested_at"] == found["ingested_at"]
    assert abs(event["occurred_at"] - probe.sent_at) < timedelta(milliseconds=1)
    # All of production is as it was; `overview` says how much it leaves out.
    after = {name: kept.resource.lake.read(f"FROM {name}").to_dicts() for name in shown}
    assert (before["overview"][0]["left_out_attempts"], after["overview"][0]["left_out_attempts"]) \
        == (0, 1)  # fmt: skip
    for state in (before, after):
        for name in ("left_out_attempts", "left_out_cost_usd"):
            state["overview"][0].pop(name)
    assert after == before
    scores = dict(kept.rows("SELECT source, score FROM tracking_quality"))
    assert scores.pop("opsmeter-probe/*.*" if "opsmeter-probe/*.*" in scores else "opsmeter-probe/*") \
        == 100  # fmt: skip
