"""The demo day on disk is exactly what its summary says, and each bad line breaks one rule.

The rules are judged here by a second, simpler route than the contract's: plain Python, one line at
a time. Only what the demo seeds is known to it.
"""

import csv
import dataclasses
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import polars as pl
import pytest
from backports import zstd
from genai_prices import Usage, calc_price

from opsmeter_pipeline.model.errors import UsageError
from opsmeter_pipeline.model.wire import WIRE
from opsmeter_pipeline.producers.demo import write_demo_day
from opsmeter_pipeline.producers.demo_endpoints import ENDPOINTS
from opsmeter_pipeline.producers.demo_faults import SEEDED_RULES
from opsmeter_pipeline.producers.demo_summary import DemoSummary

NOW = datetime(2026, 11, 23, 13, 37, 12, 345_678, tzinfo=UTC)
RULES = {
    "malformed_json",
    "not_an_object",
    "missing_field",
    "missing_usage",
    "empty_field",
    "wrong_type",
    "raw_identifier",
    "negative_count",
    "absurd_count",
    "unknown_status",
    "unknown_data_mode",
    "unknown_environment",
    "naive_timestamp",
    "unreadable_timestamp",
    "future_timestamp",
    "contradicting_total",
    "part_above_whole",
    "zero_input_with_output",
    "conflicting_duplicate",
}
REQUIRED = [field.name for field in WIRE if field.required]
COUNTS = [field.name for field in WIRE if field.kind == "count"]
TEXTS = [field.name for field in WIRE if field.kind == "text"]


class Found(NamedTuple):
    """A line as read back, with the modification time of its file."""

    file: str
    text: bytes
    landed_at: datetime


@dataclasses.dataclass
class Counted:
    """What the plain route makes of all lines."""

    good: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    duplicates: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    bad: Counter[str] = dataclasses.field(default_factory=Counter)
    bad_files: set[str] = dataclasses.field(default_factory=set)
    blank: int = 0


class Day(NamedTuple):
    """A demo day of full size: where it lies, what was promised, what is there."""

    landing: Path
    summary: DemoSummary
    counted: Counted


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    landing = tmp_path_factory.mktemp("landing")
    summary = write_demo_day(landing, now=NOW)
    return Day(landing, summary, count_lines(landing))


def test_counts_match_what_is_on_disk(day: Day) -> None:
    summary, counted = day.summary, day.counted
    good = counted.good
    assert summary.files == len(files_of(day.landing))
    assert summary.files_by_format == Counter(
        path.name.partition(".")[2] for path in files_of(day.landing)
    )
    assert summary.lines == sum(1 for _ in read_lines(day.landing))
    assert summary.good_lines == len(good)
    assert summary.redelivered_lines == len(counted.duplicates)
    assert summary.blank_lines == counted.blank
    assert summary.bad_lines == counted.bad
    ids = {line["externalRequestId"] for line in good}
    assert summary.retries == len(good) - len(ids)
    without_attempt = [line["externalRequestId"] for line in good if "attempt" not in line]
    assert summary.inferred_retries == len(without_attempt) - len(set(without_attempt))
    assert summary.test_lines == sum(line.get("dataMode") == "test" for line in good)
    assert summary.demo_lines == sum(line.get("dataMode") == "demo" for line in good)
    assert summary.defaulted_lines == sum("environment" not in line for line in good)
    assert summary.missing_prompt_version_lines == sum(
        not line.get("promptVersion") for line in good
    )
    assert summary.missing_endpoint_lines == sum("endpointTag" not in line for line in good)
    assert summary.unpriced_lines == sum(line["provider"] == "acme" for line in good)
    known = {field.name for field in WIRE}
    assert summary.unknown_field_lines == sum(bool(line.keys() - known) for line in good)


def test_every_kind_is_there_in_the_promised_share(day: Day) -> None:
    summary = day.summary
    assert summary.good_lines >= 50_000
    assert summary.bad_lines.keys() == RULES == set(SEEDED_RULES)
    assert min(summary.bad_lines.values()) >= 5
    assert len(day.counted.bad_files) > 15
    shares = {
        "redelivered_lines": (0.008, 0.012),
        "restamped_lines": (0.004, 0.006),
        "retries": (0.01, 0.02),
        "inferred_retries": (0.003, 0.01),
        "test_lines": (0.01, 0.02),
        "demo_lines": (0.01, 0.02),
        "defaulted_lines": (0.04, 0.06),
        "missing_prompt_version_lines": (0.008, 0.012),
        "missing_endpoint_lines": (0.001, 0.003),
        "unpriced_lines": (0.003, 0.007),
        "unknown_field_lines": (0.0002, 0.002),
        "blank_lines": (0.0001, 0.001),
    }
    for name, (low, high) in shares.items():
        assert low < getattr(summary, name) / summary.good_lines < high, name
    assert 0.002 < sum(summary.bad_lines.values()) / summary.good_lines < 0.004


