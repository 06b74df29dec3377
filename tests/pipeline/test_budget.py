"""Budgets over a real warehouse: exact sums by every scope and zone, late data, alerts, the job."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import polars as pl
import pytest
from pydantic import SecretStr

from opsmeter_pipeline.alerts import Look, Rules
from opsmeter_pipeline.budget import Asked
from opsmeter_pipeline.budget.conditions import judge_spend_conditions
from opsmeter_pipeline.budget.periods import find_period
from opsmeter_pipeline.cli.budget import budget_command
from opsmeter_pipeline.cube import READS, sum_events
from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.model.budget import Budget
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.errors import NoBudgetError, SettingsError
from opsmeter_pipeline.model.tables import ATTRIBUTION_HOURLY, BUDGET_STATUS, EVENTS
from opsmeter_pipeline.orchestration.alerting import EVALUATORS, Moment
from opsmeter_pipeline.orchestration.instance import open_instance
from opsmeter_pipeline.orchestration.jobs import BUDGET_JOB_NAME
from opsmeter_pipeline.orchestration.schedules import budget_schedule
from opsmeter_pipeline.quality.relations import RELATIONS
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage import budget
from opsmeter_pipeline.storage.alerts import deliver
from opsmeter_pipeline.storage.budget import compute, find_due, read_status, refresh
from opsmeter_pipeline.storage.budget_sums import read_spent
from opsmeter_pipeline.storage.incidents import (
    read_current,
    read_newest,
    record_acknowledgement,
    record_look,
)
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.sinks import build_sinks
from opsmeter_pipeline.views import VIEWS
from tests.pipeline.alerting import LINKS
from tests.pipeline.receiver import receive
from tests.pipeline.support import REPO, PipelineHome, failure_of, jsonl, payload
from tests.scenario import event, events_of

D = Decimal
ZONES = ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Europe/Berlin"]
SCOPES: dict[str, dict[str, str]] = {
    "workspace": {"environment": "*"},
    "production": {},
    "staging": {"environment": "staging"},
    "an endpoint": {"endpoint": "chat.answer"},
    "endpoints": {"endpoint": "chat.*"},
    "a name like a wildcard": {"endpoint": "50%_off[1]"},
    "a tenant at a model": {"tenant": "t1", "model": "gpt-*"},
    "a provider": {"provider": "acme"},
    "nobody": {"tenant": "t9"},
}
NOW = datetime(2026, 11, 23, 12, 20, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def fill(lake: Lake, folder: Path, rows: list[dict[str, Any]]) -> None:
    """Add events and the cube's sums of them, each batch of its own."""
    for batch_id in sorted({row["batch_id"] for row in rows}):
        events = events_of(*(row for row in rows if row["batch_id"] == batch_id))
        cube = sum_events(events.select(READS), events.clear())[ATTRIBUTION_HOURLY.name]
        for table, frame in ((EVENTS, events), (ATTRIBUTION_HOURLY, cube)):
            path = folder / f"{table.name}.parquet"
            table.arrange(frame).write_parquet(path)
            sql = f"INSERT INTO {table.name} SELECT * FROM read_parquet('{path}')"
            lake.transact(lambda con, sql=sql: con.execute(sql))


def _draw_rows() -> list[dict[str, Any]]:
    """Return events all over October and November, and on both sides of each zone's midnights."""
    chance = random.Random(31)
    times = [
        datetime(2026, 10, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(54 * 86_400))
        for _ in range(1_500)
    ]
    for zone in ZONES:
        for day in (date(2026, 10, 25), date(2026, 11, 1), date(2026, 11, 22), date(2026, 11, 23)):
            border = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
            times += [border - TICK, border, border + TICK]
    return [
        event(
            batch_id=f"b{number % 3}",
            line_number=number,
            occurred_at=at,
            endpoint_tag=("chat.answer", "chat.title", "50%_off[1]", "50_xoff1")[number % 4],
            tenant_id=f"t{number % 5}",
            model=("gpt-4o", "gpt-x", "small")[number % 3],
            provider="acme" if number % 3 == 2 else "openai",
            environment="staging" if number % 7 == 0 else "prod",
            data_mode="test" if number % 11 == 0 else "real",
            **_money(number, D(chance.randrange(10**20)).scaleb(-18)),
        )
        for number, at in enumerate(times)
    ]


