"""Who a producer is, and both sides of every limit that calls one broken, silent or careless."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import polars as pl
import pytest

from opsmeter_pipeline.contract import Judged
from opsmeter_pipeline.model.columns import INSTANT
from opsmeter_pipeline.model.source import name_source
from opsmeter_pipeline.model.tables import FIELD_PRESENCE_HOURLY, REFUSED, TRACKING_HOURLY
from opsmeter_pipeline.tracking.counts import (
    COUNTED,
    KEPT,
    build_presence,
    build_tracking,
    count_kept,
    count_present,
    count_refused,
)
from opsmeter_pipeline.tracking.manifests import judge_manifests, read_manifest
from opsmeter_pipeline.tracking.mistakes import (
    judge_production_mix,
    judge_prompt_versions,
    judge_raw_identifiers,
)
from opsmeter_pipeline.tracking.quiet import find_habits, judge_quiet
from opsmeter_pipeline.tracking.shifts import judge_field_change, judge_quarantine_shift
from opsmeter_pipeline.tracking.tags import holds_id, is_path, judge_endpoint_tags, normalise_tag
from tests.scenario import ABSENT, NOW, at, judge, line, slice_of

HOUR = timedelta(hours=1)
SLICES = [slice_of(file="shop/2026-11-23.jsonl")]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("usage.jsonl", "usage.*"),
        ("2026-11-23/checkout.jsonl", "*/checkout.*"),
        ("2026-11-23/search.jsonl", "*/search.*"),
        ("2026-11-23.jsonl", "*"),
        ("shop-1.jsonl", "shop-*"),
        ("shop/2026/11/23/part-00017.parquet", "shop/*/part-*"),
        ("shop/dt=2026-11-23/hour=05/x.csv", "shop/dt=*/hour=*/x.*"),
        ("20261123T100000Z-billing.jsonl.gz", "*-billing.*"),
        ("host-12/7f3c9a2b-1111-4222-8333-123456789abc.jsonl.zst", "host-*"),
        ("chat-v2.jsonl", "chat-v2.*"),
        ("facade/deadbeef.jsonl", "facade/deadbeef.*"),
        ("events00042.jsonl", "events*"),
    ],
)
def test_a_source_is_the_path_without_what_varies(file: str, source: str) -> None:
    assert name_source(file) == source


def test_a_producer_keeps_its_source_from_day_to_day_and_format_to_format() -> None:
    files = (f"2026-11-{day:02}/llm-2026-11-{day:02}T{hour:02}.{form}" for day in (1, 23)
             for hour in (0, 17) for form in ("jsonl", "jsonl.gz", "csv"))  # fmt: skip
    assert {name_source(file) for file in files} == {"*/llm-*"}


def _count(judged: Judged, slices=SLICES) -> tuple[pl.DataFrame, pl.DataFrame]:
    events = judged.events
    kept = count_kept(events)
    refused = count_refused(REFUSED.arrange(judged.quarantine))
    tracking = build_tracking(kept, refused, slices)
    return tracking, build_presence(kept, count_present(events, kept, slices), slices)


def test_every_line_is_counted_by_endpoint_rule_and_field() -> None:
    judged = judge(
        line(),
        line(promptVersion=ABSENT, userId=ABSENT, environment=ABSENT),
        line(endpointTag="chat.ask", tenantId="", dataMode="test"),
        line(inputTokens="12"),
        line(endpointTag=ABSENT, model=ABSENT),
        "not json",
        "",
        file=SLICES[0].file,
    )
    tracking, _ = _count(judged)
    assert tracking.schema == TRACKING_HOURLY.schema
    shown = tracking.select("source", "endpoint_tag", "rule", "field", *COUNTED)
    assert shown.rows() == [
        ("shop/*", "(missing)", "malformed_json", "", 1, 0, 0, 0, 0, 0, 0, 0, 0),
        ("shop/*", "(missing)", "missing_field", "model", 1, 0, 0, 0, 0, 0, 0, 0, 0),
        ("shop/*", "chat.answer", KEPT, "", 2, 1, 0, 1, 1, 0, 1, 0, 0),
        ("shop/*", "chat.answer", "wrong_type", "inputTokens", 1, 0, 0, 0, 0, 0, 0, 0, 0),
        ("shop/*", "chat.ask", KEPT, "", 1, 0, 1, 0, 0, 0, 0, 1, 0),
    ]
    assert tracking["landed_hour_at"].unique().to_list() == [NOW]


def test_a_line_that_identity_refuses_is_not_kept() -> None:
    judged = judge(line(), line(), file=SLICES[0].file)
    conflict = {
        "batch_id": "batch-1", "file": SLICES[0].file, "line_number": 2, "detail": "other content",
        "rule": "conflicting_duplicate", "line_redacted": line(), "ingested_at": NOW,
    }  # fmt: skip
    refused = count_refused(pl.DataFrame([conflict], schema=REFUSED.schema))
    tracking = build_tracking(count_kept(judged.events), refused, SLICES)
    assert tracking.select("rule", "lines").rows() == [(KEPT, 1), ("conflicting_duplicate", 1)]


def test_presence_counts_the_lines_that_had_a_field() -> None:
    judged = judge(
        line(cacheReadTokens=5),
        line(timestamp=ABSENT, latencyMs=None, endpointTag=" "),
        line(ingestedAt="2026-11-23T11:59:00Z", dataMode=ABSENT, promptVersion=ABSENT),
    )
    _, presence = _count(judged)
    assert presence.schema == FIELD_PRESENCE_HOURLY.schema
    assert set(presence["lines"]) == {3}
    present = dict(presence.select("field", "present").rows())
    told = {"cacheReadTokens": 1, "ingestedAt": 1, "attempt": 0, "serviceTier": 0, "status": 3}
    assert present.items() >= told.items()
    for field in ("timestamp", "latencyMs", "endpointTag", "dataMode", "promptVersion"):
        assert present[field] == 2, field
    assert present["tenantId"] == present["userId"] == present["environment"] == 3
    assert not {"model", "inputTokens"} & present.keys()


def test_lines_that_are_all_refused_make_no_presence() -> None:
    tracking, presence = _count(judge("not json", "", file=SLICES[0].file))
    assert tracking.select("rule", "lines").rows() == [("malformed_json", 1)]
    assert presence.is_empty()
    assert presence.schema == FIELD_PRESENCE_HOURLY.schema


def _hour(ago: int, *, judged: bool = False, **changes) -> Iterator[dict]:
    """Yield the kept and the refused lines of one producer's hour."""
    row = {"source": "shop/*", "endpoint_tag": "chat.ask", "landed_hour_at": NOW - ago * HOUR,
           "rule": "wrong_type", "field": "inputTokens", "lines": 1000, "broken": 0}  # fmt: skip
    row |= changes
    broken, lines = row.pop("broken"), row["lines"]
    for part, rule, field in ((lines - broken, KEPT, ""), (broken, row["rule"], row["field"])):
        if part:
            shown = part if judged else None
            yield row | {"rule": rule, "field": field, "lines": part, "judged_lines": shown,
                         "run_lines": part if judged else 0}  # fmt: skip


