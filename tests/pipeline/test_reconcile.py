"""`opsmeter reconcile` on a real warehouse: what it explains, how it exits."""

import json
import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from opsmeter_pipeline.cli.reconcile import Asked, reconcile_command
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.errors import UsageError
from opsmeter_pipeline.model.watermark import Watermark
from opsmeter_pipeline.reconcile import Period
from opsmeter_pipeline.storage.lateness import note_look
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.reconcile import Traffic, read_warehouse
from opsmeter_pipeline.storage.survey import survey_landing
from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import (
    NOON,
    PipelineHome,
    call_opsmeter,
    hours,
    jsonl,
    payload,
    snapshot,
)

DAY, NEXT_DAY, LAST_DAY = "2025-03-10", "2025-03-11", "2025-03-12"
_COST = "0.003500000000000000"
"""What a payload costs: 1000 x 0.0000025 + 100 x 0.00001."""
HEADER = "day,provider,model,requests,input_tokens,cost_usd\n"


@pytest.fixture(scope="module")
def filled(make_home: MakeHome) -> PipelineHome:
    """Two days of traffic: priced, unpriced, failed and refused; another provider; staging."""
    home = make_home()
    first = [
        *(payload(f"a{n}", model="gpt-4o-2024-08-06" if n else "gpt-4o") for n in range(4)),
        payload("failed", status="timeout"),
        payload("staging", environment="staging"),
        *(payload(f"u{n}", model="acme-13b") for n in range(2)),
        payload("azure", provider="azure"),
        payload("midnight", timestamp="2025-03-10T23:59:59.999Z"),
        payload("after", timestamp="2025-03-11T00:00:00Z"),
    ]
    bad = [
        payload("bad", inputTokens="1000", model="o3"),
        payload("odd", status="odd", timestamp="2025-03-11T00:00:01Z"),
        '{"broken"',
    ]
    home.land("1.jsonl", jsonl(*first, *bad), landed_at=NOON + hours(13))
    home.take_all()
    late = payload("late", timestamp="2025-03-10T12:00:00Z")
    home.land("2.jsonl", jsonl(late), landed_at=NOON + hours(24))
    home.take_all()
    return home


def _reconcile(
    home: PipelineHome, tmp_path: Path, export: str, *options: str, code: int
) -> dict[str, Any]:
    path = tmp_path / "export"
    path.write_text(export)
    found, out, err = call_opsmeter("reconcile", str(path), "--json", *options, home=home.folder)
    assert found == code, err
    return json.loads(out)


def _parts(told: dict[str, Any], measure: str = "cost_usd") -> dict[tuple[str, ...], dict]:
    """Return the parts that are not 0 of each day and model."""
    names = ("unpriced", "quarantined", "missing", "late", "extra", "unexplained")
    return {
        (row["day"], row["model"]): {n: row[n] for n in names if float(row[n])}
        for row in told["rows"]
        if row["measure"] == measure
    }


def test_what_the_provider_says_is_compared_with_what_the_warehouse_has(
    filled: PipelineHome, tmp_path: Path
) -> None:
    before = snapshot(filled)
    # gpt-4o on the first day: 4 + failed + staging + midnight + late = 8 attempts, 0.028 dollars.
    # On the second day one attempt. acme-13b: 2 attempts without a price. azure bills its own.
    export = HEADER + "".join(
        [
            f"{DAY},OpenAI,gpt-4o-2024-08-06,6,6000,0.021\n",
            f"{DAY},OpenAI,acme-13b,3,3000,0.3\n",
            f"{DAY},OpenAI,o3,1,500,0.02\n",
            f"{NEXT_DAY},OpenAI,gpt-4o,3,1000,0.0105\n",
        ]
    )
    seen_at = filled.value("SELECT min(visible_at) FROM ingest_batches")
    made = ("--exported-at", seen_at.isoformat())
    told = _reconcile(filled, tmp_path, export, *made, code=1)
    assert (told["from"], told["to"], told["passed"]) == (DAY, LAST_DAY, False)
    # Two attempts too many: one in a batch that came after the export, one that timed out.
    # On the second day one line was refused that told its call, and one that told nothing.
    assert _parts(told, "requests") == {
        (DAY, "gpt-4o"): {"late": 1, "extra": 1},
        (DAY, "acme-13b"): {"missing": -1},
        (DAY, "o3"): {"quarantined": -1},
        (NEXT_DAY, "gpt-4o"): {"quarantined": -2},
    }
    assert _parts(told) == {
        (DAY, "gpt-4o"): {"late": _COST, "extra": _COST},
        # One of three that cost 0.3 together.
        (DAY, "acme-13b"): {"missing": "-0.100000000000000000",
                            "unpriced": "-0.200000000000000000"},
        # 1000 x 0.00001 + 100 x 0.00004, the price of that day, though the count was a text.
        (DAY, "o3"): {"quarantined": "-0.014000000000000000",
                      "unexplained": "-0.006000000000000000"},
        # The estimate of the one, and the mean of our one event for the other.
        (NEXT_DAY, "gpt-4o"): {"quarantined": "-0.007000000000000000"},
    }  # fmt: skip
    total = next(one for one in told["totals"] if one["measure"] == "cost_usd")
    assert (total["statement"], total["warehouse"], total["delta"]) == (
        "0.351500000000000000", "0.031500000000000000", "-0.320000000000000000",
    )  # fmt: skip
    assert told["quarantine"] == [
        {"day": DAY, "rule": "wrong_type", "lines": 1},
        {"day": NEXT_DAY, "rule": "malformed_json", "lines": 1},
        {"day": NEXT_DAY, "rule": "unknown_status", "lines": 1},
    ]
    evidence = {(one["day"], one["model"]): one for one in told["evidence"]}
    assert evidence[DAY, "gpt-4o"]["warehouse_models"] == ["gpt-4o", "gpt-4o-2024-08-06"]
    assert evidence[DAY, "acme-13b"]["unpriced_tokens"] == 2200
    assert snapshot(filled) == before


