"""Files of every format through the whole job: the same events, and a ledger that balances."""

import csv
import gzip
import io
import json
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from backports import zstd

from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import (
    DAY,
    NOON,
    PipelineHome,
    assert_balanced,
    hours,
    jsonl,
    payload,
    snapshot,
)

FILES = (
    "plain.jsonl",
    "crlf.jsonl",
    "bom.jsonl",
    "one.jsonl.gz",
    "members.jsonl.gz",
    "one.jsonl.zst",
    "frames.jsonl.zst",
    "comma.csv",
    "columns.parquet",
    "instants.parquet",
)


def _lines(file: str) -> list[dict[str, object]]:
    """Four lines under ids of that file: three events and one that breaks `negative_count`."""
    lines = [
        payload(f"{file}-plain"),
        payload(
            f"{file}-full",
            inputTokens=5000,
            cacheReadTokens=4000,
            outputTokens=7,
            reasoningTokens=3,
            attempt=2,
            status="503",
            promptVersion='v"2", ü',
            timestamp="2025-03-10T11:58:00.250Z",
        ),
        payload(f"{file}-bare", latencyMs=None, environment=None, userId=None, status=None),
        payload(f"{file}-bad", outputTokens=-1),
    ]
    return [line | {"region": "eu"} for line in lines]


def _text(file: str) -> bytes:
    return jsonl(*_lines(file))


def _columns(file: str) -> list[str]:
    return list(dict.fromkeys(name for line in _lines(file) for name in line))


def _csv(file: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=_columns(file), restval="")
    writer.writeheader()
    writer.writerows(_lines(file))
    return text.getvalue().encode()


def _parquet(file: str, *, zone: str | None = None) -> bytes:
    frame = pl.DataFrame(_lines(file), infer_schema_length=None).select(_columns(file))
    if zone:
        instant = pl.col("timestamp").str.to_datetime("%+", time_zone="UTC")
        frame = frame.with_columns(instant.dt.convert_time_zone(zone))
        assert frame["timestamp"][0] == datetime(2025, 3, 10, 7, 59, tzinfo=ZoneInfo(zone))
    content = io.BytesIO()
    frame.write_parquet(content)
    return content.getvalue()


def _content(file: str) -> bytes:
    text = _text(file)
    in_a_line = len(text) // 2
    return {
        "plain.jsonl": lambda: text,
        "crlf.jsonl": lambda: text.replace(b"\n", b"\r\n"),
        "bom.jsonl": lambda: b"\xef\xbb\xbf" + text,
        "one.jsonl.gz": lambda: gzip.compress(text),
        "members.jsonl.gz": lambda: (
            gzip.compress(text[:in_a_line]) + gzip.compress(text[in_a_line:])
        ),
        "one.jsonl.zst": lambda: zstd.compress(text),
        "frames.jsonl.zst": lambda: (
            zstd.compress(text[:in_a_line]) + zstd.compress(text[in_a_line:])
        ),
        "comma.csv": lambda: _csv(file),
        "columns.parquet": lambda: _parquet(file),
        "instants.parquet": lambda: _parquet(file, zone="America/New_York"),
    }[file]()


@pytest.fixture(scope="module")
def formats(make_home: MakeHome) -> PipelineHome:
    home = make_home()
    for file in FILES:
        home.land(file, _content(file))
    assert home.take_all() == 1
    return home


def test_the_ledger_of_a_batch_with_every_format_balances(formats: PipelineHome) -> None:
    assert_balanced(formats)
    assert formats.findings() == {}
    assert formats.rows("SELECT files, lines, accepted, quarantined FROM ingest_batches") == [
        (10, 40, 30, 10)
    ]


@pytest.mark.parametrize("file", FILES)
def test_each_format_takes_its_four_lines(formats: PipelineHome, file: str) -> None:
    assert formats.ledger(file) == (4, 3, 0, 1, 0)
    assert formats.rows(
        "SELECT rule, line_number, detail FROM quarantine WHERE file = ?", file
    ) == [("negative_count", 4, "outputTokens below 0")]


@pytest.mark.parametrize("file", FILES[1:])
def test_each_format_gives_the_same_events_as_plain_lines(formats: PipelineHome, file: str) -> None:
    assert _events(formats, file) == _events(formats, "plain.jsonl")


