"""What people read after a run: production only, what is left out named, sums exact."""

from dataclasses import replace
from decimal import Decimal

import pytest

from opsmeter_pipeline.views import VIEWS
from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import PipelineHome, failure_of, jsonl, payload

PRODUCTION_VIEWS = ("overview", "top_endpoints", "top_users", "prompt_versions")


@pytest.fixture(scope="module")
def viewed(make_home: MakeHome) -> PipelineHome:
    """Three production requests that cost 0.0035, 0.0345 and an unknown sum; three others."""
    home = make_home()
    home.land(
        "a.jsonl",
        jsonl(
            payload("p1", latencyMs=100),
            payload("p2", endpointTag="doc.sum", userId="u2", outputTokens=3200, status="429"),
            payload("p3", endpointTag="doc.sum", userId="u2", model="nobody-knows-1"),
            payload("x1", dataMode="test", outputTokens=200),
            payload("x2", environment="staging", endpointTag="doc.sum", outputTokens=300),
            payload("x3", dataMode="demo", environment="dev", endpointTag="only.tests"),
        ),
    )
    assert home.take_all() == 1
    return home


def test_the_overview_shows_production_and_says_what_it_leaves_out(viewed: PipelineHome) -> None:
    assert viewed.rows(
        """SELECT day::VARCHAR, requests, attempts, cost_usd, unpriced_attempts, failures,
            input_tokens, output_tokens, left_out_attempts, left_out_cost_usd FROM overview"""
    ) == [
        ("2025-03-10", 3, 3, Decimal("0.038000000000000000"), 1, 1,
         3000, 3400, 3, Decimal("0.013500000000000000")),
    ]  # fmt: skip


def test_endpoints_are_ranked_by_cost_without_tests_and_staging(viewed: PipelineHome) -> None:
    # 0.0345 of 0.038 and 0.0035 of 0.038
    assert viewed.rows(
        """SELECT endpoint_tag, requests, cost_usd, share_of_cost, unpriced_share, error_share,
            left_out_attempts, left_out_cost_usd FROM top_endpoints"""
    ) == [
        ("doc.sum", 2, Decimal("0.034500000000000000"), 0.907895, 0.5, 0.5,
         1, Decimal("0.005500000000000000")),
        ("chat.reply", 1, Decimal("0.003500000000000000"), 0.092105, 0.0, 0.0,
         1, Decimal("0.004500000000000000")),
    ]  # fmt: skip


@pytest.mark.parametrize("view", PRODUCTION_VIEWS)
def test_shares_sum_to_one_and_costs_to_the_events_cost(viewed: PipelineHome, view: str) -> None:
    shares, cost = viewed.rows(f"SELECT sum(share_of_cost), sum(cost_usd) FROM {view}")[0]
    assert shares == pytest.approx(1, abs=1e-5)
    assert cost == Decimal("0.038")
    assert cost == viewed.value(
        "SELECT sum(cost_usd) FROM events WHERE data_mode = 'real' AND environment = 'prod'"
    )


def test_what_is_shown_and_left_out_is_all_there_is(viewed: PipelineHome) -> None:
    assert viewed.rows(
        "SELECT sum(attempts + left_out_attempts), sum(cost_usd + left_out_cost_usd) FROM overview"
    ) == viewed.rows("SELECT count(*), sum(cost_usd) FROM events")


@pytest.mark.parametrize("table", ["attribution_hourly", "users_daily", "ingest_batches"])
def test_every_cut_sums_up_to_the_events_to_the_last_decimal(
    viewed: PipelineHome, table: str
) -> None:
    assert viewed.value(f"SELECT sum(cost_usd) FROM {table}") == Decimal("0.0515")
    assert viewed.value("SELECT sum(cost_usd) FROM events") == Decimal("0.0515")


def test_a_day_without_production_shows_zeros_and_no_ratios(make_home: MakeHome) -> None:
    home = make_home()
    home.land("a.jsonl", jsonl(payload("x1", dataMode="test")))
    assert home.take_all() == 1
    assert home.rows(
        """SELECT requests, attempts, redeliveries, cost_usd, inferred_cost_usd, input_tokens,
            unpriced_attempts, failures, left_out_attempts, left_out_cost_usd FROM overview"""
    ) == [(0, 0, 0, Decimal(0), Decimal(0), 0, 0, 0, 1, Decimal("0.0035"))]
    assert home.rows(
        """SELECT share_of_cost, cost_per_request_usd, unpriced_share, tokens_per_request,
            error_share, latency_p50_ms, latency_p95_ms FROM overview"""
    ) == [(None,) * 7]
    assert [home.rows(f"FROM {view}") for view in PRODUCTION_VIEWS[1:]] == [[], [], []]
    assert _nulls_untold(home) == []


