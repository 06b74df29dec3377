"""Money in quarantine, missing usage and calls reported twice, after one real run of the job."""

import json
from datetime import timedelta
from decimal import Decimal
from random import Random

import dagster as dg
import duckdb
import polars as pl
import pytest

from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.orchestration.jobs import DOUBLES_JOB_NAME
from opsmeter_pipeline.storage.doubles import SERVED, count_pairs
from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import (
    DAY,
    NOON,
    PipelineHome,
    assert_balanced,
    call_opsmeter,
    failure_of,
    jsonl,
    payload,
    snapshot,
)

CALLS = 120
HEARD = 100
ONE = Decimal("0.0035")  # what `payload` costs, see there


def _at(seconds: float) -> str:
    return f"{NOON - timedelta(hours=2) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%fZ}"


def _call(number: int) -> dict[str, object]:
    """Return a call whose tokens no other has: 100 to 219 output tokens."""
    return {"inputTokens": 2_000 + 7 * number, "outputTokens": 100 + number}


def _app() -> list[dict[str, object]]:
    return [payload(f"app{n}", timestamp=_at(20 * n + 0.95), **_call(n)) for n in range(CALLS)]


def _gateway() -> list[dict[str, object]]:
    """Return the same calls as another layer tells them: up to a second off, in the next second."""
    lags = (0.0, 0.4, 1.0, -0.95)
    return [
        payload(f"gw{n}", endpointTag=None, timestamp=_at(20 * n + 0.95 + lags[n % 4]), **_call(n))
        for n in range(HEARD)
    ]


def _small_talk(name: str, seed: int) -> list[dict[str, object]]:
    """Return 1,500 calls of five minutes and fifteen sizes: two producers coincide all the time."""
    rng = Random(seed)
    return [
        payload(f"{name}{n}", endpointTag="small.talk", timestamp=_at(rng.uniform(0, 300)),
                inputTokens=rng.randint(5, 19), outputTokens=1)
        for n in range(1_500)
    ]  # fmt: skip


def _health(name: str) -> list[dict[str, object]]:
    """Return the same question at each full minute: same second, one signature."""
    return [payload(f"{name}{n}", timestamp=_at(60 * n), inputTokens=9) for n in range(60)]


def _to_the_minute(name: str, seed: int) -> list[dict[str, object]]:
    """Return calls whose producer cuts its times to the minute, of thirty sizes."""
    rng = Random(seed)
    return [
        payload(f"{name}{n}", timestamp=_at(60 * rng.randrange(60)),
                inputTokens=rng.randint(300, 329))
        for n in range(600)
    ]  # fmt: skip


REFUSED = (
    payload("q1", inputTokens="1000"),
    json.dumps(payload("q2"))[:-1] + ",}",
    payload("q3", inputTokens=None, outputTokens=None, status="cancelled"),
    payload("q4", inputTokens=None, outputTokens=None, status=499),
    payload("q5", status="odd", model="nobody-prices-this"),
    payload("q6", cacheReadTokens=5_000),
    payload("q7", status="odd", serviceTier="batch"),
    payload("q8", userId="ann@example.com"),
    payload("k1", attempt=1),
    payload("k1", attempt=1, outputTokens=200),
    payload("z1", inputTokens=0, outputTokens=0),
    payload("q9", model="ann@example.com", inputTokens=5),
)


@pytest.fixture(scope="module")
def filled(make_home: MakeHome) -> PipelineHome:
    home = make_home()
    home.land("app/2025-03-10.jsonl", jsonl(*_app()))
    home.land("gateway/2025-03-10.jsonl", jsonl(*_gateway()))
    for name, seed in (("left", 1), ("right", 2)):
        home.land(f"{name}/talk.jsonl", jsonl(*_small_talk(f"t-{name}", seed)))
        home.land(f"{name}/health.jsonl", jsonl(*_health(f"h-{name}")))
        home.land(f"{name}/minute.jsonl", jsonl(*_to_the_minute(f"m-{name}", seed)))
    home.land("shop/a.jsonl", jsonl(*REFUSED))
    home.take_all()
    return home