def _money(number: int, usd: Decimal) -> dict[str, Any]:
    if number % 13:
        return {"cost_usd": usd}
    if number % 39 == 0:
        return {"unpriced_reason": "no_usable_price"}
    return {"unpriced_reason": "unknown_model", "unpriced_low_usd": usd,
            "unpriced_high_usd": usd + 1}  # fmt: skip


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("home")
    lake = Lake(folder / "warehouse")
    lake.create({view.name: view.sql for view in VIEWS})
    rows = _draw_rows()
    fill(lake, folder, rows)
    return lake, rows


def _by_hand(budget: Budget, name: str, rows: list[dict[str, Any]]) -> tuple[object, ...]:
    """Return the sums of the events of a scope that clocks of the zone date with that period."""
    zone, columns = ZoneInfo(budget.zone), {"endpoint": "endpoint_tag", "tenant": "tenant_id"}
    scope = {key: getattr(budget, key)
             for key in ("environment", "endpoint", "tenant", "model", "provider")}  # fmt: skip
    of_it = [
        row for row in rows
        if row["data_mode"] == "real"
        and f"{row['occurred_at'].astimezone(zone):%Y-%m-%d}".startswith(name)
        and all(fnmatchcase(row[columns.get(key, key)], told.replace("[", "[[]"))
                for key, told in scope.items())
    ]  # fmt: skip
    unpriced = [row for row in of_it if "cost_usd" not in row]
    return (
        len(of_it), len(unpriced), sum("unpriced_high_usd" not in row for row in unpriced),
        *(sum((row.get(key, D(0)) for row in of_it), D(0))
          for key in ("cost_usd", "unpriced_low_usd", "unpriced_high_usd")),
    )  # fmt: skip


def test_each_scope_and_zone_sums_up_its_own_events_to_the_last_decimal(drawn) -> None:
    lake, rows = drawn
    asked = [
        Asked(budget, find_period(budget, at), None)
        for zone in ZONES
        for name, scope in SCOPES.items()
        for kind in ("daily", "monthly")
        for at in (NOW, datetime(2026, 10, 25, 12, tzinfo=UTC))
        for budget in [Budget(name=name, limit_usd=D(1), zone=zone, period=kind, **scope)]
    ]
    with lake.connect(read_only=True) as con:
        spent = read_spent(con, asked, since=NOW, until=NOW)
    for one, found in zip(asked, spent, strict=True):
        assert tuple(vars(found.spend).values()) == _by_hand(one.budget, one.period.name, rows)
        if one.budget.name != "nobody":  # hour by hour it is the same
            followed = found.usage.follow(one.period)
            assert followed[-1][1] if followed else D(0) == found.spend.low_usd
    totals = {
        one.budget.name for one, found in zip(asked, spent, strict=True) if found.spend.attempts
    }
    assert totals == set(SCOPES) - {"nobody"}


@pytest.mark.parametrize("zone", ZONES)
def test_days_sum_up_to_their_month_in_the_same_zone(drawn, zone: str) -> None:
    lake, _ = drawn
    daily, monthly = (Budget(name=kind, limit_usd=D(1), zone=zone, period=kind, endpoint="chat.*")
                      for kind in ("daily", "monthly"))  # fmt: skip
    month = find_period(monthly, datetime(2026, 10, 15, tzinfo=UTC))
    days = {find_period(daily, span.start) for span in month.spans}
    asked = [Asked(monthly, month, None), *(Asked(daily, day, None) for day in days)]
    with lake.connect(read_only=True) as con:
        whole, *parts = read_spent(con, asked, since=NOW, until=NOW)
    assert len(parts) == 31
    assert sum(part.spend.cost_usd for part in parts) == whole.spend.cost_usd > 0
    assert sum(part.spend.attempts for part in parts) == whole.spend.attempts


def test_the_largest_parts_are_named_and_shares_are_of_the_whole(drawn) -> None:
    lake, rows = drawn
    budgets = [
        Budget(name="all", limit_usd=D(1)),
        Budget(name="one", limit_usd=D(1), endpoint="chat.title", zone="Asia/Kolkata"),
    ]
    found = {row["budget"]: row for row in compute(lake, budgets, now=NOW).rows.to_dicts()}
    of_all = [row for row in rows if row["data_mode"] == "real" and row["environment"] == "prod"
              and row["occurred_at"] >= datetime(2026, 11, 1, tzinfo=UTC)]  # fmt: skip
    by_endpoint: dict[str, Decimal] = {}
    for row in of_all:
        cost = by_endpoint.get(row["endpoint_tag"], D(0)) + row.get("cost_usd", D(0))
        by_endpoint[row["endpoint_tag"]] = cost
    top = max(by_endpoint, key=lambda name: by_endpoint[name])
    assert found["all"]["top_endpoint_tag"] == top
    share = float(by_endpoint[top] / sum(by_endpoint.values()))
    assert found["all"]["top_endpoint_share"] == pytest.approx(share, abs=1e-6)
    assert found["one"]["top_endpoint_tag"] is None
    assert found["one"]["top_tenant_id"].startswith("t")