def test_only_the_columns_that_say_so_are_null(viewed: PipelineHome) -> None:
    assert _nulls_untold(viewed) == []


def _nulls_untold(home: PipelineHome) -> list[tuple[str, str]]:
    found = []
    for view in VIEWS:
        names = [column.name for column in view.columns if not column.nullable]
        counts = ", ".join(f"count(*) FILTER ({name} IS NULL)" for name in names)
        (nulls,) = home.rows(f"SELECT {counts} FROM {view.name}")
        found += [(view.name, name) for name, n in zip(names, nulls, strict=True) if n]
    return found


def test_a_day_is_a_utc_day_whatever_the_readers_time_zone(viewed: PipelineHome) -> None:
    sql = "SELECT day::VARCHAR, attempts, latency_p95_ms IS NULL FROM overview"
    with viewed.resource.lake.connect(read_only=True) as con:
        con.execute("SET TimeZone = 'Pacific/Kiritimati'")  # 14 hours ahead: there it is the 11th
        assert con.execute(sql).fetchall() == [("2025-03-10", 3, False)]


def test_percentiles_are_within_their_stated_error(viewed: PipelineHome) -> None:
    p50 = viewed.value("SELECT latency_p50_ms FROM top_endpoints WHERE endpoint_tag = 'doc.sum'")
    assert p50 == pytest.approx(250, rel=0.0101)
    p50 = viewed.value("SELECT latency_p50_ms FROM top_users WHERE user_id = 'u1'")
    assert p50 == pytest.approx(100, rel=0.18)


def test_a_model_without_a_price_is_listed_and_costs_null(viewed: PipelineHome) -> None:
    (row,) = viewed.rows(
        """SELECT provider, model, unpriced_reason, requests, unpriced_attempts, attempts,
            input_tokens, output_tokens, tenants, unbounded_attempts, unpriced_low_usd,
            unpriced_high_usd, suggestion FROM unpriced_models"""
    )
    # 1,000 and 100 tokens, by the cheapest and the dearest model of the provider on 10 March 2025
    low, high = Decimal("0.000034"), Decimal("0.21")
    assert row[:-1] == ("openai", "nobody-knows-1", "unknown_model", 1, 1, 1, 1_000, 100, 1, 0,
                        low, high)  # fmt: skip
    assert row[-1].startswith("No name is like it. Give it a price")
    for view in PRODUCTION_VIEWS:
        share = 0.666667 if view == "overview" else 0.5
        assert viewed.rows(
            f"SELECT sum(unpriced_low_usd), sum(unpriced_high_usd), min(priced_share) FROM {view}"
        ) == [(low, high, share)]
    assert viewed.rows(
        "SELECT cost_usd, price_id, unpriced_reason FROM events WHERE cost_usd IS NULL"
    ) == [(None, None, "unknown_model")]


def test_a_group_that_is_all_unpriced_costs_null_and_attempts_per_success_count_failures(
    make_home: MakeHome,
) -> None:
    home = make_home()
    home.land("a.jsonl", jsonl(
        payload("a", endpointTag="a.b", attempt=1, status="error"),
        payload("a", endpointTag="a.b", attempt=2),
        payload("b", endpointTag="a.b", attempt=1),
        payload("c", endpointTag="c.d", model="nobody-knows-1"),
        payload("d", endpointTag="e.f", status="timeout"),
    ))  # fmt: skip
    assert home.take_all() == 1
    assert home.rows(
        "SELECT endpoint_tag, cost_usd, failed_cost_usd, attempts_per_success, "
        "cost_per_success_usd FROM top_endpoints"
    ) == [
        ("a.b", Decimal("0.0105"), Decimal("0.0035"), 1.5, 0.00525),
        ("e.f", Decimal("0.0035"), Decimal("0.0035"), None, None),
        ("c.d", None, Decimal(0), 1.0, None),
    ]


def test_nothing_is_published_while_a_view_loses_money(
    home: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = [
        replace(view, sql=f"FROM ({view.sql}) WHERE cost_usd < 0.005")
        if view.name == "top_users"
        else view
        for view in VIEWS
    ]
    monkeypatch.setattr("checks.cube.VIEWS", views)
    home.land("a.jsonl", jsonl(payload("a"), payload("b", userId="u2", inputTokens=9000)))
    result = home.run()
    assert not result.success
    assert "views_equal_events: 5 sums of top_users are not those" in failure_of(result)
    assert home.value("SELECT count(*) FROM events") == 0