def test_held_back_money_is_estimated_per_rule_and_never_in_a_total(filled: PipelineHome) -> None:
    assert_balanced(filled)
    columns = "rule, source, lines, estimated_lines, estimated_cost_usd, unestimated_lines"
    conflict = ONE + 100 * Decimal("0.00001")
    assert sorted(filled.rows(f"SELECT {columns} FROM held_back")) == [
        ("conflicting_duplicate", "shop/a.*", 1, 1, conflict, 0),
        ("malformed_json", "shop/a.*", 1, 1, ONE, 0),
        ("missing_usage", "shop/a.*", 2, 0, None, 2),
        ("part_above_whole", "shop/a.*", 1, 1, ONE, 0),
        ("raw_identifier", "shop/a.*", 2, 1, ONE, 1),
        ("unknown_status", "shop/a.*", 2, 0, None, 2),
        ("wrong_type", "shop/a.*", 1, 1, ONE, 0),
    ]
    reasons = "SELECT line_number, unestimated_reason FROM quarantine WHERE estimated_cost_usd"
    assert sorted(filled.rows(f"{reasons} IS NULL")) == [
        (3, "no_tokens"), (4, "no_tokens"), (5, "unknown_model"), (7, "service_tier"),
        (12, "no_model"),
    ]  # fmt: skip


def test_missing_usage_is_counted_apart_from_zero_by_producer_endpoint_and_status(
    filled: PipelineHome,
) -> None:
    columns = "source, endpoint_tag, lines, missing_usage_lines, statuses, zero_usage_lines"
    assert filled.rows(f"SELECT {columns} FROM missing_usage") == [
        ("shop/a.*", "chat.reply", 12, 2, "499: 1, cancelled: 1", 1)
    ]


def test_the_command_tells_what_is_held_back(filled: PipelineHome) -> None:
    code, out, err = call_opsmeter("quarantine", "--json", home=filled.folder)
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert Decimal(told["estimated_cost_usd"]) == 5 * ONE + Decimal("0.001")
    assert (told["estimated_lines"], told["unestimated_lines"]) == (5, 5)
    by_rule = {rule["rule"]: rule for rule in told["rules"]}
    assert by_rule["missing_usage"]["estimated_cost_usd"] is None
    assert by_rule["wrong_type"]["unestimated_lines"] == 0
    code, out, _ = call_opsmeter("quarantine", home=filled.folder)
    assert "Held back: about 0.018500 USD by the tokens of 5 lines, in no total; of 5" in out


