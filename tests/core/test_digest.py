"""What a week's digest says: sums, what to do, what is missing; and that names are never markup."""

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsmeter_pipeline.digest import Facts, Week, compose, plan_week, to_html, to_markdown
from opsmeter_pipeline.digest.facts import Budget, Burst, Deploy, Driver, Part, Sums, Trust
from opsmeter_pipeline.digest.page import Grid, Page, Section, Step
from opsmeter_pipeline.model.documents import to_json
from opsmeter_pipeline.model.errors import WeekError

D = Decimal
NOW = datetime(2026, 11, 23, 6, tzinfo=UTC)
WEEK = Week(date(2026, 11, 16))
USUAL = Facts(
    WEEK,
    NOW,
    before=Sums(D("100"), requests=10_000, attempts=10_000, failures=100),
    now=Sums(D("123"), requests=10_000, attempts=10_250, failures=205),
    trust=Trust(complete_through=NOW, fresh_events=990, stale_events=10, limit_seconds=300,
                lines=10_250),
)  # fmt: skip


def text_of(facts: Facts) -> str:
    return to_markdown(compose(facts))


def test_the_last_seven_full_days_end_at_midnight_utc() -> None:
    assert plan_week(now=NOW) == WEEK
    assert plan_week(now=datetime(2026, 11, 22, 23, 59, tzinfo=UTC)).first_day == date(2026, 11, 15)
    assert (WEEK.start_at, WEEK.end_at, WEEK.last_day) == (
        datetime(2026, 11, 16, tzinfo=UTC),
        datetime(2026, 11, 23, tzinfo=UTC),
        date(2026, 11, 22),
    )


def test_a_week_in_which_clocks_change_has_168_hours_too() -> None:
    for first in (date(2026, 3, 23), date(2026, 10, 19)):
        assert Week(first).end_at - Week(first).start_at == timedelta(hours=168)


@pytest.mark.parametrize(
    "asked", ["2026-11-17", "2030-01-01", "monday", "2026-02-30", "0001-01-01"]
)
def test_a_week_that_is_not_over_or_no_day_is_refused(asked: str) -> None:
    with pytest.raises(WeekError, match="--week"):
        plan_week(now=NOW, first_day=asked)
    assert plan_week(now=NOW, first_day="2026-11-16") == WEEK


def test_the_first_sentence_is_the_cost_and_its_change() -> None:
    """123 - 100 = 23, 23 % of 100; 123 / 10,000 = 0.0123, against 0.01."""
    told = text_of(USUAL)
    assert "**$123.00 of known cost, +$23.00 (+23.0 %) against the week before.**" in told
    assert "- $0.0123 known cost per request, +23.0 %." in told
    assert "- 10,000 requests (0.0 %)." in told
    assert "- 2.0 % of attempts failed, 1.0 % the week before." in told


def test_an_empty_week_says_so_and_divides_by_nothing() -> None:
    told = text_of(replace(USUAL, now=Sums()))
    assert "**No production traffic in this week. The week before cost $100.00.**" in told
    assert "## In all" not in told


def test_a_first_week_is_compared_with_nothing() -> None:
    told = text_of(replace(USUAL, before=Sums()))
    assert "**$123.00 of known cost; there is no week before to compare with.**" in told
    assert "(new)" in told


def test_a_week_without_any_price_is_no_week_of_no_cost() -> None:
    unpriced = Sums(requests=50, attempts=50, unpriced_attempts=50, unpriced_low_usd=D("1.5"),
                    unpriced_high_usd=D("4"))  # fmt: skip
    told = text_of(replace(USUAL, before=Sums(), now=unpriced))
    assert "No event of the week has a price: its cost is unknown" in told
    assert "- 50 attempts (100.0 %) have no price and are in no cost: they add $1.50 to $4.00." in (
        told
    )
    assert "Price the models that have no price" in told
    unbounded = text_of(replace(USUAL, now=replace(unpriced, unpriced_high_usd=None)))
    assert "they add $1.50 or more, nobody can tell how much." in unbounded
    assert "known cost per request" not in told


def test_two_percent_without_a_price_are_a_step_and_not_less() -> None:
    for count, is_step in ((200, False), (201, True)):
        now = replace(USUAL.now, attempts=10_000, unpriced_attempts=count)
        assert ("Price the models" in text_of(replace(USUAL, now=now))) is is_step


def test_what_is_provisional_held_back_or_late_is_told() -> None:
    trust = replace(USUAL.trust, provisional_days=2, lines=1000, quarantined=50,
                    held_back_usd=D("3.25"), unestimated_lines=7, late_changes=4,
                    late_change_usd=D("-0.5"), incidents=3, open_incidents=1)  # fmt: skip
    told = text_of(replace(USUAL, trust=trust))
    for line in (
        "- 2 of 7 days are provisional: late files may still change them.",
        "- Freshness: 99.0 % of 1,000 events were visible within 300 s.",
        "- 50 of 1,000 lines taken since it began (5.0 %) are in quarantine: they may have cost ",
        "have cost $3.25, which is in no total; of 7 nobody can tell what they cost.",
        "- 4 late changes to days before this week: -$0.50, see late_changes.",
        "- 3 incidents, 1 of them open.",
    ):
        assert line in told
    assert "Work off the quarantine." in told