DAILY = Budget(name="day", limit_usd=D("0.0105"), period="daily", endpoint="chat.*")
PRICES = """
[[price]]
provider = "acme"
model = "acme-9"
input_usd_per_mtok = "2.00"
output_usd_per_mtok = "8.00"
"""


def test_what_changes_a_day_after_its_end_is_listed_by_batch_and_how(home: PipelineHome) -> None:
    """A line costs 0.0035 USD, that of acme at least something, and 0.0028 once it has a price."""
    lake = home.resource.lake
    first, second = "2025-03-10T11:59:00Z", "2025-03-10T22:00:00Z"
    home.land("a.jsonl", jsonl(payload("r1", timestamp=first), payload("r2", timestamp=first),
              payload("r3", provider="acme", model="acme-9", timestamp=first),
              payload("r4", endpointTag="other.one", timestamp=first)))  # fmt: skip
    home.take_all()
    in_time = datetime(2025, 3, 10, 13, tzinfo=UTC)
    (row,) = refresh(lake, [DAILY], now=in_time).rows.to_dicts()
    assert (row["spent_usd"], row["unpriced_attempts"], row["is_over"]) == (D("0.007"), 1, False)
    assert (row["state"], row["least_state"], row["most_state"]) == ("unknown", "ok", "exceeded")
    after = datetime(2025, 3, 11, 1, tzinfo=UTC)
    refresh(lake, [DAILY], now=after)
    assert find_due(lake, [DAILY], now=after) is None

    home.land("late.jsonl", jsonl(payload("r5", timestamp=second),
              payload("r6", endpointTag="other.one", timestamp=second)))  # fmt: skip
    home.take_all()
    assert find_due(lake, [DAILY], now=after) == "something was published"
    refresh(lake, [DAILY], now=after + timedelta(hours=1))
    (home.folder / "prices.toml").write_text(PRICES)
    assert home.run(replay=True).success  # the same lines, one of which has a price now
    refresh(lake, [DAILY], now=after + timedelta(hours=2))

    batches = [row[0] for row in home.rows("SELECT batch_id FROM ingest_batches ORDER BY taken_at")]
    assert home.rows(
        "SELECT batch_id, kind, change_attempts, change_usd, state_before, state_after "
        "FROM budget_changes ORDER BY number"
    ) == [
        (batches[1], "live", 1, D("0.0035"), "unknown", "exceeded"),
        (batches[0], "backfill", 0, D("0.0028"), "exceeded", "exceeded"),
    ]
    (row,) = home.rows("SELECT spent_usd, reported_usd, state FROM budget_status "
                       "WHERE period_name = '2025-03-10'")  # fmt: skip
    assert row == (D("0.0133"), D("0.007"), "exceeded")
    for promise in (*RELATIONS["budget_status"], *RELATIONS["budget_changes"]):
        assert home.rows(promise.culprits) == [], promise.meaning


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "warehouse")
    lake.create({view.name: view.sql for view in VIEWS})
    return lake


def _spend(at: datetime, usd: str, **told: Any) -> dict[str, Any]:
    return event(occurred_at=at, cost_usd=D(usd), **told)