def _past(hours: int = 24, **changes) -> list[dict]:
    return [row for ago in range(1, hours + 1) for row in _hour(ago, **changes)]


COUNTS = {
    "source": pl.String, "endpoint_tag": pl.String, "landed_hour_at": INSTANT, "rule": pl.String,
    "field": pl.String, "lines": pl.Int64, "judged_lines": pl.Int64, "run_lines": pl.Int64,
}  # fmt: skip


def _counts(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=COUNTS)


def _shift(now: dict, past: list[dict] | None = None):
    return judge_quarantine_shift(_counts(*(past or _past()), *_hour(0, judged=True, **now)))


def test_a_deploy_that_breaks_a_rule_is_named_with_producer_rule_and_hour() -> None:
    verdict = _shift({"broken": 40})
    assert not verdict.passed
    (culprit,) = verdict.culprits
    assert culprit == {
        "source": "shop/*", "endpoint_tag": "chat.ask", "rule": "wrong_type", "broken": 40,
        "landed_hour_at": NOW, "lines": 1000, "share": "4.0 %", "usual_share": "0.0 %",
    }  # fmt: skip
    assert "wrong_type from shop/* (chat.ask)" in verdict.summary
    assert verdict.figures["query"].startswith('opsmeter query "')


@pytest.mark.parametrize(
    ("lines", "broken", "passed"),
    [
        (60, 16, True),  # 16 lines are no anomaly, be they a quarter of all
        (60, 19, True),
        (60, 20, False),
        (2_001, 20, True),  # below 1 %
        (2_000, 20, False),
    ],
)
def test_few_lines_and_small_shares_are_no_shift(lines: int, broken: int, *, passed: bool) -> None:
    assert _shift({"lines": lines, "broken": broken}).passed is passed