def test_the_events_are_what_the_lines_say(formats: PipelineHome) -> None:
    events = formats.rows(
        """SELECT replace(external_request_id, file || '-', ''), attempt, prompt_version, user_id,
            input_tokens, cache_read_tokens, output_tokens, latency_ms, status, outcome,
            environment, environment_defaulted, occurred_at, extra, cost_usd
        FROM events WHERE file = 'plain.jsonl' ORDER BY line_number"""
    )
    at = NOON - hours(1 / 60)
    # The full line: 1000 x 0.0000025 + 4000 x 0.00000125 + 7 x 0.00001.
    assert events == [
        ("plain", 1, "v1", "u1", 1000, None, 100, 250, "success", "success",
         "prod", False, at, '{"region":"eu"}', Decimal("0.003500000000000000")),
        ("full", 2, 'v"2", ü', "u1", 5000, 4000, 7, 250, "503", "error",
         "prod", False, datetime.fromisoformat("2025-03-10T11:58:00.250Z"), '{"region":"eu"}',
         Decimal("0.007570000000000000")),
        ("bare", 1, "v1", "unknown", 1000, None, 100, None, None, "unknown",
         "prod", True, at, '{"region":"eu"}', Decimal("0.003500000000000000")),
    ]  # fmt: skip


def test_lines_are_numbered_as_in_their_file(formats: PipelineHome) -> None:
    numbers = formats.rows(
        "SELECT file, list(line_number ORDER BY line_number) FROM events GROUP BY file"
    )
    assert sorted(numbers) == sorted((file, [1, 2, 3]) for file in FILES)


def test_no_refused_line_keeps_an_id_that_could_name_a_person(formats: PipelineHome) -> None:
    redacted = formats.rows("SELECT DISTINCT line_redacted FROM quarantine")
    assert redacted
    assert not [line for (line,) in redacted if "t1" in line or "u1" in line]


def test_looking_again_changes_nothing(formats: PipelineHome) -> None:
    before = snapshot(formats)
    assert formats.next_day() is None
    assert formats.take_all() == 0
    assert snapshot(formats) == before


def test_an_empty_landing_has_nothing_to_take(home: PipelineHome) -> None:
    assert home.next_day() is None
    assert home.take_all() == 0
    assert home.rows("FROM ingest_batches") == []
    assert home.rows("FROM overview") == []


def test_small_batches_add_up_to_what_one_batch_gives(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parted = make_home(), make_home()
    for home in (whole, parted):
        lines = [payload(f"r{n}", inputTokens=n + 1, userId=f"u{n % 3}") for n in range(20)]
        # Of one source: several share a batch, and the order among them is not that of landing.
        home.land("log-1.jsonl", jsonl(*lines, '{"broken"', ""))
        home.land("log-2.jsonl", jsonl(*lines[:2]), landed_at=NOON + hours(1))
        home.land("log-3.jsonl", jsonl(lines[3]), landed_at=NOON + hours(2))
    assert whole.take_all() == 1
    monkeypatch.setenv("OPSMETER_BATCH_BYTES", str(8 * len(json.dumps(lines[0]))))
    assert parted.take_all() >= 3
    assert_balanced(parted)
    assert parted.ledger("log-1.jsonl") == whole.ledger("log-1.jsonl") == (22, 20, 0, 1, 1)
    assert parted.ledger("log-2.jsonl") == whole.ledger("log-2.jsonl") == (2, 0, 2, 0, 0)
    assert parted.ledger("log-3.jsonl") == whole.ledger("log-3.jsonl") == (1, 0, 1, 0, 0)
    without = ("batch_id", "byte_start", "byte_end", "checksum", "first_line_number")
    tables = ("events", "quarantine")
    assert snapshot(parted, tables=tables, without=without) == snapshot(
        whole, tables=tables, without=without
    )
    views = ("overview", "top_endpoints", "top_users", "prompt_versions", "unpriced_models")
    assert snapshot(parted, tables=views) == snapshot(whole, tables=views)


def test_files_of_two_days_become_two_batches_the_oldest_first(home: PipelineHome) -> None:
    home.land("later.jsonl", jsonl(payload("b")), landed_at=NOON + hours(24))
    home.land("earlier.jsonl", jsonl(payload("a")), landed_at=NOON)
    assert home.next_day() == DAY
    assert home.take_all() == 2
    days = home.rows("SELECT ingest_day::VARCHAR, lines FROM ingest_batches ORDER BY taken_at")
    assert days == [("2025-03-10", 1), ("2025-03-11", 1)]


def _events(home: PipelineHome, file: str) -> list[tuple[object, ...]]:
    return home.rows(
        """SELECT * EXCLUDE (file)
            REPLACE (replace(external_request_id, file || '-', '') AS external_request_id)
        FROM events WHERE file = ? ORDER BY line_number""",
        file,
    )