def test_each_transition_is_told_once_over_restarts_and_a_new_period_ends_it(
    lake: Lake, tmp_path: Path
) -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    budgets = [Budget(name="day", limit_usd=D(100), period="daily")]
    rules = Rules(cooldown=timedelta(0))
    # Three weeks of 7 USD an hour, so that 84 USD at noon are what is usual, and a warning.
    steady = [_spend(noon - timedelta(hours=nth + 1), "7", line_number=nth) for nth in range(600)]
    fill(lake, tmp_path, steady)
    with receive() as receiver:
        sinks = build_sinks([SecretStr(receiver.url)])

        def tick(at: datetime, home: Lake = lake) -> list[str]:
            refresh(home, budgets, now=at)
            found = judge_spend_conditions(read_status(home).to_dicts(), now=at)
            record_look(home, Look(tuple(found)), rules=rules, sinks=[one.name for one in sinks],
                        addresses=LINKS, now=at)  # fmt: skip
            deliver(home, sinks, holder="test:1", clock=lambda: at, until=at + timedelta(seconds=1))
            return [letter["kind"] for letter in receiver.letters]

        assert tick(noon) == ["opened"]
        restarted = Lake(lake.folder)
        assert tick(noon + timedelta(minutes=1), restarted) == ["opened"]
        (incident,) = read_current(lake)
        assert (incident.severity, incident.rule_window) == ("warning", "daily 2026-11-23")
        record_acknowledgement(lake, incident.incident_id, by="ann", now=noon)
        # 15 USD more in the last hour: three hours cost 36 and not 21, 1.71 times the usual.
        fill(lake, tmp_path, [_spend(noon - timedelta(minutes=30), "15", batch_id="more")])
        assert tick(noon + timedelta(minutes=2)) == ["opened"]
        (incident,) = read_current(lake)
        assert (incident.severity, incident.state) == ("warning", "acknowledged")
        # Another 2 USD: above the limit, which is told at once although somebody has it.
        fill(lake, tmp_path, [_spend(noon - timedelta(minutes=20), "2", batch_id="most")])
        assert tick(noon + timedelta(minutes=3)) == ["opened", "escalated"]
        assert tick(noon + timedelta(minutes=4)) == ["opened", "escalated"]
        assert "endpoint chat.answer is 100.0% of it" in receiver.letters[1]["message"]
        assert tick(noon + timedelta(hours=12)) == ["opened", "escalated", "resolved"]
    (incident,) = read_newest(lake, limit=9)
    assert (incident.state, incident.severity) == ("resolved", "critical")


def _write_toml(folder: Path, text: str) -> None:
    (folder / "opsmeter.toml").write_text(text)


