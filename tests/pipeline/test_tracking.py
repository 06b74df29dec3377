"""What the tracking checks see in a real home: a broken deploy, false manifests, silence, mixes."""

import hashlib
import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest
import xxhash

from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.settings import claim_landing
from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import (
    NOON,
    PipelineHome,
    assert_balanced,
    call_opsmeter,
    failure_of,
    hours,
    jsonl,
    payload,
    without_clocks,
)


def _hour(
    home: PipelineHome,
    source: str,
    ago: int,
    lines: int = 60,
    noon: datetime = NOON,
    **fields: object,
) -> None:
    """Land an hour's file of a producer; `fields` change every second line."""
    at = noon - hours(ago)
    when = {"timestamp": f"{at - timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"}
    rows = [payload(f"{source}-{ago}-{nth}", **when | (fields if nth % 2 else {}))
            for nth in range(lines)]  # fmt: skip
    home.land(f"{source}/{at:%Y-%m-%d}/{source}-{at:%H}.jsonl", jsonl(*rows), landed_at=at)


def _checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    assert result.success, failure_of(result)
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def _culprits(check: dg.AssetCheckEvaluation) -> list[Any]:
    return check.metadata["culprits"].value if "culprits" in check.metadata else []


def _rows_by_source(home: PipelineHome) -> list[tuple[Any, ...]]:
    sql = """SELECT source, rule, field, sum(lines)::BIGINT FROM tracking_hourly
             GROUP BY ALL ORDER BY ALL"""
    return home.rows(sql)


@pytest.fixture(scope="module")
def deployed(make_home: MakeHome) -> tuple[PipelineHome, dict[str, dg.AssetCheckEvaluation]]:
    """Two producers of ten quiet hours; at noon a deploy of one sends text for a count."""
    home = make_home()
    for ago in range(10, 0, -1):
        _hour(home, "checkout", ago)
        _hour(home, "search", ago)
    before = _checks(home.run())
    assert all(check.passed for check in before.values()), before
    _hour(home, "checkout", 0, inputTokens="12", latencyMs=None)
    _hour(home, "search", 0)
    return home, _checks(home.run())


