"""Each verdict and kind of regression by name, and what must hold of any comparison."""

import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsmeter_pipeline.drift import DRIFT_LIMITS, AlarmLimits, judge_drift
from opsmeter_pipeline.drift.alarm import find_conditions
from opsmeter_pipeline.drift.chart import draw_intervals
from opsmeter_pipeline.drift.evidence import is_beyond_chance, reach, weigh_evidence
from opsmeter_pipeline.drift.spread import read_p95
from opsmeter_pipeline.drift.verdicts import KINDS, VERDICTS, weigh_pairs
from opsmeter_pipeline.model.tables import OUTPUT_STEPS, PROMPT_VERSION_DRIFT
from tests.core.drift_scenario import GOLDEN, LONG, USUAL, Traffic, judge, sides

KEYS = ("pair", "is_new", "provider", "model", "tenant_id")


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_scenarios_come_to_their_verdict(name: str) -> None:
    old, new, verdict, kind = GOLDEN[name]
    row = judge(sides(old, new))
    assert (row["verdict"], row["regression_type"]) == (verdict, kind)
    assert (row["control"] is None) == (kind is None)


def test_each_verdict_and_kind_of_regression_has_a_scenario() -> None:
    assert {verdict for *_, verdict, _ in GOLDEN.values()} == {*VERDICTS}
    assert {kind for *_, kind in GOLDEN.values() if kind} == {*KINDS}


def test_a_row_tells_change_interval_confidence_and_dollars() -> None:
    row = judge(sides([USUAL], [LONG]))
    assert row.keys() == PROMPT_VERSION_DRIFT.schema.keys()
    assert row["output_change"] == pytest.approx(0.15, abs=0.002)
    assert 0.05 < row["output_change_low"] < 0.15 < row["output_change_high"] < 0.30
    assert row["measure"] in ("output_tokens", "output_mean")
    assert 0.999 < row["confidence"] <= 1
    assert row["input_change"] == pytest.approx(0)
    # 1,000 + 230 tokens where there were 1,000 + 200: a fortieth more, of each day's exact cost.
    day = Decimal(repr(round(LONG.to_cell(is_new=True)["cost"], 9)))
    assert float(row["monthly_usd"]) == pytest.approx(float(30 * day * 30 / 1230), rel=0.01)
    assert isinstance(row["monthly_usd"], Decimal)
    assert row["monthly_low_usd"] < row["monthly_usd"] < row["monthly_high_usd"]


@pytest.mark.parametrize(("attempts", "times"), [(199, 0), (200, 1)])
def test_a_measure_needs_its_least_sample(attempts: int, times: int) -> None:
    cells = sides([USUAL], [replace(USUAL, attempts=attempts)])
    assert weigh_pairs(cells, DRIFT_LIMITS)["measure"].to_list().count("output_tokens") == times


@pytest.mark.parametrize(("factor", "verdict"), [(1.049, "same"), (1.052, "regressed")])
def test_a_sure_change_below_the_least_one_is_the_same(factor: float, verdict: str) -> None:
    many = replace(USUAL, attempts=1_000_000)
    new = replace(many, output_median=200 * factor)
    assert judge(sides([many], [new]))["verdict"] == verdict


def test_calls_without_a_price_are_judged_by_their_tokens() -> None:
    old, new = replace(USUAL, unpriced=True), replace(LONG, unpriced=True)
    row = judge(sides([old], [new]))
    assert (row["verdict"], row["regression_type"]) == ("regressed", "verbosity")
    assert row["monthly_usd"] is None
    assert row["priced_share"] == 0