def test_same_seed_and_now_give_the_same_bytes_and_times(tmp_path: Path) -> None:
    first = write_demo_day(tmp_path / "a", now=NOW, events=2_000)
    again = write_demo_day(tmp_path / "b", now=NOW, events=2_000)
    other = write_demo_day(tmp_path / "c", now=NOW, events=2_000, seed=8)
    assert first == again != other
    assert content_of(tmp_path / "a") == content_of(tmp_path / "b") != content_of(tmp_path / "c")


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 11, 23, 13, tzinfo=UTC),
        datetime(2026, 11, 23, 13, 0, 0, 1_000, tzinfo=UTC),
        datetime(2026, 11, 23, 0, 59, 59, 999_999, tzinfo=UTC),
    ],
)
@pytest.mark.parametrize("seed", [7, 8])
def test_counts_match_at_the_edges_of_an_hour(tmp_path: Path, now: datetime, seed: int) -> None:
    summary = write_demo_day(tmp_path, now=now, events=1_000, seed=seed)
    counted = count_lines(tmp_path)
    assert summary.bad_lines == counted.bad
    assert summary.good_lines == len(counted.good)
    assert summary.redelivered_lines == len(counted.duplicates)
    assert max(landed_at_of(path) for path in files_of(tmp_path)) <= now


def test_files_land_at_the_end_of_their_hour_but_never_after_now(day: Day) -> None:
    for path in files_of(day.landing):
        hour = re.fullmatch(r"llm-usage-(\d{4}-\d\d-\d\dT\d\d)\..+", path.name)
        assert hour is not None
        started_at = datetime.fromisoformat(hour[1]).replace(tzinfo=UTC)
        assert path.parent.name == hour[1][:10]
        truncated_now = NOW.replace(microsecond=345_000)
        assert landed_at_of(path) == min(started_at + timedelta(hours=1), truncated_now)
    assert not list(day.landing.rglob("*.tmp"))


def test_new_prompt_version_answers_a_third_longer(day: Day) -> None:
    tokens = {
        version: mean(
            line["outputTokens"]
            for line in day.counted.good
            if line.get("promptVersion") == version and line["status"] == "success"
        )
        for version in ("summary_v3", "summary_v4")
    }
    assert 1.28 < tokens["summary_v4"] / tokens["summary_v3"] < 1.42
    deployed = [
        instant_of(line["timestamp"])
        for line in day.counted.good
        if line.get("promptVersion") == "summary_v4"
    ]
    assert abs(min(deployed) - day.summary.deploy_at) < timedelta(minutes=11)


def test_one_tenant_sends_twelve_times_its_rerank_traffic_for_one_hour(day: Day) -> None:
    hours = Counter(
        instant_of(line["timestamp"]).replace(minute=0, second=0, microsecond=0)
        for line in day.counted.good
        if line["tenantId"] == day.summary.spike_tenant_id
        and line.get("endpointTag") == "search.rerank"
    )
    spike_at = day.summary.spike_started_at
    neighbours = [hours[spike_at + timedelta(hours=step)] for step in (-1, 1)]
    assert 8 < hours[spike_at] / mean(neighbours) < 16


@pytest.mark.parametrize(
    "model",
    sorted({(share.provider, share.model) for entry in ENDPOINTS for share in entry.models}),
)
def test_every_model_but_the_private_one_has_a_price(model: tuple[str, str]) -> None:
    usage = Usage(input_tokens=1_000, output_tokens=10, cache_read_tokens=100)
    assert calc_price(usage, provider_id=model[0], model_ref=model[1]).total_price > 0


def test_landed_files_are_never_replaced(tmp_path: Path) -> None:
    write_demo_day(tmp_path, now=NOW, events=1_000)
    before = content_of(tmp_path)
    with pytest.raises(UsageError, match="landed already"):
        write_demo_day(tmp_path, now=NOW + timedelta(hours=3), events=1_000)
    assert content_of(tmp_path) == before


def test_now_without_a_time_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        write_demo_day(tmp_path, now=NOW.replace(tzinfo=None), events=1_000)
    assert files_of(tmp_path) == []


def count_lines(landing: Path) -> Counted:
    counted = Counted()
    content_by_key: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for found in read_lines(landing):
        if not found.text:
            counted.blank += 1
            continue
        rules = broken_rules(found)
        if not rules:
            line = json.loads(found.text)
            key, content = key_and_content(line)
            if key not in content_by_key:
                content_by_key[key] = content
                counted.good.append(line)
                continue
            if content_by_key[key] == content:
                counted.duplicates.append(line)
                continue
            rules = ["conflicting_duplicate"]
        assert len(rules) == 1, (rules, found)
        counted.bad[rules[0]] += 1
        counted.bad_files.add(found.file)
    return counted