def test_a_deploy_that_sends_text_for_a_count_is_named(deployed) -> None:
    home, checks = deployed
    check = checks["quarantine_shift"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    (culprit,) = _culprits(check)
    assert culprit == {
        "source": "checkout/*/checkout-*", "endpoint_tag": "chat.reply", "rule": "wrong_type",
        "landed_hour_at": str(NOON), "broken": 30, "lines": 60, "share": "50.0 %",
        "usual_share": "0.0 %",
    }  # fmt: skip
    (changed,) = _culprits(checks["field_change"])
    assert (changed["field"], changed["change"]) == ("inputTokens", "wrong_type")
    assert changed["source"] == "checkout/*/checkout-*"
    assert_balanced(home)


def test_the_lines_are_one_query_away(deployed) -> None:
    home, checks = deployed
    query = checks["quarantine_shift"].metadata["query"].value
    sql = query.removeprefix('opsmeter query "').removesuffix('"')
    sql = sql.replace("<source>", "checkout/*/checkout-*").replace("<rule>", "wrong_type")
    lines = home.rows(sql)
    assert len(lines) == 30
    assert {line[0] for line in lines} == {"checkout/2025-03-10/checkout-12.jsonl"}


@pytest.mark.parametrize(
    "check",
    ["quarantine_shift", "field_change", "quiet_producer", "manifest_counts", "endpoint_tags",
     "prompt_versions", "raw_identifiers", "production_mix", "clock_skew"],
)  # fmt: skip
def test_every_check_says_a_query_that_runs(deployed, check: str) -> None:
    home, checks = deployed
    sql = checks[check].metadata["query"].value.removeprefix('opsmeter query "').removesuffix('"')
    assert home.resource.lake.query(sql).columns


def test_every_line_stands_in_the_counts(deployed) -> None:
    home, _ = deployed
    assert _rows_by_source(home) == [
        ("checkout/*/checkout-*", "(kept)", "", 630),
        ("checkout/*/checkout-*", "wrong_type", "inputTokens", 30),
        ("search/*/search-*", "(kept)", "", 660),
    ]


def test_the_score_follows_from_the_lines(deployed) -> None:
    home, _ = deployed
    scores = home.rows("SELECT source, lines, score, kept_share FROM tracking_quality")
    assert scores == [
        ("checkout/*/checkout-*", 660, 95.45, 0.954545),  # 630 / 660
        ("search/*/search-*", 660, 100.0, 1.0),
    ]


def test_a_replay_replaces_the_counts(deployed) -> None:
    home, _ = deployed
    before = without_clocks(home, without=("size_bytes",))
    checks = _checks(home.run(replay=True))
    assert without_clocks(home, without=("size_bytes",)) == before
    assert not checks["quarantine_shift"].passed


def test_a_field_that_disappears_is_named(home: PipelineHome) -> None:
    for ago in range(7, 0, -1):
        _hour(home, "checkout", ago)
    assert _checks(home.run())["field_change"].passed
    rows = [payload(f"n{nth}", latencyMs=None) for nth in range(40)]
    home.land("checkout/2025-03-10/checkout-12.jsonl", jsonl(*rows))
    checks = _checks(home.run())
    assert checks["quarantine_shift"].passed
    (culprit,) = _culprits(checks["field_change"])
    assert (culprit["field"], culprit["change"]) == ("latencyMs", "disappeared")


def test_a_producer_that_falls_silent_is_named_while_others_land(home: PipelineHome) -> None:
    noon = utc_now() - timedelta(minutes=10)
    for ago in range(40, -1, -1):
        _hour(home, "search", ago, lines=1, noon=noon)
        if ago > 6:
            _hour(home, "checkout", ago, lines=1, noon=noon)
    while day := home.next_day():
        result = home.run(day)
    (culprit,) = _culprits(_checks(result)["quiet_producer"])
    assert culprit["source"] == "checkout/*/checkout-*"
    assert culprit["silence_minutes"] in {7 * 60 + 10, 7 * 60 + 11}


def test_silence_of_all_is_named_by_the_clock_although_nothing_lands(home: PipelineHome) -> None:
    for ago in range(40, 12, -1):
        _hour(home, "search", ago, lines=1, noon=utc_now())
    home.take_all()
    before = without_clocks(home)
    result = defs.resolve_job_def("silence").execute_in_process(
        instance=home.instance, resources={"home": home.resource}
    )
    assert [
        (one.asset_key.to_user_string(), one.check_name)
        for one in result.get_asset_check_evaluations()
    ] == [("tracking_hourly", "quiet_producer")]
    (culprit,) = _culprits(_checks(result)["quiet_producer"])
    assert (culprit["source"], culprit["silence_minutes"] // 60) == ("search/*/search-*", 13)
    assert without_clocks(home) == before


LINES = jsonl(payload("m1"), payload("m2"), payload("m3"))


def _manifest(home: PipelineHome, file: str, content: object) -> None:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    home.land(f"{file}.manifest.json", text)


def test_files_are_held_against_their_manifests(home: PipelineHome) -> None:
    content = {name: jsonl(*(payload(f"{name}{nth}") for nth in range(3))) for name in "abcdef"}
    for name, lines in content.items():
        home.land(f"{name}.jsonl", lines)
    sha = {name: hashlib.sha256(lines).hexdigest() for name, lines in content.items()}
    xxh3 = xxhash.xxh3_128_hexdigest(content["b"])
    _manifest(home, "a.jsonl", {"lines": 3, "checksum": f"sha256:{sha['a']}"})
    _manifest(home, "b.jsonl", {"lines": 3, "checksum": f"xxh3_128:{xxh3}"})
    _manifest(home, "c.jsonl", {"lines": 4})
    _manifest(home, "d.jsonl", {"lines": 3, "checksum": f"sha256:{sha['a']}"})
    _manifest(home, "e.jsonl", b"{")
    _manifest(home, "f.jsonl", {"lines": "3"})
    _manifest(home, "gone.jsonl", {"lines": 3})
    check = _checks(home.run())["manifest_counts"]
    assert not check.passed
    found = {one["file"]: one["difference"] for one in _culprits(check)}
    assert found.keys() == {"c.jsonl", "d.jsonl", "e.jsonl", "f.jsonl", "gone.jsonl"}
    assert found["c.jsonl"] == "1 lines are missing"
    assert found["d.jsonl"] == "as many lines, but another checksum"
    assert found["e.jsonl"].startswith("the manifest cannot be used: it is no JSON")
    assert found["gone.jsonl"] == "nothing of the file was taken"
    assert home.findings() == {}
    assert home.next_day() is None


def test_a_manifest_that_is_mended_is_looked_at_again(home: PipelineHome) -> None:
    home.land("a.jsonl", LINES)
    _manifest(home, "a.jsonl", {"lines": 9})
    assert not _checks(home.run())["manifest_counts"].passed
    home.land("b.jsonl", jsonl(payload("b1")))
    assert not _checks(home.run())["manifest_counts"].passed
    assert home.value("SELECT count(*) FROM manifests") == 1
    home.land("c.jsonl", jsonl(payload("c1")))
    _manifest(home, "a.jsonl", {"lines": 3, "note": "recounted"})
    assert _checks(home.run())["manifest_counts"].passed
    assert home.value("SELECT count(*) FROM manifests") == 2


def test_a_file_that_grew_after_its_manifest_may_hold_more(home: PipelineHome) -> None:
    home.land("a.jsonl", LINES)
    _manifest(home, "a.jsonl", {"lines": 3, "checksum": f"sha256:{'0' * 64}"})
    assert not _checks(home.run())["manifest_counts"].passed
    home.land("a.jsonl", LINES + jsonl(payload("m4")), landed_at=NOON + timedelta(minutes=1))
    assert _checks(home.run())["manifest_counts"].passed


def test_the_common_mistakes_are_named_with_their_fix(home: PipelineHome) -> None:
    lines = [
        *(payload(f"a{n}", endpointTag="checkout.ai_summary") for n in range(30)),
        *(payload(f"b{n}", endpointTag="checkout.aiSummary", promptVersion=None)
          for n in range(30)),
        *(payload(f"c{n}", endpointTag="/v1/chat/7f3c9a2b") for n in range(30)),
        *(payload(f"d{n}", dataMode=None, environment=None) for n in range(30)),
        *(payload(f"e{n}", dataMode="test", environment="staging") for n in range(5)),
    ]  # fmt: skip
    home.land("shop-1.jsonl", jsonl(*lines))
    checks = _checks(home.run())
    tags = {one["problem"]: one for one in _culprits(checks["endpoint_tags"])}
    assert tags.keys() == {"spelled in several ways", "holds an id"}
    assert tags["spelled in several ways"]["keep"] == "checkout.ai_summary"
    assert tags["spelled in several ways"]["source"] == "shop-*"
    (version,) = _culprits(checks["prompt_versions"])
    assert (version["endpoint_tag"], version["prompt_version_missing"]) == (
        "checkout.aiSummary",
        30,
    )
    (mixed,) = _culprits(checks["production_mix"])
    assert (mixed["source"], mixed["endpoint_tag"], mixed["mixed_lines"]) == (
        "shop-*", "chat.reply", 30,
    )  # fmt: skip
    assert checks["raw_identifiers"].passed


def test_a_run_that_takes_nothing_is_judged_all_the_same(home: PipelineHome) -> None:
    checks = _checks(home.run())
    assert all(check.passed for check in checks.values())
    home.land("empty.jsonl", b"")
    assert all(check.passed for check in _checks(home.run()).values())


def test_the_quality_view_is_read_by_the_command(deployed) -> None:
    home, _ = deployed
    claim_landing(home.settings)
    sql = "SELECT source, score FROM tracking_quality LIMIT 1"
    code, out, _ = call_opsmeter("query", sql, "--json", home=home.folder)
    assert (code, json.loads(out)) == (0, [{"source": "checkout/*/checkout-*", "score": 95.45}])


def _lines(source: str, *leads: timedelta, at: datetime, **fields: object) -> bytes:
    stamps = [f"{at + lead:%Y-%m-%dT%H:%M:%SZ}" for lead in leads]
    return jsonl(*(payload(f"{source}-{nth}", timestamp=stamp, **fields)
                   for nth, stamp in enumerate(stamps)))  # fmt: skip


def test_clocks_are_compared_and_late_events_shown_with_their_cost(home: PipelineHome) -> None:
    now = utc_now().replace(microsecond=0)
    minute, landed = timedelta(minutes=1), now - timedelta(seconds=30)
    ahead = [330 * minute - timedelta(seconds=nth) for nth in range(4)]  # UTC+05:30 sent as UTC
    late = [-3 * 60 * minute, -26 * 60 * minute, -26 * 60 * minute, -45 * 1440 * minute]
    home.land("india-1.jsonl", _lines("india", *ahead, at=landed), landed_at=landed)
    home.land("export-1.jsonl", _lines("export", -minute, *late, at=landed), landed_at=landed)
    stamp = f"{landed - 2 * minute:%Y-%m-%dT%H:%M:%SZ}"
    collected = _lines("collected", -3 * minute, at=landed, ingestedAt=stamp)
    home.land("collected-1.jsonl", collected, landed_at=landed)
    check = _checks(home.run(landed.date()))["clock_skew"]
    (culprit,) = _culprits(check)
    assert not check.passed
    assert culprit == {
        "source": "india-*", "clock": "sender", "skew_minutes": "+330", "largest_minutes": "+330",
        "lines": 4, "refused_lines": 4, "cause": "local time of UTC+05:30 sent as UTC",
        "fix": "Send times in UTC, or with the zone's offset.",
    }  # fmt: skip
    shown = "clock, lines, lines_ahead, least_lag_minutes, median_lag_minutes, largest_lag_minutes"
    lags = home.rows(f"SELECT source, {shown} FROM clock_lags WHERE clock <> 'landing'")
    assert [one for one in lags if one[1] != "publish"] == [
        ("collected-*", "sender", 1, 0, 1, 1, 1),
        ("collected-*", "collector", 1, 0, 2, 2, 2),
        ("export-*", "sender", 5, 0, 1, 1560, 64800),
        ("india-*", "sender", 4, 4, -330, -330, -330),
    ]
    assert {one[0] for one in lags if one[1] == "publish"} == {"collected-*", "export-*", "india-*"}
    cost = Decimal("0.0035")
    assert home.rows("SELECT * EXCLUDE landed_day FROM late_events") == [
        ("export-*", 2, 1, 1, cost, 0.2, 180),
        ("export-*", 24, 2, 2, 2 * cost, 0.4, 1560),
        ("export-*", 720, 1, 1, cost, 0.2, 64800),
    ]
    assert_balanced(home)