def test_a_version_of_which_more_has_no_price_is_not_called_the_same() -> None:
    """Half of its calls go to a model without a price, whose tokens are in no common group."""
    half = replace(USUAL, attempts=2_000)
    unknown = replace(half, model="nobody-knows", unpriced=True, output_median=18_000)
    row = judge(sides([USUAL], [half, unknown]))
    assert (row["verdict"], row["control"]) == ("not_enough_data", None)
    assert row["driver"].startswith("not_enough_data: more of its attempts than before have no")
    assert row["cost_per_request_usd"] == pytest.approx(row["baseline_cost_per_request_usd"])
    # As many as before without a price are no news.
    assert judge(sides([half, unknown], [half, unknown]))["verdict"] == "same"
    # What is seen to be worse is worse.
    longer = replace(LONG, attempts=3_900)
    few = replace(unknown, attempts=100)
    assert judge(sides([USUAL], [longer, few]))["verdict"] == "regressed"


def test_answers_of_no_tokens_are_compared_by_their_input() -> None:
    silent = replace(USUAL, output_median=1e-9)
    assert judge(sides([silent], [replace(silent, input_median=1_300)]))["verdict"] == "regressed"


def test_what_two_measures_say_is_decided_by_cost() -> None:
    shorter = replace(LONG, input_median=500)
    assert judge(sides([USUAL], [shorter]))["verdict"] == "improved"
    assert judge(sides([shorter], [USUAL]))["verdict"] == "regressed"


def test_a_failed_call_is_no_short_answer() -> None:
    half = replace(USUAL, attempts=8_000, failures=4_000)
    row = judge(sides([USUAL], [half]))
    assert row["regression_type"] == "retry_multiplier"
    assert row["output_change"] == pytest.approx(0)
    assert row["attempts_per_success"] == 2


def test_without_a_baseline_there_is_nothing_to_tell() -> None:
    row = judge(sides([], [USUAL]), baseline_version=None)
    assert (row["verdict"], row["baseline_requests"]) == ("not_enough_data", 0)
    assert "nothing to compare it with" in row["driver"]


traffic = st.builds(
    Traffic,
    attempts=st.integers(1, 20_000),
    input_median=st.floats(50, 5_000),
    output_median=st.floats(5, 2_000),
    spread=st.floats(0.1, 1.5),
    output_tail=st.floats(0, 0.2),
    price=st.sampled_from([1e-7, 1e-6, 1e-5]),
    tenant=st.sampled_from(["h_a", "h_b", "h_c"]),
    model=st.sampled_from(["gpt-5", "gpt-5-mini"]),
)
groups = st.lists(traffic, min_size=1, max_size=3, unique_by=lambda one: (one.tenant, one.model))


def _told(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: pytest.approx(value, rel=1e-6, abs=1e-6) if isinstance(value, float) else value
        for name, value in row.items()
        if not isinstance(value, Decimal)
    }


@settings(max_examples=25, deadline=None)
@given(groups, groups)
def test_batches_and_their_order_do_not_matter(old: list[Traffic], new: list[Traffic]) -> None:
    cells = sides(old, new)
    numbers = [name for name in cells.columns if name not in KEYS]
    whole = pl.concat([cells, cells]).group_by(KEYS).agg(pl.col(numbers).sum())
    halves = pl.concat([cells, cells.reverse()])
    assert _told(judge(halves)) == _told(judge(whole.sort(KEYS)))


@settings(max_examples=25, deadline=None)
@given(groups, groups)
def test_what_regressed_one_way_improved_the_other(old: list[Traffic], new: list[Traffic]) -> None:
    there, back = judge(sides(old, new)), judge(sides(new, old))
    opposite = {"regressed": "improved", "improved": "regressed"}
    assert back["verdict"] == opposite.get(there["verdict"], there["verdict"])
    # As sets: money per request and per token may speak equally loud, but for a float's last digit.
    assert {*back["moved"].split(", ")} == {*there["moved"].split(", ")}


def _weigh(estimate: float, variance: float) -> float:
    frame = pl.DataFrame({"d": [estimate], "v": [variance]})
    return frame.select(weigh_evidence(pl.col("d"), pl.col("v"), pl.lit(0.1))).item()


@given(st.floats(1e-6, 0.05))
def test_the_interval_ends_where_the_evidence_is_enough(variance: float) -> None:
    frame = pl.DataFrame({"v": [variance]})
    radius = frame.select(reach(pl.col("v"), pl.lit(0.1), evidence=pl.lit(200.0))).item()
    assert _weigh(radius, variance) == pytest.approx(math.log(200), rel=1e-9)


