"""What probes say: lost in a row, none sent, the doctor's sign, and the picture of their days."""

import base64
import json
from datetime import UTC, date, datetime, timedelta, timezone
from xml.etree import ElementTree as ET

import polars as pl
import pytest

from opsmeter_pipeline.doctor import Colour, judge_probe
from opsmeter_pipeline.model.source import name_source
from opsmeter_pipeline.probe import LOST, SENT, STUCK, VISIBLE, Probe, judge_lost, judge_silence
from opsmeter_pipeline.probe.plot import draw_days, draw_svg, tell_days
from opsmeter_pipeline.producers.probe import build_probe, land_probe, name_probe_file
from opsmeter_pipeline.views import PROBES_DAILY

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
LIMIT = timedelta(minutes=15)
_SVG = "{http://www.w3.org/2000/svg}"


def ago(minutes: float) -> datetime:
    return NOON - timedelta(minutes=minutes)


def sent(minutes: float, state: str = SENT, stuck_at: str | None = None) -> Probe:
    at = ago(minutes)
    detail = None if stuck_at is None else f"stuck at {stuck_at}"
    return Probe(f"probe-{minutes}", at, "f", state, at, at + LIMIT, None, stuck_at, detail)


def lost(minutes: float, stuck_at: str = "page") -> Probe:
    return sent(minutes, LOST, stuck_at)


def test_one_lost_probe_is_a_warning_three_in_a_row_are_critical_and_a_seen_one_ends_it() -> None:
    assert judge_lost([]) == judge_lost([sent(1), sent(6)]) == []
    assert judge_lost([sent(1), sent(16, VISIBLE), lost(21), lost(26)]) == []
    (one,) = judge_lost([sent(1), lost(16), sent(21, VISIBLE), lost(26)])
    assert (one.severity, one.value, one.since_at) == ("warning", 1, ago(1))
    assert "stuck at `page`: stuck at page" in one.what
    (two,) = judge_lost([lost(16), lost(21)])
    assert (two.severity, two.value, two.since_at) == ("warning", 2, ago(6))
    (three,) = judge_lost([lost(16), lost(21), lost(26), sent(31, VISIBLE)])
    assert (three.severity, three.value, three.since_at) == ("critical", 3, ago(11))


def test_each_place_where_a_probe_can_be_stuck_has_its_own_next_step() -> None:
    steps = {judge_lost([lost(16, place)])[0].next_step for place in STUCK}
    assert len(steps) == len(STUCK)


def test_silence_counts_from_the_last_probe_or_from_when_somebody_watched() -> None:
    assert judge_silence(ago(15), watching_since=None, now=NOON) == []
    (found,) = judge_silence(ago(15.1), watching_since=None, now=NOON)
    assert (found.key.scope, found.value, found.since_at) == ("probe_schedule", 906.0, ago(0.1))
    assert judge_silence(ago(600), watching_since=ago(15), now=NOON) == []
    (just,) = judge_silence(None, watching_since=ago(15.1), now=NOON)
    assert "No probe was sent since ever" in just.what
    assert judge_silence(None, watching_since=None, now=NOON) == []  # nobody knows since when


def test_the_doctor_is_green_only_for_a_probe_that_was_seen_lately() -> None:
    green, amber, red = Colour.GREEN, Colour.AMBER, Colour.RED
    (one,), (three,) = judge_lost([lost(16)]), judge_lost([lost(16), lost(21), lost(26)])
    for last_at, wrong, is_on, colour in (
        (ago(15), None, True, green),
        (ago(15.1), None, True, amber),
        (None, None, True, amber),
        (ago(1), one, True, amber),
        (ago(1), three, True, red),
        (ago(60), three, False, amber),  # what was lost before it was switched off
        (ago(1), None, False, green),  # somebody asked for it
    ):
        sign = judge_probe(last_at, wrong, is_on=is_on, now=NOON)
        assert sign.colour is colour
        assert bool(sign.next_step) is (colour is not green)
    assert "OPSMETER_PROBE" in judge_probe(None, None, is_on=False, now=NOON).found


def test_all_probes_are_one_source_and_land_whole_under_a_name_of_their_own(tmp_path) -> None:
    names = [name_probe_file(f"probe-20261128T18{n:02}00Z-{n:08}", sent_at=NOON) for n in (0, 59)]
    assert {name_source(name) for name in names} == {"opsmeter-probe/*"}
    local = NOON.astimezone(timezone(timedelta(hours=-9, minutes=-30)))
    land_probe(str(tmp_path), names[0], build_probe("probe-1", sent_at=local))
    assert [path.name for path in (tmp_path / "opsmeter-probe/2026-11-24").iterdir()] == [
        "20261128T180000Z-00000000.jsonl"
    ]
    line = json.loads((tmp_path / names[0]).read_text())
    assert datetime.fromisoformat(line["timestamp"]) == NOON
    assert (line["dataMode"], line["promptVersion"]) == ("test", "probe-1")
    with pytest.raises(FileNotFoundError):
        land_probe(str(tmp_path / "none"), names[0], line)


def _day(day: int, state: str, lost: int, p50: float | None, p95: float | None) -> dict:
    counts = {"probes": 288, "visible": 288 - lost, "lost": lost, "outstanding": 0}
    of_day = {"day": date(2026, 11, day), "state": state, **counts}
    return of_day | {"p50_seconds": p50, "p95_seconds": p95, "max_seconds": p95}


def test_the_picture_shows_each_day_once_and_an_unknown_one_as_unknown() -> None:
    rows = [_day(1, "seen", 0, 10.0, 20.0), _day(2, "unknown", 0, None, None),
            _day(3, "lost", 7, 5.0, None)]  # fmt: skip
    svg = ET.fromstring(draw_svg(rows))
    texts = [one.text for one in svg.iter(f"{_SVG}text")]
    assert texts.count("?") == 1
    assert "7" in texts
    assert {"11-01", "11-02", "11-03", "20 s", "0 s"} <= {*texts}
    bars = {
        rect.get("fill"): float(rect.get("height"))
        for rect in next(iter(svg.iter(f"{_SVG}g"))).iter(f"{_SVG}rect")
    }
    assert sorted(bars.values()) == [102.0, 204.0]  # half of the scale and all of it
    groups = [*svg.iter(f"{_SVG}g")]
    assert len(groups) == 3
    assert len(groups[2].findall(f"{_SVG}rect")) == 2  # P50 and the mark of lost; no P95
    days = pl.DataFrame(rows, schema=PROBES_DAILY.schema)
    told, _, image = draw_days(days).partition("](data:image/svg+xml;base64,")
    assert told == "![Probes from 2026-11-01 to 2026-11-03"
    assert base64.b64decode(image.removesuffix(")")).decode() == draw_svg(rows)
    assert tell_days(days) == {
        "newest_day": "2026-11-03", "state": "lost", "p50_seconds": "5.0",
        "p95_seconds": "unknown", "lost": "7",
    }  # fmt: skip


def test_no_day_at_all_is_unknown_and_still_a_picture() -> None:
    empty = PROBES_DAILY.empty()
    assert tell_days(empty) == {"state": "unknown"}
    assert draw_days(empty).startswith("![No probes yet](data:image/svg+xml;base64,")