def test_a_shift_is_at_least_twice_the_usual_share() -> None:
    usual = _past(lines=10_000, broken=300)
    assert _shift({"lines": 10_000, "broken": 599}, usual).passed
    assert not _shift({"lines": 10_000, "broken": 600}, usual).passed


def test_what_chance_explains_is_no_shift() -> None:
    usual = _past(lines=200, broken=20)
    # P(X >= 40 | 200, 0.1) is at most exp(-200 KL(0.2 || 0.1)) = exp(-8.87): not rare enough.
    assert _shift({"lines": 200, "broken": 40}, usual).passed
    assert not _shift({"lines": 400, "broken": 80}, usual).passed


def test_a_new_producer_is_not_judged_by_a_past_it_does_not_have() -> None:
    assert _shift({"broken": 500}, _past(5)).passed
    assert not _shift({"broken": 500}, _past(6)).passed
    assert _shift({"broken": 500}, _past(24, lines=19)).passed
    assert not _shift({"broken": 500}, _past(24, lines=20)).passed
    assert _shift({"broken": 500}, [row for ago in range(169, 200) for row in _hour(ago)]).passed


def test_an_hour_that_was_bad_does_not_hide_the_next() -> None:
    assert not _shift({"broken": 40}, [*_past(24)[11:], *_past(11, broken=400)]).passed
    assert _shift({"broken": 400}, _past(24, broken=400)).passed


def test_the_part_of_the_run_is_judged_apart_from_its_hour() -> None:
    kept, broken = _hour(0, judged=True, lines=10_000, broken=50)
    late = [kept | {"run_lines": 950}, broken]
    assert judge_quarantine_shift(_counts(*_past(), kept, broken)).passed
    verdict = judge_quarantine_shift(_counts(*_past(), *late))
    assert not verdict.passed
    assert (verdict.culprits[0]["broken"], verdict.culprits[0]["lines"]) == (50, 1000)


def test_lines_that_tell_no_endpoint_are_held_against_their_source() -> None:
    broken = _hour(0, judged=True, lines=30, broken=30, endpoint_tag="(missing)",
                   rule="malformed_json", field="")  # fmt: skip
    rows = [*_past(), *_hour(0, judged=True), *broken]
    (culprit,) = judge_quarantine_shift(_counts(*rows)).culprits
    assert (culprit["endpoint_tag"], culprit["rule"]) == ("(any)", "malformed_json")


def test_clean_traffic_is_never_called_a_shift() -> None:
    """14 days of ten producers whose lines are refused at random, each hour judged once."""
    rng = random.Random(7)
    rows: list[dict] = []
    for ago in range(14 * 24):
        for name in range(10):
            lines = round(20 * 100 ** rng.random())
            share = 0.0005 * 4 ** (name % 5)  # 0.05 % to 12.8 %
            broken = sum(rng.random() < share for _ in range(lines))
            rows += _hour(ago, judged=True, source=f"s{name}", lines=lines, broken=broken)
    counts = _counts(*rows)
    verdict = judge_quarantine_shift(counts)
    assert verdict.passed, verdict.culprits
    assert verdict.figures["judged_hours"] == 3360
    assert judge_field_change(counts, _presence()).passed