def key_and_content(line: dict[str, Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Without `attempt` the content is its own key: only a full copy is a duplicate."""
    content = tuple(sorted((k, str(v)) for k, v in line.items() if k != "timestamp" and v != ""))
    if "attempt" not in line:
        return content, content
    return (line.get("environment", "prod"), line["externalRequestId"], line["attempt"]), content


def broken_rules(found: Found) -> list[str]:
    try:
        line = json.loads(found.text, parse_constant=float_refused)
    except ValueError:
        return ["malformed_json"]
    if not isinstance(line, dict):
        return ["not_an_object"]
    lacks_usage = line.keys().isdisjoint({"inputTokens", "outputTokens"})
    missing = {name for name in REQUIRED if name not in line}
    shape = {
        "missing_field": bool(missing) and missing != {"inputTokens", "outputTokens"},
        "missing_usage": lacks_usage,
        "empty_field": any(line.get(name) == "" for name in REQUIRED),
        "wrong_type": any(type(line[name]) is not int for name in COUNTS if name in line)
        or any(type(line[name]) is not str for name in TEXTS if name in line),
    }
    if any(shape.values()):
        return [rule for rule, is_broken in shape.items() if is_broken]
    ids = [line.get(name, "u_0") for name in ("userId", "tenantId")]
    is_raw = not all(re.fullmatch(r"[ut]_[0-9a-f]+", one) for one in ids) or any(
        "@" in str(value) for value in line.values()
    )
    values = {"raw_identifier": is_raw, **broken_counts(line), **broken_words(line)}
    return [rule for rule, is_broken in values.items() if is_broken] + broken_times(line, found)


def float_refused(text: str) -> float:
    raise ValueError(text)


def broken_counts(line: dict[str, Any]) -> dict[str, bool]:
    counts = [line[name] for name in COUNTS if name in line]
    total = line["inputTokens"] + line["outputTokens"]
    cached = line.get("cacheReadTokens", 0) + line.get("cacheWriteTokens", 0)
    is_negative = min(counts) < 0
    return {
        "negative_count": is_negative,
        "absurd_count": max(counts) > 2**40,
        "contradicting_total": line.get("totalTokens", total) != total,
        "part_above_whole": not is_negative
        and (cached > line["inputTokens"] or line.get("reasoningTokens", 0) > line["outputTokens"]),
        "zero_input_with_output": line["inputTokens"] == 0 and line["outputTokens"] > 0,
    }


def broken_words(line: dict[str, Any]) -> dict[str, bool]:
    statuses = r"success|error|timeout|cancelled|rate_limited|[1-5]\d\d"
    return {
        "unknown_status": re.fullmatch(statuses, str(line["status"])) is None,
        "unknown_data_mode": line.get("dataMode", "real") not in {"real", "test", "demo"},
        "unknown_environment": line.get("environment", "prod") not in {"prod", "staging", "dev"},
    }


def broken_times(line: dict[str, Any], found: Found) -> list[str]:
    try:
        at = instant_of(line["timestamp"])
    except ValueError:
        return ["unreadable_timestamp"]
    if at.tzinfo is None:
        return ["naive_timestamp"]
    if at > found.landed_at + timedelta(minutes=5):
        return ["future_timestamp"]
    # A legal time is at or before the file's: nothing lies in the tolerance between.
    assert at <= found.landed_at, found
    return []


def instant_of(timestamp: str | int) -> datetime:
    if isinstance(timestamp, int):
        return datetime.fromtimestamp(timestamp / 1_000, UTC)
    return datetime.fromisoformat(timestamp)


def files_of(landing: Path) -> list[Path]:
    return sorted(path for path in landing.rglob("*") if path.is_file())


def landed_at_of(path: Path) -> datetime:
    # In whole milliseconds: st_mtime is a float and may be off by a microsecond.
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=path.stat().st_mtime_ns // 10**6)


def content_of(landing: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(landing)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in files_of(landing)
    }


def read_lines(landing: Path) -> Iterator[Found]:
    for path in files_of(landing):
        landed_at = landed_at_of(path)
        for text in texts_of(path):
            yield Found(path.name, text, landed_at)


def texts_of(path: Path) -> list[bytes]:
    if path.suffix == ".csv":
        rows: list[dict[str, Any]] = list(csv.DictReader(path.read_text().splitlines()))
        return [
            as_json({k: int(v) if k in COUNTS and v else v for k, v in r.items()}) for r in rows
        ]
    if path.suffix == ".parquet":
        return [as_json(row) for row in pl.read_parquet(path).to_dicts()]
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    if path.suffix == ".zst":
        content = zstd.decompress(content)
    assert content.endswith(b"\n")
    return content.removesuffix(b"\n").split(b"\n")


def as_json(record: dict[str, Any]) -> bytes:
    return json.dumps({k: v for k, v in record.items() if v not in {None, ""}}).encode()