def _look(home: PipelineHome) -> dg.AssetCheckEvaluation:
    result = defs.resolve_job_def(DOUBLES_JOB_NAME).execute_in_process(
        instance=home.instance,
        resources={"home": home.resource},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    assert result.success, failure_of(result)
    (check,) = result.get_asset_check_evaluations()
    return check


def test_calls_reported_twice_are_found_and_coincidences_are_not(filled: PipelineHome) -> None:
    """Left and right coincide by the hundreds; only the gateway repeats what the app told."""
    before = snapshot(filled, tables=["events", "overview"])
    check = _look(filled)
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    (row,) = filled.resource.lake.read("FROM double_instrumentation").to_dicts()
    told = {name: row[name] for name in ("first_source", "first_endpoint_tag", "second_source",
            "second_endpoint_tag", "pairs", "signatures", "chance_pairs", "first_events",
            "second_events", "second_share", "models", "unpriced_pairs", "data_mode")}  # fmt: skip
    assert told == {
        "first_source": "app/*", "first_endpoint_tag": "chat.reply", "second_source": "gateway/*",
        "second_endpoint_tag": "(missing)", "pairs": 100, "signatures": 100, "chance_pairs": 0,
        "first_events": 120, "second_events": 100, "second_share": 1.0, "models": "gpt-4o",
        "unpriced_pairs": 0, "data_mode": "real",
    }  # fmt: skip
    calls = [_call(n) for n in range(HEARD)]
    assert row["cost_usd"] == sum(
        Decimal(call["inputTokens"]) * Decimal("0.0000025")
        + Decimal(call["outputTokens"]) * Decimal("0.00001")
        for call in calls
    )
    assert row["day"] == DAY
    assert row["sample_ids"] == "app99 = gw99, app98 = gw98, app97 = gw97"
    assert "app/* (chat.reply) and gateway/* ((missing)), 100 pairs" in check.description
    assert "same externalRequestId" in check.description
    assert snapshot(filled, tables=["events", "overview"]) == before


def test_the_coincidences_were_many_and_varied_enough_to_be_mistaken(
    filled: PipelineHome,
) -> None:
    counted = count_pairs(filled.resource.lake, DAY)
    seen = {
        row["first_source"]: row for row in counted.to_dicts() if row["first_source"] != "app/*"
    }
    talk, minute, health = (seen[f"left/{name}.*"] for name in ("talk", "minute", "health"))
    assert min(talk["pairs"], talk["chance_pairs"]) > 500
    assert (talk["signatures"], minute["signatures"], health["signatures"]) == (15, 30, 1)
    assert minute["pairs"] > 100
    assert minute["chance_pairs"] > 100
    assert (health["pairs"], health["first_events"]) == (60, 60)


def test_looking_again_replaces_what_was_found(filled: PipelineHome) -> None:
    code, out, err = call_opsmeter("doubles", "--json", home=filled.folder)
    assert (code, err) == (0, "")
    assert [row["pairs"] for row in json.loads(out)["doubles"]] == [100]
    code, out, _ = call_opsmeter("doubles", home=filled.folder)
    assert code == 0
    assert "Nothing was removed" in out
    assert filled.value("SELECT count(*) FROM double_instrumentation") == 1


def test_a_replay_estimates_the_same_again(filled: PipelineHome) -> None:
    before = snapshot(filled, tables=["quarantine"])
    assert filled.run(replay=True).success
    assert snapshot(filled, tables=["quarantine"]) == before
    assert_balanced(filled)


def test_no_person_stands_in_what_is_kept_of_a_refused_line(filled: PipelineHome) -> None:
    frame = filled.resource.lake.read("FROM quarantine").select(pl.col(pl.String))
    assert "ann" not in str(frame.rows())


def test_an_own_price_for_one_spelling_does_not_hide_that_two_names_are_one_model(prices) -> None:
    """Two layers may spell it differently, and only one spelling has an entry."""
    names = [("openai", "gpt-4o"), ("openai", "gpt-4o-2024-11-20"), ("acme", " House-1 ")]
    entry = "[[price]]\nprovider = '{}'\nmodel = '{}'\ninput_usd_per_mtok = 2\n"
    prices.settle("".join(entry.format(*name) for name in (names[1], ("acme", "house-1"))))
    prices.cost_per_input_token(*names)
    kept = prices.lake.read("FROM model_resolutions").rows()
    assert len(kept) == 5
    for order in (kept, kept[::-1]):
        prices.lake.transact(lambda con, rows=order: _rewrite(con, rows))
        served = {row[:2]: row[2] for row in prices.lake.read(SERVED).rows()}
        assert served == {names[0]: "gpt-4o", names[1]: "gpt-4o", names[2]: "house-1"}


def _rewrite(con: duckdb.DuckDBPyConnection, rows: list[tuple[object, ...]]) -> None:
    """Put the rows of `model_resolutions` down again in this order."""
    con.execute("DELETE FROM model_resolutions")
    con.executemany(f"INSERT INTO model_resolutions VALUES ({', '.join('?' * len(rows[0]))})", rows)