PRESENCE = {
    "source": pl.String, "landed_hour_at": INSTANT, "field": pl.String, "lines": pl.Int64,
    "present": pl.Int64, "judged_lines": pl.Int64, "judged_present": pl.Int64,
    "run_lines": pl.Int64, "run_present": pl.Int64,
}  # fmt: skip


def _presence(now: tuple[int, int] = (0, 0), usual: int = 1000, hours: int = 24) -> pl.DataFrame:
    """Return the hours of a field that `usual` of 1,000 lines had, and now these of these."""
    rows = [("shop/*", NOW - ago * HOUR, "latencyMs", 1000, usual, None, None, 0, 0)
            for ago in range(1, hours + 1)]  # fmt: skip
    if now[0]:
        rows.append(("shop/*", NOW, "latencyMs", *now, *now, *now))
    return pl.DataFrame(rows, schema=PRESENCE, orient="row")


def _lost(*arguments: object, **changes: object):
    return judge_field_change(_counts(), _presence(*arguments, **changes))


def test_a_field_that_disappears_is_named() -> None:
    verdict = _lost((100, 0))
    assert verdict.culprits == [
        {"source": "shop/*", "field": "latencyMs", "change": "disappeared", "landed_hour_at": NOW,
         "lines": 100, "share": "0.0 %", "usual_share": "100.0 %"}
    ]  # fmt: skip
    assert "latencyMs of shop/* (disappeared)" in verdict.summary


def test_a_field_disappears_below_half_of_lines_that_nearly_all_had_it() -> None:
    assert _lost((100, 50)).passed
    assert not _lost((100, 49)).passed
    assert _lost((19, 0)).passed
    assert not _lost((20, 0)).passed
    assert _lost((100, 0), usual=949).passed
    assert not _lost((100, 0), usual=950).passed
    assert _lost((100, 0), hours=5).passed
    assert not _lost((100, 0), hours=6).passed


@pytest.mark.parametrize(
    ("rule", "field", "passed"),
    [
        ("wrong_type", "inputTokens", False),
        ("missing_field", "model", False),
        ("malformed_json", "", True),
        ("part_above_whole", "cacheReadTokens", True),
    ],
)
def test_a_field_of_another_type_is_named(rule: str, field: str, *, passed: bool) -> None:
    rows = [*_past(), *_hour(0, judged=True, broken=40, rule=rule, field=field)]
    verdict = judge_field_change(_counts(*rows), _presence())
    assert verdict.passed is passed
    assert [(one["field"], one["change"]) for one in verdict.culprits] == (
        [] if passed else [(field, rule)]
    )


def _landings(*moments: datetime, source: str = "shop/*") -> pl.DataFrame:
    return pl.DataFrame({"source": source, "landed_at": list(moments)},
                        schema={"source": pl.String, "landed_at": INSTANT})  # fmt: skip


def _every(gap: timedelta, count: int) -> list[datetime]:
    return [NOW - nth * gap for nth in range(count)]


def test_a_producer_is_quiet_once_its_silence_is_longer_than_its_habit() -> None:
    hourly = _landings(*_every(HOUR, 25))
    limit = find_habits(hourly, now=NOW)["limit"].item()
    assert timedelta(hours=2.8) < limit < timedelta(hours=3)
    assert judge_quiet(hourly, now=NOW + limit).passed
    verdict = judge_quiet(hourly, now=NOW + limit + timedelta(seconds=1))
    assert not verdict.passed
    assert verdict.culprits[0]["source"] == "shop/*"
    assert verdict.culprits[0]["last_landed_at"] == NOW
    assert verdict.culprits[0]["silence_minutes"] == limit // timedelta(minutes=1)


def test_a_producer_without_a_habit_is_never_quiet() -> None:
    later = NOW + timedelta(days=5)
    assert judge_quiet(_landings(*_every(3 * HOUR, 9)), now=later).passed
    assert not judge_quiet(_landings(*_every(3 * HOUR, 10)), now=later).passed
    assert judge_quiet(_landings(*_every(HOUR, 20)), now=later).passed
    assert not judge_quiet(_landings(*_every(HOUR, 21)), now=later).passed
    assert judge_quiet(_landings(), now=later).passed


