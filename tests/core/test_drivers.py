"""Why a window costs more: each kind of spike with parts worked out by hand, and odd windows."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from opsmeter_pipeline.drivers import explain_change
from opsmeter_pipeline.drivers.classify import CLASSES, Finding
from opsmeter_pipeline.drivers.controls import Control
from opsmeter_pipeline.drivers.dimensions import OTHERS, choose_dimensions
from opsmeter_pipeline.drivers.rows import MEANINGS, build_rows
from opsmeter_pipeline.drivers.windows import plan_comparison
from opsmeter_pipeline.model.errors import DimensionError, SumsDifferError, WindowError
from tests.core.drivers_scenario import NEWEST, WINDOW, compare, explain, factors_of, group, side

D = Decimal
NOW = datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)


def first_of(why) -> tuple[Finding, Control]:
    return why.findings[0]


def test_more_requests_alone_are_volume() -> None:
    why = explain(group(side(100, "1.00"), side(150, "1.50")))
    assert factors_of(why) == {"volume": D("0.50")}
    assert why.spike_class == "volume"
    finding, control = first_of(why)
    assert finding.driver == {"endpoint_tag": "chat.reply"}
    assert ("requests", 100, 150) in finding.evidence
    assert "budget" in control.text


def test_growth_of_the_dearer_endpoint_is_volume_and_mix() -> None:
    """200 requests become 400; the share of b, at 0.03 each, goes from a half to three quarters.

    a: volume 0.01 x 200 x (0.5 + 0.25) / 2 = 0.75, mix 0.01 x 300 x -0.25 = -0.75;
    b: volume 0.03 x 200 x (0.5 + 0.75) / 2 = 3.75, mix 0.03 x 300 x 0.25 = 2.25.
    """
    why = explain(
        group(side(100, "1"), side(100, "1"), endpoint_tag="a"),
        group(side(100, "3"), side(300, "9"), endpoint_tag="b"),
    )
    assert factors_of(why) == {"volume": D("4.5"), "mix": D("1.5")}
    first, second = why.by["endpoint_tag"]
    assert (first.value, first.factors["volume"], first.factors["mix"]) == (
        "b",
        D("3.75"),
        D("2.25"),
    )
    assert (second.value, second.factors["volume"]) == ("a", D("0.75"))
    assert first_of(why)[0].driver == {"endpoint_tag": "b"}


def test_a_new_endpoint_is_volume_and_mix_and_divides_by_nothing() -> None:
    """a stays at 100 requests for 0.01; b brings 100 for 0.02: 100 requests become 200.

    a: volume 0.01 x 100 x (1 + 0.5) / 2 = 0.75, mix 0.01 x 150 x -0.5 = -0.75;
    b: volume 0.02 x 100 x (0 + 0.5) / 2 = 0.50, mix 0.02 x 150 x 0.5 = 1.50.
    """
    a, b = group(side(100, "1"), side(100, "1"), endpoint_tag="a"), {"endpoint_tag": "b"}
    why = explain(a, group(side(), side(100, "2"), **b))
    assert factors_of(why) == {"volume": D("1.25"), "mix": D("0.75")}
    gone = explain(a, group(side(100, "2"), side(), **b))
    assert factors_of(gone) == {"volume": D("-1.25"), "mix": D("-0.75")}
    assert gone.spike_class == "decrease"


PRICES = {"small": ("0.000001", "0.00001"), "large": ("0.00001", "0.0001")}


def test_a_deploy_that_answers_longer_is_an_efficiency_regression() -> None:
    """A request was 1000 x 0.000001 + 100 x 0.00001 = 0.002; with 200 output tokens it is 0.003."""
    why = explain(
        group(side(100, "0.200"), side(10, "0.020")),
        group(side(), side(90, "0.270", output_tokens=18_000), prompt_version="v2"),
        prices=PRICES,
    )
    assert factors_of(why) == {"tokens": D("0.090")}
    assert why.spike_class == "efficiency_regression"
    finding, control = first_of(why)
    assert finding.driver == {
        "endpoint_tag": "chat.reply", "prompt_version": "v2", "previous_prompt_version": "v1",
        "token_class": "output",
    }  # fmt: skip
    assert finding.evidence[0] == ("output_tokens_per_attempt", D(100), D(190))
    assert control.text.startswith("Roll chat.reply back from v2 to v1")
    assert "cap its output" in control.text
    assert [one.value for one in why.by["prompt_version"]] == ["v2", "v1"]


def test_growing_input_without_a_deploy_asks_to_cut_the_context() -> None:
    why = explain(group(side(100, "0.2"), side(100, "0.3", input_tokens=200_000)), prices=PRICES)
    assert factors_of(why) == {"tokens": D("0.1")}
    assert first_of(why)[1].text == "At chat.reply, cut the context it sends."


def test_the_same_tokens_at_twice_the_price_are_a_price_change() -> None:
    why = explain(group(side(100, "0.2"), side(100, "0.4")), prices=PRICES)
    assert factors_of(why) == {"price": D("0.2")}
    assert why.spike_class == "price_change"
    finding, _ = first_of(why)
    assert finding.driver == {"provider": "acme", "model": "small"}
    # 0.2 and 0.4 dollars for 110,000 tokens
    assert finding.evidence[0] == (
        "cost_usd_per_mtok", D("1.818181818182"), D("3.636363636364"),
    )  # fmt: skip


def test_what_two_factors_did_together_is_halved() -> None:
    """Tokens x 1.5 and price x 2: 0.2 becomes 0.6.

    tokens 0.1 x (1 + 2) / 2 = 0.15, price (0.2 + 0.3) / 2 x 1 = 0.25.
    """
    after = side(100, "0.6", output_tokens=20_000)
    why = explain(group(side(100, "0.2"), after), prices=PRICES)
    assert factors_of(why) == {"tokens": D("0.15"), "price": D("0.25")}


def test_more_attempts_per_request_are_a_retry_storm() -> None:
    why = explain(group(side(100, "1.0"), side(100, "1.8", attempts=180, failures=80)))
    assert factors_of(why) == {"retries": D("0.8")}
    assert why.spike_class == "retry_storm"
    finding, control = first_of(why)
    assert finding.evidence[:2] == [
        ("attempts_per_request", D(1), D("1.8")),
        ("failed_share_of_attempts", D(0), D("0.444444")),
    ]
    assert "retries" in control.text


def test_a_dear_model_that_takes_over_is_routing_drift() -> None:
    """At 0.001 and 0.01 an attempt: 90 + 10 cost 0.19, 50 + 50 cost 0.55."""
    why = explain(
        group(side(90, "0.09"), side(50, "0.05")),
        group(side(10, "0.10"), side(50, "0.50"), model="large"),
    )
    assert factors_of(why) == {"routing": D("0.36")}
    assert why.spike_class == "routing_drift"
    finding, control = first_of(why)
    assert finding.driver["model"] == "large"
    assert finding.evidence[0] == ("share_of_attempts", D("0.1"), D("0.5"))
    assert control.text.startswith("Route chat.reply back from large to small")


def test_a_fallback_to_a_dear_model_is_retries_and_routing() -> None:
    """100 requests on small become 100 and 100 retries on large, which have no request.

    small: 1 x a x m at 0.01, a 1 -> 2, m 1 -> 0.5: retries 0.75, routing -0.75;
    large, new at 0.03: retries 3 x 1 x (0 + 0.5) / 2 = 0.75, routing 3 x 1.5 x 0.5 = 2.25.
    """
    why = explain(
        group(side(100, "1"), side(100, "1")),
        group(side(), side(0, "3", attempts=100), model="large"),
    )
    assert factors_of(why) == {"retries": D("1.5"), "routing": D("1.5")}


def test_a_burst_of_one_tenant_is_concentration() -> None:
    rerank = {"endpoint_tag": "search.rerank"}
    why = explain(
        group(side(80, "0.8"), side(80, "0.8"), **rerank),
        group(side(20, "0.2"), side(520, "5.2"), **rerank, tenant_id="t2", user_id="u2"),
    )
    assert factors_of(why) == {"volume": D("5")}
    assert why.spike_class == "concentration"
    finding, control = first_of(why)
    assert finding.driver == {
        "endpoint_tag": "search.rerank", "tenant_id": "t2", "user_id": "u2",
    }  # fmt: skip
    assert ("tenant_requests", 20, 520) in finding.evidence
    assert control.text.startswith("Limit the tenant t2 at search.rerank")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((100, "1.0"), (180, "1.8")),  # 80 more requests, not doubled
        ((1_000, "10"), (2_100, "21")),  # doubled, but it was nearly all of the traffic before
        ((10, "0.1"), (59, "0.59")),  # 49 more are too few to tell from chance
    ],
)
def test_growth_of_a_tenant_that_is_no_burst_stays_volume(before, after) -> None:
    why = explain(
        group(side(100, "1"), side(100, "1"), tenant_id="t2", user_id="u2"),
        group(side(*before), side(*after)),
    )
    assert why.spike_class == "volume"


def test_rows_that_arrived_late_are_one_off_and_a_data_artefact() -> None:
    why = explain(
        group(side(100, "1"), side(100, "1")),
        group(side(), side(70, "0.7"), is_late=True),
    )
    assert factors_of(why) == {"one_off": D("0.7")}
    assert why.spike_class == "data_artefact"
    assert ("late_attempts", 0, 70) in first_of(why)[0].evidence


def test_history_that_was_loaded_at_once_is_not_one_off() -> None:
    why = explain(group(side(100, "1"), side(150, "1.5"), is_late=True))
    assert factors_of(why) == {"volume": D("0.5")}
    assert any("loaded at once" in one for one in why.caveats)


def test_a_price_that_was_found_moves_known_cost_not_use() -> None:
    """Half of the 100 attempts had no price before, none has now."""
    why = explain(group(side(100, "0.5", unpriced_attempts=50), side(100, "1.0")))
    assert factors_of(why) == {"unpriced": D("0.5")}
    assert why.spike_class == "data_artefact"
    assert "50 of 100 attempts in the previous window have no price" in why.caveats[0]


def test_attempts_without_a_price_are_told_apart_with_their_tokens() -> None:
    nameless = {"model": "private"}
    why = explain(
        group(side(100, "1"), side(100, "1")),
        group(side(), side(10, unpriced_attempts=10), **nameless),
    )
    (unknown,) = why.unpriced
    assert (unknown.within, unknown.value) == ("acme", "private")
    assert (unknown.pair.after.unpriced_attempts, unknown.pair.after.input_tokens) == (10, 10_000)
    assert "10 of 110 attempts in the window have no price" in why.caveats[0]


def test_nothing_but_unpriced_attempts_is_unknown_and_not_steady() -> None:
    unpriced = side(5, unpriced_attempts=5)
    why = explain(group(unpriced, unpriced))
    assert (why.spike_class, why.total.pair.change_usd) == ("unknown", 0)
    assert len(why.unpriced) == 1


def test_without_data_before_all_is_volume() -> None:
    why = explain(group(side(), side(10, "0.1")))
    assert factors_of(why) == {"volume": D("0.1")}
    assert why.caveats == ["There are no attempts in the previous window."]


def test_two_empty_windows_are_no_data() -> None:
    why = explain()
    assert (why.spike_class, factors_of(why), why.findings) == ("no_data", {}, [])
    assert build_rows(why, now=NOW)["change_usd"].to_list() == [0]


def test_attempts_whose_request_lies_outside_the_window_count_as_requests() -> None:
    why = explain(group(side(0, "1", attempts=10), side(20, "2")))
    assert factors_of(why) == {"volume": D("1")}


def test_a_fee_without_tokens_is_split_by_attempts() -> None:
    free = {"input_tokens": 0, "output_tokens": 0}
    why = explain(group(side(10, "1", **free), side(20, "3", **free)))
    # 10 -> 20 requests, 0.10 -> 0.15 each: volume 10 x 0.125, price 15 x 0.05
    assert factors_of(why) == {"volume": D("1.25"), "price": D("0.75")}


def test_a_third_is_placed_on_the_last_decimal_without_residual() -> None:
    """Retries, tokens and price double a cost of 1e-18 each: a third of 7e-18 is on no grid."""
    why = explain(
        group(
            side(1, "0.000000000000000001"),
            side(1, "0.000000000000000008", attempts=2, input_tokens=4000, output_tokens=400),
        ),
        prices=PRICES,
    )
    parts = factors_of(why)
    assert {name: int(part.scaleb(18)) for name, part in parts.items()} == {
        "retries": 3, "tokens": 2, "price": 2,
    }  # fmt: skip


def test_a_spike_needs_ten_per_cent() -> None:
    assert explain(group(side(1000, "10"), side(1099, "10.99"))).spike_class == "steady"
    assert explain(group(side(1000, "10"), side(1100, "11.00"))).spike_class == "volume"


def test_a_regression_is_named_although_the_total_falls() -> None:
    why = explain(
        group(side(1000, "10"), side(500, "5"), endpoint_tag="a"),
        group(side(100, "0.2"), side(100, "0.3", output_tokens=20_000)),
        prices=PRICES,
    )
    assert why.spike_class == "decrease"
    assert "efficiency_regression" in {one.spike_class for one, _ in why.findings}


def test_values_beyond_the_limit_are_one_row_and_still_sum_up() -> None:
    groups = [
        group(
            side(1, "1"), side(1, f"{n}"), tenant_id=f"t{n}", user_id=f"u{n}", endpoint_tag=f"e{n}"
        )
        for n in range(2, 9)
    ]
    why = explain_change(compare(*groups), WINDOW, limit=3)
    for changes in (why.by["tenant_id"], why.by["user_id"], why.by["endpoint_tag"]):
        assert [one.pair.change_usd for one in changes] == [7, 6, 5, 10]
        assert changes[-1].value == OTHERS
    others = why.by["endpoint_tag"][-1]
    assert sum(others.factors.values()) == 10


def test_rows_of_the_table_sum_up_and_say_what_to_do() -> None:
    why = explain(group(side(100, "1.0"), side(100, "1.8", attempts=180)))
    rows = build_rows(why, now=NOW)
    assert rows["dimension"].to_list() == [
        "total", "endpoint_tag", "prompt_version", "model", "tenant_id", "user_id",
    ]  # fmt: skip
    assert set(rows["change_usd"]) == {D("0.8")}
    assert rows["retries_usd"].to_list() == [D("0.8"), D("0.8"), None, D("0.8"), None, None]
    assert rows["driver"][0].startswith("retry_storm: endpoint_tag chat.reply")
    assert rows["verify_sql"].null_count() == 5


def test_cubes_that_disagree_are_refused() -> None:
    compared = compare(group(side(1, "1"), side(2, "2")))
    broken = compared.values.with_columns(
        pl.when(dimension="user_id").then(D("1.5")).otherwise("cost_usd").alias("cost_usd")
    )
    with pytest.raises(SumsDifferError, match=r"parts by user_id sum up to 0\.5"):
        explain_change(compared._replace(values=broken), WINDOW, limit=3)


def test_a_window_whose_end_has_not_arrived_is_told() -> None:
    compared = compare(group(side(1, "1"), side(1, "1")))
    late = compared._replace(newest_hour_at=NEWEST - timedelta(hours=1))
    assert "from 2026-11-22T23:00Z" in explain_change(late, WINDOW, limit=3).caveats[0]


def test_a_quote_in_a_name_stays_inside_the_query() -> None:
    _, control = first_of(explain(group(side(1, "1"), side(3, "3"), endpoint_tag="o'neil")))
    assert "endpoint_tag = 'o''neil'" in control.verify_sql


def test_every_class_has_a_meaning() -> None:
    assert set(MEANINGS) == set(CLASSES)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ({}, "2026-11-16T00", "2026-11-23T00"),
        ({"window": "1d"}, "2026-11-22T00", "2026-11-23T00"),
        ({"window": "24h"}, "2026-11-22T12", "2026-11-23T12"),
        ({"window": "2w"}, "2026-11-09T00", "2026-11-23T00"),
        ({"start": "2026-11-23T00:00:00Z"}, "2026-11-23T00", "2026-11-23T12"),
        ({"start": "2026-11-22T01:00:00+01:00", "window": "6h"}, "2026-11-22T00", "2026-11-22T06"),
        ({"end": "2026-11-20T05:00:00Z", "window": "1d"}, "2026-11-19T05", "2026-11-20T05"),
        ({"end": "2026-11-20T05:00:00Z"}, "2026-11-13T05", "2026-11-20T05"),
        (
            {"start": "2026-11-01T00:00:00Z", "end": "2026-11-01T01:00:00Z"},
            "2026-11-01T00",
            "2026-11-01T01",
        ),
    ],
)
def test_windows_are_those_asked_for_and_end_before_now(asked, start: str, end: str) -> None:
    one = plan_comparison(now=NOW, **asked)
    assert (f"{one.start_at:%Y-%m-%dT%H}", f"{one.end_at:%Y-%m-%dT%H}") == (start, end)
    assert one.start_at - one.previous_start_at == one.end_at - one.start_at == one.length


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"start": "2026-11-22T00:00:00"}, "no time zone"),
        ({"start": "2026-11-22"}, "not an RFC 3339"),
        ({"end": "yesterday"}, "not an RFC 3339"),
        ({"start": "2026-11-22T00:30:00Z"}, "no whole UTC hour"),
        ({"start": "2026-11-22T00:00:00+05:30"}, "no whole UTC hour"),
        ({"start": "2026-11-22T00:00:00Z", "end": "2026-11-21T00:00:00Z"}, "is not before"),
        ({"start": "2026-11-22T00:00:00Z", "end": "2026-11-22T00:00:00Z"}, "is not before"),
        ({"end": "2026-11-24T00:00:00Z"}, "not over yet"),
        ({"end": "2026-11-23T13:00:00Z"}, "not over yet"),
        ({"start": "2027-01-01T00:00:00Z"}, "is not before"),
        ({"start": "2026-11-23T00:00:00Z", "window": "7d"}, "not over yet"),
        ({"window": "0d"}, "no length"),
        ({"window": "1.5d"}, "no length"),
        ({"window": "\u0667d"}, "no length"),
        ({"window": "7"}, "no length"),
        ({"window": "-7d"}, "no length"),
        ({"window": "999999d"}, "too long"),
        ({"start": "9999-12-31T00:00:00Z", "window": "7d"}, "too long"),
        ({"start": "0001-01-01T00:00:00+01:00"}, "range"),
        (
            {"start": "2026-11-20T00:00:00Z", "end": "2026-11-21T00:00:00Z", "window": "1d"},
            "say it already",
        ),
    ],
)
def test_a_window_that_cannot_be_is_refused_with_the_reason(asked, why: str) -> None:
    with pytest.raises(WindowError, match=why):
        plan_comparison(now=NOW, **asked)


def test_a_dimension_that_is_none_is_refused() -> None:
    assert choose_dimensions("model, user_id,model") == ("model", "user_id")
    with pytest.raises(DimensionError, match="no dimension 'user'"):
        choose_dimensions("user")