@pytest.fixture
def now_home(home: PipelineHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A home with 90 USD of this hour, and two budgets."""
    monkeypatch.chdir(tmp_path)
    _write_toml(tmp_path, """
        [[budget]]
        name = "over"
        limit_usd = 50
        [[budget]]
        name = "far"
        limit_usd = "1000.50"
        endpoint = "chat.*"
    """)  # fmt: skip
    now = utc_now()
    fill(home.resource.lake, tmp_path, [_spend(now.replace(minute=0, second=0), "90")])
    with open_instance(home.settings) as instance:
        home.instance = instance
        yield home


def test_the_job_writes_the_table_judges_it_and_is_due_only_when_something_changed(
    now_home: PipelineHome, capsys: pytest.CaptureFixture[str]
) -> None:
    context = dg.build_schedule_context(
        instance=now_home.instance, resources={"home": now_home.resource}
    )
    assert isinstance(budget_schedule(context), dg.RunRequest)
    done = defs.resolve_job_def(BUDGET_JOB_NAME).execute_in_process(
        instance=now_home.instance, resources={"home": now_home.resource}, raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )  # fmt: skip
    assert done.success, failure_of(done)
    (check,) = done.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("budgets", False)
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert "exceeded: budget over (prod): 90.00 of 50.00 USD" in check.description
    (culprit,) = check.metadata["culprits"].data
    assert (culprit["budget"], culprit["top_endpoint_tag"]) == ("over", "chat.answer")
    assert isinstance(budget_schedule(context), dg.SkipReason)

    moment = Moment(now_home.resource, now_home.instance, utc_now(), by="check")
    (found,) = EVALUATORS["budget_spend"](moment)
    assert (found.key.scope, found.severity, found.value) == ("budget:over", "critical", 180.0)
    assert list(EVALUATORS["budget_unknown"](moment)) == []

    with pytest.raises(SystemExit) as ended:
        budget_command(closed=1, home=now_home.folder, as_json=True)
    assert ended.value.code == 1
    told = json.loads(capsys.readouterr().out)
    assert [(one["budget"], one["state"], D(one["spent_usd"])) for one in told["budgets"]] == [
        ("far", "ok", 90), ("over", "exceeded", 90)
    ]  # fmt: skip
    # A period that was over, of a budget that is not set any more, and none is asked for.
    old = [Budget(name="old", limit_usd=D(1), period="daily")]
    now = utc_now() - timedelta(days=3)
    refresh(now_home.resource.lake, old, now=now)
    refresh(now_home.resource.lake, [], now=now + timedelta(days=1))
    with pytest.raises(SystemExit):
        budget_command(closed=0, home=now_home.folder, as_json=False)
    shown = capsys.readouterr().out
    assert "exceeded ████████████████████ 180.0%  over  prod" in shown
    assert "90.00 of 50.00 USD" in shown
    assert "old" not in shown


def test_alerts_compute_budgets_themselves_where_no_job_runs(now_home: PipelineHome) -> None:
    moment = Moment(now_home.resource, now_home.instance, utc_now(), by="check")
    assert [one.key.scope for one in EVALUATORS["budget_spend"](moment)] == ["budget:over"]
    assert now_home.value("SELECT count(*) FROM budget_status") == 2
    # A shell elsewhere, which reads no settings or others, takes no budget away.
    later = utc_now() + budget.OVERDUE + timedelta(minutes=1)
    for settings in ([], [Budget(name="over", limit_usd=D(1))]):
        rows = budget.read_current(now_home.resource.lake, settings, now=later)
        assert {(row["budget"], row["limit_usd"]) for row in rows} == {
            ("over", D(50)), ("far", D("1000.5"))
        }  # fmt: skip


def test_two_that_compute_at_once_tell_a_change_once(lake: Lake, tmp_path: Path) -> None:
    """The slower one finds that the table is not what it read, and writes nothing."""
    budgets = [Budget(name="day", limit_usd=D(100), period="daily")]
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    fill(lake, tmp_path, [_spend(noon, "1")])
    refresh(lake, budgets, now=noon)
    slow = _Overtaken(lake, budgets, noon)
    refresh(slow, budgets, now=noon + timedelta(minutes=1))
    assert read_status(lake)["computed_at"].to_list() == [noon + timedelta(minutes=2)]


class _Overtaken(Lake):
    """A lake in which another process computes just before this one writes."""

    def __init__(self, lake: Lake, budgets: list[Budget], noon: datetime) -> None:
        super().__init__(lake.folder)
        self._other, self._budgets, self._noon = lake, budgets, noon

    def transact(self, write: Any) -> None:
        refresh(self._other, self._budgets, now=self._noon + timedelta(minutes=2))
        super().transact(write)


def test_the_example_of_the_docs_is_read_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (REPO / "docs/budgets.md").read_text()
    example = page.split("```toml\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    _write_toml(tmp_path, example)
    budgets = load_settings(home=tmp_path).budget
    assert [(one.name, one.limit_usd, one.period, one.scope) for one in budgets] == [
        ("all", D(2500), "monthly", "prod"),
        ("support", D("40.50"), "daily", "prod, endpoint support.*"),
        ("acme on large models", D(300), "monthly", "prod, tenant t_9f2c4e, model gpt-*"),
        ("everything", D(4000), "monthly", "all environments"),
    ]
    assert [one.zone for one in budgets][:2] == ["UTC", "Asia/Kolkata"]
    assert budgets[0].warning_usd == 1750


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("limit_usd = 0", "budget 'x': limit_usd: Input should be greater than 0"),
        ("limit_usd = -1", "budget 'x': limit_usd: Input should be greater than 0"),
        ("limit_usd = inf", "budget 'x': limit_usd: Input should be a finite number"),
        ("limit_usd = true", "budget 'x': limit_usd: Value error, it must be a number"),
        ("limit_usd = '1,000'", "budget 'x': limit_usd: Input should be a valid decimal"),
        ("limit_usd = 0.0000000000001", "no more than 12 decimal places"),
        ("", "budget 'x': limit_usd: Field required"),
        ("limit_usd = 1\nzone = 'Europe/Berln'", "Did you mean Europe/Berlin"),
        ("limit_usd = 1\nperiod = 'weekly'", "budget 'x': period: Input should be 'daily'"),
        ("limit_usd = 1\nwarning_share = 80", "budget 'x': warning_share: Input should be less"),
        ("limit_usd = 1\nteam = 'a'", "budget 'x': team: Extra inputs are not permitted"),
        ("limit_usd = 1\n[[budget]]\nname = 'x'\nlimit_usd = 2", "two budgets are named 'x'"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    _write_toml(tmp_path, f"[[budget]]\nname = 'x'\n{told}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(home=tmp_path)
    assert said in str(caught.value)


def test_a_number_of_the_file_is_read_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a float it would be 12345678901.123457."""
    monkeypatch.chdir(tmp_path)
    _write_toml(tmp_path, "[[budget]]\nname = 'x'\nlimit_usd = 12345678901.123456789\n")
    assert load_settings(home=tmp_path).budget[0].limit_usd == D("12345678901.123456789")


def test_without_budgets_the_command_says_how_to_set_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoBudgetError, match=r"\[\[budget\]\]"):
        budget_command(closed=0, home=tmp_path, as_json=False)


def test_a_row_is_kept_as_the_catalogue_says(drawn) -> None:
    lake, _ = drawn
    rows = compute(lake, [Budget(name="all", limit_usd=D(1))], now=NOW).rows
    assert rows.schema == pl.Schema(BUDGET_STATUS.schema)