def test_a_producer_that_is_long_gone_has_been_retired() -> None:
    assert judge_quiet(_landings(*_every(HOUR, 100)), now=NOW + timedelta(days=14)).passed


def test_a_night_without_files_is_a_habit() -> None:
    days = [NOW.replace(hour=8) - timedelta(days=day) for day in range(7)]
    moments = [day + timedelta(minutes=minute) for day in days for minute in range(0, 600, 5)]
    assert judge_quiet(_landings(*moments), now=max(moments) + 14 * HOUR).passed
    assert not judge_quiet(_landings(*moments), now=max(moments) + 20 * HOUR).passed


def test_a_producer_of_every_minute_is_missed_within_a_quarter_of_an_hour() -> None:
    often = _landings(*_every(timedelta(minutes=1), 3 * 1440))
    assert judge_quiet(often, now=NOW + timedelta(minutes=15)).passed
    assert not judge_quiet(often, now=NOW + timedelta(minutes=16)).passed


def test_producers_that_land_at_random_are_seldom_called_quiet() -> None:
    """Of 300 producers, each asked in the last moment of 20 gaps, at most 0.2 %."""
    rng, called = random.Random(11), 0
    for _ in range(300):
        moments = [NOW]
        while len(moments) < 80:
            moments.append(moments[-1] + timedelta(seconds=rng.expovariate(1 / 5400)))
        for nth in range(60, 80):
            called += not judge_quiet(_landings(*moments[:nth]), now=moments[nth]).passed
    assert called <= 12


def _look(**changes) -> pl.DataFrame:
    row = {
        "file": "a.jsonl", "told_lines": 100, "told_checksum": None, "found_checksum": None,
        "problem": None, "size_bytes": 20, "modified_at": at(-3600), "read_at": at(-60),
        "format": "jsonl", "lines": 100, "blank": 0, "file_modified_at": at(-3600),
        "complete_at": NOW,
    } | changes  # fmt: skip
    texts = ("told_checksum", "found_checksum", "problem", "format")
    return pl.DataFrame([row], schema_overrides=dict.fromkeys(texts, pl.String)
                        | dict.fromkeys(("lines", "blank", "told_lines"), pl.Int64)
                        | {"file_modified_at": INSTANT})  # fmt: skip


ABSENT_FILE = {"format": None, "lines": None, "blank": None, "file_modified_at": None}


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({}, None),
        ({"lines": 99}, "1 lines are missing"),
        ({"lines": 101}, "1 lines are too many"),
        ({"lines": 103, "blank": 3}, None),
        ({"lines": 100, "blank": 3}, None),
        ({"lines": 101, "file_modified_at": at(-3599)}, None),  # appended to since
        ({"lines": 101, "file_modified_at": at(-3599), "format": "csv"}, "1 lines are too many"),
        ({"lines": 99, "file_modified_at": at(-299)}, None),  # may still be appended to
        ({"lines": 99, "file_modified_at": at(-301)}, "1 lines are missing"),
        ({"lines": 99, "file_modified_at": at(-299), "format": "jsonl.gz"}, "1 lines are missing"),
        ({"told_checksum": "sha256:aa", "found_checksum": "sha256:aa"}, None),
        (
            {"told_checksum": "sha256:aa", "found_checksum": "sha256:ab"},
            "as many lines, but another checksum",
        ),
        (ABSENT_FILE, "nothing of the file was taken"),
        (ABSENT_FILE | {"modified_at": at(-299)}, None),  # may be on its way
        (ABSENT_FILE | {"complete_at": at(-3601)}, None),  # a backlog is being taken
        ({"problem": "it is no JSON", "told_lines": None}, "the manifest cannot be used: it is "),
        ({"lines": 99, "read_at": at(-7 * 86_400)}, "1 lines are missing"),
        ({"lines": 99, "read_at": at(-7 * 86_400 - 1)}, None),
    ],
)
def test_a_file_is_held_against_its_manifest(changes: dict, difference: str | None) -> None:
    verdict = judge_manifests(_look(**changes), now=NOW)
    assert verdict.passed is (difference is None)
    if difference:
        assert verdict.culprits[0]["file"] == "a.jsonl"
        assert str(verdict.culprits[0]["difference"]).startswith(difference)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"lines": 0}', None),
        (b'{"lines": 5, "checksum": null, "by": "x"}', None),
        (b'{"lines": 5, "checksum": "sha256:' + b"aB" * 32 + b'"}', None),
        (b'{"lines": 5, "checksum": "md5:' + b"a" * 32 + b'"}', "checksum"),
        (b'{"lines": 5, "checksum": "sha256:' + b"a" * 63 + b'"}', "checksum"),
        (b'{"lines": 5, "checksum": 7}', "checksum"),
        (b'{"lines": -1}', "`lines`"),
        (b'{"lines": true}', "`lines`"),
        (b'{"lines": 1.0}', "`lines`"),
        (b"[1]", "`lines`"),
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"", "no JSON"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why(content: bytes, problem: str | None) -> None:
    told = read_manifest(content)
    assert (told.lines is None) is (problem is not None)
    assert (problem or "") in (told.problem or "")