def test_lines_nobody_can_estimate_are_not_told_to_cost_nothing() -> None:
    trust = replace(USUAL.trust, quarantined=5, unestimated_lines=5)
    told = text_of(replace(USUAL, trust=trust))
    assert "$0.00" not in told.split("## Can it be trusted?")[1]


def test_what_to_do_first_is_budgets_then_drivers_with_their_queries() -> None:
    budget = Budget("all", "2026-11", "exceeded", D(100), D("123"), D("123"), None, is_over=False)
    over = replace(budget, budget="old", is_over=True)
    driver = Driver(D("20"), "volume: chat.reply", "Set a limit.", "SELECT 1")
    told = text_of(replace(USUAL, budgets=[budget, over], drivers=[driver]))
    steps = told.split("## Do first")[1].split("##")[0]
    assert steps.index("Budget all (2026-11) is exceeded: $123.00 of $100.00.") < steps.index(
        "Set a limit. (+$20.00)"
    )
    assert '`opsmeter query "SELECT 1"`' in steps
    assert "Budget old" not in steps
    assert "| old" in told


def test_a_budget_of_which_something_is_unknown_is_at_least_so_much() -> None:
    budget = Budget("all", "2026-11", "unknown", D(100), D("40"), None, D("90"), is_over=False)
    told = text_of(replace(USUAL, budgets=[budget]))
    assert "at least $40.00" in told
    assert "$90.00" in told


def test_a_deploy_stands_beside_the_version_before_with_its_verdict() -> None:
    """405 requests for 1.62 dollars are 0.004 each, 1000 for 3 are 0.003: a third more."""
    deploy = Deploy("chat.reply", "v2", datetime(2026, 11, 18, 9, tzinfo=UTC), 405, D("1.62"), 0,
                    "v1", 1000, D(3))  # fmt: skip
    told = text_of(replace(USUAL, deploys=[deploy]))
    row = next(line for line in told.splitlines() if "| v2" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["chat.reply", "v2", "Wed 18, 09:00", "405", "$0.004", "$0.003", "+33.3 %",
                     "not judged"]  # fmt: skip
    judged = replace(deploy, verdict="regressed", monthly_usd=D("12"))
    told = text_of(replace(USUAL, deploys=[judged]))
    assert "regressed, +$12.00 a month" in told
    assert "Roll chat.reply back from v2 to v1" in told
    unpriced = replace(deploy, cost_usd=D(0), unpriced_attempts=405)
    assert "unpriced" in text_of(replace(USUAL, deploys=[unpriced]))


def test_names_from_telemetry_are_never_markup_nor_run_by_a_shell() -> None:
    name = "<img src=x onerror=alert(1)>|`rm`*[a](http://b)&lt;$(id)\n# no"
    burst = Burst(f"endpoint {name}", D(5), f"Limit {name}.", f"SELECT '{name}'")
    driver = Driver(D(1), f"volume: {name}", f"Limit {name}.", f"SELECT '{name}'")
    part = Part(name, D(1), D(2), 1, 2)
    page = compose(
        replace(USUAL, endpoints=[part], tenants=[part], drivers=[driver], bursts=[burst])
    )
    html, markdown = to_html(page), to_markdown(page)
    assert "<img" not in html
    assert not re.search(r"https?:|src=\"|<script", html.replace("http://b", ""))
    outside = re.sub(r"(`{2,}) .*? \1|`[^`]*`", "", markdown)
    assert not re.search(r"(?<!\\)<img|(?<!\\)\[a\]|^# no", outside, re.MULTILINE)
    row = next(line for line in markdown.splitlines() if line.startswith("| \\<img"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 8
    assert 'query "SELECT' not in markdown


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_stays_one_cell_and_one_line(name: str, said: str) -> None:
    grid = Grid(["a", "n"], [[name, "1"]])
    page = Page("t", "l", [Section("s", [said], grid, [Step(said, name)])], "f")
    lines = to_markdown(page).splitlines()
    assert sum(line.startswith("|") for line in lines) == 3
    html = to_html(page)
    assert html.count("<td") == 2
    assert set(re.findall(r"<(/?[a-z0-9]+)", html)) <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "ul", "li", "table"),
        *("tr", "th", "td", "ol", "details", "summary", "code", "footer", "/html", "/head"),
        *("/title", "/style", "/body", "/h1", "/h2", "/p", "/ul", "/li", "/table", "/tr", "/th"),
        *("/td", "/ol", "/details", "/summary", "/code", "/footer"),
    }


def test_the_facts_are_told_to_programs_with_decimals_as_texts() -> None:
    from dataclasses import asdict  # noqa: PLC0415

    told = json.loads(to_json(asdict(USUAL)))
    assert told["now"]["cost_usd"] == "123"
    assert told["week"]["first_day"] == "2026-11-16"