def test_one_environment_and_some_days_can_be_chosen(filled: PipelineHome, tmp_path: Path) -> None:
    export = HEADER + f"{DAY},openai,gpt-4o,7,7000,\n{DAY},openai,acme-13b,2,2000,\n"
    one_day = ("--environment", "prod", "--data-mode", "real")
    told = _reconcile(filled, tmp_path, export, *one_day, code=0)
    assert {row["is_within"] for row in told["rows"]} == {True}
    # The export tells nothing of the second day, on which there was an attempt.
    told = _reconcile(filled, tmp_path, export, *one_day, "--to", LAST_DAY, code=1)
    assert told["uncovered_days"] == [{"day": NEXT_DAY, "attempts": 1, "cost_usd": _COST}]
    told = _reconcile(filled, tmp_path, export + f"{NEXT_DAY},openai,gpt-4o,9,9,\n",
                      *one_day, "--to", NEXT_DAY, code=0)  # fmt: skip
    assert {row["day"] for row in told["rows"]} == {DAY}


def test_hours_that_the_export_does_not_speak_for_are_left_out(
    filled: PipelineHome, tmp_path: Path
) -> None:
    # Up to 23:00; the attempt of 23:59:59.999 is not compared. 1741564800 is 2025-03-10T00:00Z.
    start, seconds = 1_741_564_800, int(timedelta(hours=23).total_seconds())
    result = '{"num_model_requests": 9, "input_tokens": 9000, "output_tokens": 900, "model": null}'
    bucket = f'{{"start_time": {start}, "end_time": {start + seconds}, "results": [{result}]}}'
    export = f'{{"object": "page", "data": [{bucket}], "has_more": false}}'
    told = _reconcile(filled, tmp_path, export, code=0)
    assert [(row["measure"], row["warehouse"]) for row in told["rows"]] == [
        ("requests", 9), ("input_tokens", 9000), ("output_tokens", 900)
    ]  # fmt: skip
    assert "23 of 24 hours" in told["notes"][0]


def test_the_text_shows_each_measure_with_its_parts_and_a_total(
    filled: PipelineHome, tmp_path: Path
) -> None:
    path = tmp_path / "costs.csv"
    path.write_text(HEADER + f"{DAY},openai,gpt-4o,8,,0.03\n{DAY},openai,acme-13b,2,,0.5\n")
    code, out, err = call_opsmeter("reconcile", str(path), home=filled.folder)
    assert (code, err) == (1, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert f"{DAY} openai/acme-13b 0.5000 0.0000 -0.5000 unpriced -0.5000 outside" in lines
    assert "total 0.5300 0.0280 -0.5020 unpriced -0.5000, unexplained -0.0020 outside" in lines
    assert "2 of 4 sums are within the tolerance." in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": "half"}, "write it as 0.5%"),
        ({"tolerance": "0.5"}, "write it as 0.5%"),  # it would be 50 %
        ({"tolerance": "101%"}, "write it as 0.5%"),
        ({"start": "yesterday"}, "a UTC day"),
        ({"start": "2025-03-11", "end": "2025-03-11"}, "no day lies"),
        ({"start": "2024-01-01", "end": "2024-01-02"}, "the export speaks for"),
        ({"exported_at": "2025-03-11T00:00:00"}, "an instant such as"),
        ({"form": "openai"}, "one of openai-usage"),
        ({"form": "openai-costs"}, "no JSON"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_how_to_ask(
    filled: PipelineHome, tmp_path: Path, options: dict[str, str], message: str
) -> None:
    path = tmp_path / "export.csv"
    path.write_text(HEADER + f"{DAY},openai,gpt-4o,8,,\n")
    asked = replace(Asked(path, None, "0.5%", *[None] * 6), **options)
    with pytest.raises(UsageError, match=re.escape(message)):
        reconcile_command(asked, home=filled.folder, as_json=True)


def test_a_file_that_cannot_be_read_exits_2(filled: PipelineHome, tmp_path: Path) -> None:
    (tmp_path / "export.json.gz").write_bytes(b"\x1f\x8b\x08\x00")
    for path, message in (("none.json", "No such file"), ("export.json.gz", "no UTF-8")):
        code, out, err = call_opsmeter("reconcile", str(tmp_path / path), home=filled.folder)
        assert (code, out) == (2, "")
        assert message in " ".join(err.split())


def test_what_waits_is_not_missing(filled: PipelineHome) -> None:
    """A file that waits may hold events up to the allowance older than its landing."""
    lake, day = filled.resource.lake, Period(date(2025, 3, 10), date(2025, 3, 11))
    asked = {
        "providers": ["openai"],
        "aliases": {},
        "period": day,
        "spans": [],
        "traffic": Traffic(),
    }
    newest_taken, landed = NOON + hours(24), NOON + hours(20)

    def taken_through() -> datetime | None:
        found = read_warehouse(lake, PriceBook(), exported_at=None, now=utc_now(), **asked)
        return found.taken_through

    assert taken_through() == newest_taken
    file = filled.land("waits.csv", b"x", landed_at=landed)
    try:
        note_look(lake, _look(filled))
        assert taken_through() == landed - hours(24)
    finally:
        file.unlink()
        note_look(lake, _look(filled))
    assert taken_through() == newest_taken


def _look(home: PipelineHome) -> Watermark:
    landing, lake = home.resource.landing_files(), home.resource.lake
    survey = survey_landing(landing, lake, settings=home.settings, now=utc_now())
    return survey.watermark(lake, home.settings)