def _tagged(*tags: tuple[str, int], ago: int = 0, judged: bool = True) -> list[dict]:
    hours = (_hour(ago, judged=judged, endpoint_tag=tag, lines=lines) for tag, lines in tags)
    return [row for hour in hours for row in hour]


def _problems(*rows: dict) -> list[object]:
    return [one["problem"] for one in judge_endpoint_tags(_counts(*rows)).culprits]


def test_spellings_of_one_tag_are_named_with_the_one_to_keep() -> None:
    rows = _tagged(("checkout.aiSummary", 90), ("checkout.ai_summary", 30), ("chat.ask", 500))
    (culprit,) = judge_endpoint_tags(_counts(*rows)).culprits
    assert culprit["problem"] == "spelled in several ways"
    assert culprit["endpoint_tag"] == "checkout.aiSummary (90), checkout.ai_summary (30)"
    assert culprit["keep"] == "checkout.ai_summary"
    assert culprit["lines"] == 90
    assert "checkout.ai_summary everywhere" in culprit["fix"]


def test_spellings_that_nobody_sends_any_more_are_left_alone() -> None:
    old = _tagged(("checkout.aiSummary", 90), ("checkout.ai_summary", 9), ago=5, judged=False)
    assert _problems(*old, *_tagged(("chat.ask", 50))) == []
    assert _problems(*old, *_tagged(("checkout.aiSummary", 1))) == ["spelled in several ways"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("checkout.aiSummary", "/checkout/ai-summary", True),
        ("HTTPServer.get", "http_server.get", True),
        ("chat.v2", "chat.v_2", True),
        ("chat.v2", "chat.v3", False),
        ("chat.ask", "chat.asks", False),
        ("größe.messen", "Größe-Messen", True),
    ],
)
def test_tags_are_the_same_without_case_and_separators(one: str, other: str, *, same: bool) -> None:
    assert (normalise_tag(one) == normalise_tag(other)) is same


@pytest.mark.parametrize(
    ("tag", "path", "with_id"),
    [
        ("checkout.ai_summary", False, False),
        ("/api/v1/chat", True, False),
        ("https://shop.example/chat", True, False),
        ("v1/chat", True, False),
        ("chat.7f3c9a2b-1111-4222-8333-123456789abc", False, True),
        ("order_4711", False, True),
        ("order_471", False, False),
        ("chat.2026-11-23T10:00:00Z", False, True),
        ("chat.1763892000250", False, True),
        ("chat.deadbeef", False, False),
        ("chat.dead0eef", False, True),
        ("chat.gpt4o_v2", False, False),
    ],
)
def test_tags_by_url_or_id_are_seen(tag: str, *, path: bool, with_id: bool) -> None:
    assert (is_path(tag), holds_id(tag)) == (path, with_id)
    expected = ["holds an id"] * with_id or ["is a URL path"] * path
    assert _problems(*_tagged((tag, 1))) == expected