@given(st.floats(1e-6, 1.0))
def test_evidence_of_pure_chance_is_one_on_average(variance: float) -> None:
    """The mean of e over a normal estimate, by a sum over its density: what makes it an e-value."""
    width = math.sqrt(variance)
    points = [width * step / 50 for step in range(-600, 601)]
    density = [
        math.exp(-(x * x) / (2 * variance)) / (width * math.sqrt(2 * math.pi)) for x in points
    ]
    frame = pl.DataFrame({"d": points}).select(
        weigh_evidence(pl.col("d"), pl.lit(variance), pl.lit(min(0.1, width))).exp().alias("e")
    )
    mean = sum(e * p for e, p in zip(frame["e"], density, strict=True)) * width / 50
    assert mean == pytest.approx(1, abs=0.01)


def test_among_many_tests_each_must_be_stronger() -> None:
    def told(log: list[float]) -> list[bool]:
        frame = pl.DataFrame({"log": log})
        return frame.select(
            is_beyond_chance(pl.col("log"), evidence=200, false_share=0.1)
        )["log"].to_list()  # fmt: skip

    just = math.log(201)
    assert told([just]) == [True]
    assert told([math.log(199)]) == [False]
    assert told([just] + [0.0] * 99) == [False] + [False] * 99
    assert told([math.log(1001)] + [0.0] * 99) == [True] + [False] * 99
    assert told([just] * 5 + [0.0] * 95) == [True] * 5 + [False] * 95


@pytest.mark.parametrize("median", [60, 300, 1_500])
def test_a_percentile_of_log_normal_tokens_is_read_back(median: float) -> None:
    side = replace(USUAL, output_median=median, attempts=100_000).to_cell(is_new=True)
    above = [side[f"output_above_{one}_tokens"] for one in OUTPUT_STEPS]
    found = read_p95(OUTPUT_STEPS, above, count=100_000)
    assert found == pytest.approx(median * math.exp(0.8 * 1.645), rel=0.02)


@pytest.mark.parametrize(
    ("median", "limits", "found"),
    [
        (270, AlarmLimits(0.5, 0.34), 1),
        (270, AlarmLimits(0.5, 0.36), 0),
        (400, AlarmLimits(0.16, 9), 1),
        (400, AlarmLimits(0.18, 9), 0),
    ],
)
def test_the_check_and_the_incident_follow_the_limits(
    median: int, limits: AlarmLimits, found: int
) -> None:
    """Answers of 270 tokens for 200 are 35 % more; of 400, all of a call is 1,400 for 1,200."""
    row = judge(sides([USUAL], [replace(USUAL, output_median=median)]))
    rows = pl.DataFrame([row], schema=PROMPT_VERSION_DRIFT.schema)
    verdict, conditions = judge_drift(rows, limits), find_conditions(rows, limits)
    assert (verdict.passed, len(conditions)) == (not found, found)
    if found:
        assert "chat.answer v2 against v1: verbosity" in verdict.summary
        assert conditions[0].key == ("prod/chat.answer/v2", "prompt_drift", "replaced")
        assert conditions[0].next_step.startswith("Ask for shorter answers")


def test_an_improvement_raises_no_alarm() -> None:
    row = judge(sides([replace(USUAL, output_median=400)], [USUAL]))
    rows = pl.DataFrame([row], schema=PROMPT_VERSION_DRIFT.schema)
    assert row["verdict"] == "improved"
    assert judge_drift(rows, AlarmLimits()).passed
    assert judge_drift(rows.clear(), AlarmLimits()).figures["versions"] == 0


def test_a_chart_stays_within_its_width() -> None:
    drawn = draw_intervals([("a", 3.0, 0.2, 9.0), ("long name", -0.9, -0.95, -0.5)])
    assert [len(line.split("%")[0]) < 80 for line in drawn.splitlines()] == [True] * 3
    assert draw_intervals([]) == ""
