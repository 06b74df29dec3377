"""Which versions are compared with what, and what is odd in how they are told."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from opsmeter_pipeline.drift import find_odd_versions, plan_pairs
from opsmeter_pipeline.drift.window import plan_window
from opsmeter_pipeline.model.errors import WindowError
from opsmeter_pipeline.model.tables import PROMPT_VERSION_FINDINGS

AS_OF = datetime(2026, 11, 23, 12, tzinfo=UTC)
TODAY = date(2026, 11, 23)


def timeline(*rows: tuple[str, int, int], endpoint: str = "chat.answer") -> pl.DataFrame:
    """Return days of traffic: version, how many days ago, attempts; each from 9:00 to 11:00."""
    nine = datetime(2026, 11, 23, 9, tzinfo=UTC)
    return pl.DataFrame(
        [
            {
                "environment": "prod", "endpoint_tag": endpoint, "prompt_version": version,
                "day": TODAY - timedelta(days=ago), "attempts": attempts,
                "first_hour_at": nine - timedelta(days=ago),
                "last_hour_at": nine + timedelta(hours=2) - timedelta(days=ago),
            }
            for version, ago, attempts in rows
        ]
    )  # fmt: skip


def plan(*rows: tuple[str, int, int]) -> dict[str, tuple[str, str | None]]:
    pairs = plan_pairs(timeline(*rows), as_of=AS_OF)
    return {
        row["prompt_version"]: (row["compared_with"], row["baseline_version"])
        for row in pairs.to_dicts()
    }


def test_a_new_version_is_compared_with_the_one_it_replaced() -> None:
    told = plan(("v1", 9, 900), ("v2", 3, 50), ("v2", 2, 500), ("v1", 2, 9), ("v3", 1, 10))
    assert told == {"v2": ("replaced", "v1"), "v3": ("replaced", "v2")}


@pytest.mark.parametrize(("ago", "told"), [(6, ("replaced", "v1")), (8, ("past", "v2"))])
def test_a_version_is_new_for_seven_days(ago: int, told: tuple[str, str]) -> None:
    days = [("v2", day, 10) for day in range(ago + 1)]
    assert plan(("v1", ago + 1, 900), *days)["v2"] == told


def test_both_sides_begin_at_a_fixed_moment() -> None:
    rows = plan_pairs(timeline(("v1", 9, 9), ("v1", 0, 9), ("v2", 0, 9)), as_of=AS_OF).to_dicts()
    past, deploy = rows
    assert (past["new_from"], past["new_to"]) == (datetime(2026, 11, 22, tzinfo=UTC), AS_OF)
    assert past["baseline_from"] == datetime(2026, 11, 15, tzinfo=UTC)
    assert past["baseline_to"] == past["new_from"]
    assert (deploy["new_from"], deploy["baseline_to"]) == (AS_OF.replace(hour=9), AS_OF)
    assert deploy["baseline_from"] == AS_OF.replace(hour=9) - timedelta(days=7)


def test_a_version_that_replaces_nothing_has_no_baseline() -> None:
    assert plan(("v1", 3, 900)) == {"v1": ("replaced", None)}
    assert plan(("(missing)", 9, 9), ("(missing)", 0, 9))["(missing)"] == ("past", "(missing)")


def test_a_told_version_is_a_baseline_before_an_untold_one() -> None:
    told = plan(("(missing)", 2, 9_000), ("v1", 2, 5), ("v2", 1, 9))
    assert told["v2"] == ("replaced", "v1")
    assert plan(("(missing)", 2, 9_000), ("v2", 1, 9))["v2"] == ("replaced", "(missing)")


def test_calls_without_an_endpoint_and_versions_per_call_are_not_compared() -> None:
    hashes = [(f"v{number:02}", 0, 5) for number in range(21)]
    assert plan(("old", 9, 9), *hashes) == {}
    assert len(plan(("old", 9, 9), *hashes[:20])) == 20
    nobody = timeline(("v1", 1, 9), ("v2", 0, 9), endpoint="(missing)")
    assert plan_pairs(nobody, as_of=AS_OF).is_empty()
    assert plan_pairs(nobody.clear(), as_of=AS_OF).is_empty()


def odd(*rows: tuple[str, int, int]) -> list[tuple[str, str, int]]:
    found = find_odd_versions(timeline(*rows), as_of=AS_OF, now=AS_OF)
    assert found.schema == PROMPT_VERSION_FINDINGS.schema
    return found.select("finding", "prompt_version", "attempts").rows()


@pytest.mark.parametrize(
    ("attempts", "found"), [(5, [("no_version", "(missing)", 5)]), (4, [])]
)  # fmt: skip
def test_a_share_without_a_version_is_told_from_five_percent_on(
    attempts: int, found: list[tuple[str, str, int]]
) -> None:
    assert odd(("v1", 0, 100 - attempts), ("(missing)", 0, attempts)) == found


def test_little_traffic_is_not_judged() -> None:
    assert odd(("(missing)", 0, 49)) == []
    assert odd(("(missing)", 0, 50)) == [("no_version", "(missing)", 50)]


def test_a_version_that_comes_back_is_told() -> None:
    gone = [("v1", 9, 99), ("v2", 5, 99), ("v2", 2, 99)]
    assert odd(*gone, ("v1", 0, 99)) == [("returned", "v1", 99)]
    assert odd(("v1", 9, 99), ("v1", 0, 99)) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [(5, 95, [("lingering", "v1", 5)]), (4, 96, []), (50, 50, [("lingering", "v1", 50)]),
     (51, 49, [])],
)  # fmt: skip
def test_an_old_version_that_keeps_serving_is_told_once_the_new_one_is_rolled_out(
    old: int, new: int, found: list[tuple[str, str, int]]
) -> None:
    days = [(name, ago, 50) for ago in (2, 1) for name in ("v1", "v2")]
    assert odd(("v1", 5, 99), *days, ("v1", 0, old), ("v2", 0, new)) == found


def test_a_version_that_was_deployed_yesterday_may_still_be_rolling_out() -> None:
    assert odd(("v1", 2, 99), ("v1", 1, 50), ("v1", 0, 40), ("v2", 1, 50), ("v2", 0, 60)) == []


def test_a_version_per_call_is_told_with_an_example() -> None:
    hashes = [(f"v{number:02}", 0, 5) for number in range(21)]
    found = find_odd_versions(timeline(("old", 9, 9), *hashes), as_of=AS_OF, now=AS_OF)
    row = found.row(0, named=True)
    assert (row["finding"], row["prompt_version"], row["versions"]) == ("exploding", "", 21)
    assert "such as v00" in row["detail"]


def test_a_window_ends_with_the_present_hour_and_has_thirty_days() -> None:
    now = AS_OF + timedelta(minutes=20)
    assert plan_window(now=now) == (AS_OF - timedelta(days=30, hours=-1), AS_OF.replace(hour=13))
    asked = plan_window(now=now, start="2026-11-20T00:00:00+02:00", end="2026-11-21T00:00:00Z")
    assert asked == (datetime(2026, 11, 19, 22, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC))


@pytest.mark.parametrize(
    "asked",
    [
        {"start": "2026-11-20T00:30:00Z"},
        {"start": "2026-11-20"},
        {"start": "2026-11-20T00:00:00"},
        {"start": "2026-11-24T00:00:00Z"},
        {"window": "5m"},
        {"window": "999999w"},
        {"start": "2026-11-20T00:00:00Z", "window": "1d"},
    ],
)
def test_a_window_that_is_none_is_refused(asked: dict[str, str]) -> None:
    with pytest.raises(WindowError):
        plan_window(now=AS_OF, **asked)