def test_missing_tags_count_above_five_per_cent_of_a_source() -> None:
    assert _problems(*_tagged(("chat.ask", 95), ("(missing)", 5))) == []
    assert _problems(*_tagged(("chat.ask", 94), ("(missing)", 6))) == ["missing"]
    assert _problems(*_tagged(("(missing)", 19))) == []
    assert _problems(*_tagged(("(missing)", 20))) == ["missing"]


def test_ever_more_tags_are_named() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    tags = [(f"area.{one}{two}", 3) for one in letters for two in letters]
    past = [row for ago in range(1, 7)
            for row in _tagged(*tags[:38], ago=ago, judged=False)]  # fmt: skip
    assert _problems(*past, *_tagged(*tags[38:57])) == []
    assert _problems(*past, *_tagged(*tags[38:58])) == ["more and more tags"]
    assert _problems(*_tagged(*tags[:200])) == []
    assert _problems(*_tagged(*tags[:201])) == ["more and more tags"]


def _measured(*rows: tuple[str, int, int, int, int], rule: str = KEPT) -> pl.DataFrame:
    """Return judged kept lines: endpoint, lines, without version, assumed production, left out."""
    return pl.DataFrame(
        [("shop/*", tag, rule, "userId", lines, lines, *others) for tag, lines, *others in rows],
        schema=["source", "endpoint_tag", "rule", "field", "lines", "judged_lines",
                "prompt_version_missing", "assumed_production", "left_out"],
        orient="row",
    )  # fmt: skip


def test_missing_prompt_versions_count_above_five_per_cent_of_a_producer() -> None:
    assert judge_prompt_versions(_measured(("chat.ask", 100, 5, 0, 0))).passed
    assert judge_prompt_versions(_measured(("chat.ask", 19, 19, 0, 0))).passed
    assert not judge_prompt_versions(_measured(("chat.ask", 20, 20, 0, 0))).passed
    verdict = judge_prompt_versions(_measured(("a.b", 900, 0, 0, 0), ("chat.ask", 100, 6, 0, 0)))
    assert [one["endpoint_tag"] for one in verdict.culprits] == ["chat.ask"]
    assert "Send the deploy's label" in verdict.summary


def test_lines_refused_for_raw_identifiers_name_their_producer_and_the_fix() -> None:
    assert judge_raw_identifiers(_measured(("chat.ask", 9, 0, 0, 0))).passed
    refused = _measured(("chat.ask", 1, 0, 0, 0), rule="raw_identifier")
    verdict = judge_raw_identifiers(refused)
    assert verdict.culprits == [
        {"source": "shop/*", "endpoint_tag": "chat.ask", "field": "userId", "lines": 1}
    ]
    assert "HMAC" in verdict.summary


def test_defaults_are_a_mix_only_where_other_traffic_comes_from() -> None:
    assert judge_production_mix(_measured(("chat.ask", 100, 0, 100, 0))).passed
    assert judge_production_mix(_measured(("chat.ask", 100, 0, 19, 81))).passed
    verdict = judge_production_mix(_measured(("chat.ask", 100, 0, 20, 0), ("a.b", 5, 0, 0, 1)))
    assert [(one["endpoint_tag"], one["mixed_lines"]) for one in verdict.culprits] == [
        ("chat.ask", 20)
    ]
    assert "dataMode and environment" in verdict.summary


@pytest.mark.parametrize(
    ("tag", "odd"),
    [("chat.test", True), ("qa.chat", True), ("Demo/chat", True), ("chat_staging", True),
     ("chat.latest", False), ("device.setup", False), ("contest.rank", False)],
)  # fmt: skip
def test_production_at_an_endpoint_that_says_it_is_none_is_a_mix(tag: str, *, odd: bool) -> None:
    assert judge_production_mix(_measured((tag, 40, 0, 0, 20))).passed is not odd
    assert judge_production_mix(_measured((tag, 40, 0, 0, 21))).passed
