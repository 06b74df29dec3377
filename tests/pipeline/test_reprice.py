"""Events priced again in a real warehouse; expected dollars are worked out beside each case."""

import io
import json
from contextlib import redirect_stdout
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from opsmeter_pipeline.cli.reprice import Asked, reprice_command
from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.model.errors import (
    BadDayError,
    WarehouseMissingError,
)
from opsmeter_pipeline.model.price_errors import (
    RepriceOvertakenError,
    RepriceRangeError,
    RepriceReasonError,
    RepriceSumsError,
    UnknownNameError,
)
from opsmeter_pipeline.orchestration.jobs import RepriceConfig, reprice_as
from opsmeter_pipeline.storage import reprice, restate
from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import (
    OF_A_HOME,
    PipelineHome,
    assert_balanced,
    call_opsmeter,
    jsonl,
    payload,
    snapshot,
)

D = Decimal
PRICES = """
[[price]]
provider = "acme"
model = "acme-9"
input_usd_per_mtok = "{input}"
output_usd_per_mtok = "8.00"
"""
SUMMED = (
    *("events", "ingest_batches", "ingest_files", "attribution_hourly", "users_daily"),
    *("latency_hourly", "users_latency_daily", "clocks_hourly", "quarantine", "tracking_hourly"),
    "unpriced_hourly",
)
LOGGED = (*SUMMED, "restatements", "day_changes")
LISTED = """
    SELECT day, environment, model, attempts, newly_priced_attempts, former_cost_usd, cost_usd,
        change_cost_usd FROM restatements ORDER BY ALL
"""
ALL = Asked(None, None, None, None, priced_too=False, reason=None, is_dry=False)


def _acme(request: str, **fields: object) -> dict[str, object]:
    """Return a line of 1000 and 100 tokens of a model that only `PRICES` has a price for."""
    return payload(request, provider="acme", model="acme-9", **fields)


LATER = jsonl(_acme("r7"), payload("r8", timestamp=None))


def _land(home: PipelineHome) -> None:
    """Land all that sums tell apart: retries, failures, days, users, what is left out, rejects."""
    home.land("a.jsonl", jsonl(
        _acme("r1"),
        _acme("r1"),  # redelivered: in the cube, and costs nothing
        _acme("r2", status="error", userId="u2"),
        _acme("r2", latencyMs=900),  # another attempt, inferred
        _acme("r3", environment="dev"),
        _acme("r4", inputTokens=-1),  # quarantined
        payload("r5"),
        _acme("r6", timestamp="2025-03-09T23:59:59Z"),
    ))  # fmt: skip


def _write_prices(home: PipelineHome, usd_per_mtok: str) -> None:
    (home.folder / "prices.toml").write_text(PRICES.format(input=usd_per_mtok))


def _state(home: PipelineHome) -> dict[str, list[tuple[str, ...]]]:
    return snapshot(home, without=OF_A_HOME, tables=SUMMED)


@pytest.fixture(scope="module")
def filled(make_home: MakeHome) -> PipelineHome:
    """A home whose events of acme-9 had no price when they came, and would have one now."""
    home = make_home()
    _land(home)
    home.take_all()
    _write_prices(home, "2.00")
    return home


@pytest.fixture
def unpriced(filled: PipelineHome, tmp_path: Path) -> PipelineHome:
    """A copy of it to price again in."""
    return filled.copy(tmp_path / "home")


class Story(NamedTuple):
    """A home that was priced again, and what each command before and after said."""

    home: PipelineHome
    dry: dict[str, Any]
    done: dict[str, Any]
    again: dict[str, Any]


@pytest.fixture(scope="module")
def story(make_home) -> Story:
    home = make_home()
    _land(home)
    home.take_all()
    home.land("b.jsonl", LATER)
    home.take_all()
    _write_prices(home, "2.00")
    before = snapshot(home, tables=LOGGED)
    dry = _reprice(home, ALL._replace(is_dry=True))
    assert snapshot(home, tables=LOGGED) == before
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reprice, "UNIT_EVENTS", 1)  # a transaction for each batch
        done = _reprice(home, ALL)
    after = snapshot(home)
    again = _reprice(home, ALL)
    assert snapshot(home) == after
    return Story(home, dry, done, again)


def test_after_a_reprice_all_is_as_if_the_prices_had_been_there(story: Story, make_home) -> None:
    priced = make_home()
    _write_prices(priced, "2.00")
    _land(priced)
    priced.take_all()
    priced.land("b.jsonl", LATER)
    priced.take_all()
    assert _state(story.home) == _state(priced)
    assert_balanced(story.home)


def test_a_reprice_lists_what_it_changed_by_how_much_and_why(story: Story) -> None:
    # Each costs 1000 x 0.000002 + 100 x 0.000008 = 0.0028. On the 10th in prod: r1, r2 twice, r7.
    each = D("0.0028")
    assert [(str(row[0]), *row[1:]) for row in story.home.rows(LISTED)] == [
        ("2025-03-09", "prod", "acme-9", 1, 1, 0, each, each),
        ("2025-03-10", "dev", "acme-9", 1, 1, 0, each, each),
        ("2025-03-10", "prod", "acme-9", 1, 1, 0, each, each),
        ("2025-03-10", "prod", "acme-9", 3, 3, 0, 3 * each, 3 * each),
    ]
    assert story.home.value("SELECT count(DISTINCT former_snapshot_id) FROM restatements") == 2
    told = story.home.rows(
        "SELECT DISTINCT number, reason, own_version IS NOT NULL, visible_at IS NOT NULL "
        "FROM restatements"
    )
    assert told == [(1, "prices are known that were not", True, True)]
    changes = story.home.rows(
        "SELECT sum(change_cost_usd), sum(change_left_out_cost_usd), "
        "sum(change_unpriced_attempts)::BIGINT FROM day_changes WHERE kind = 'reprice'"
    )
    assert changes == [(5 * each, each, -5)]


def test_the_former_values_stay_readable(story: Story) -> None:
    former = story.home.value("SELECT min(former_snapshot_id) FROM restatements")
    sql = "SELECT count(*) FROM events {} WHERE cost_usd IS NULL"
    assert story.home.value(sql.format("")) == 0
    assert story.home.value(sql.format(f"AT (VERSION => {former})")) == 6


def test_a_dry_run_tells_the_same_and_a_second_run_finds_nothing(story: Story) -> None:
    own = {"is_dry_run", "left_unpriced"}
    dry, done = ({n: v for n, v in one.items() if n not in own} for one in story[1:3])
    assert dry == done
    assert (dry["change_cost_usd"], dry["attempts"]) == ("0.016800000000000000", 6)
    assert (story.dry["left_unpriced"], story.done["left_unpriced"]) == (0, 0)
    assert (story.again["attempts"], story.again["restatements"]) == (0, [])


def test_what_has_a_price_changes_only_if_all_is_asked_for(unpriced: PipelineHome) -> None:
    reprice_command(ALL, home=unpriced.folder, as_json=True)
    _write_prices(unpriced, "1.10")  # less than half away, so it prices at once
    reprice_command(ALL, home=unpriced.folder, as_json=True)
    total = "SELECT sum(cost_usd) FROM events WHERE model = 'acme-9'"
    assert unpriced.value(total) == 5 * D("0.0028")
    asked = ALL._replace(priced_too=True, reason="the contract says 1.10", last="2025-03-09")
    reprice_command(asked, home=unpriced.folder, as_json=True)
    # 1000 x 0.0000011 + 100 x 0.000008 = 0.0019, for the one event of the 9th.
    assert unpriced.value(total) == 4 * D("0.0028") + D("0.0019")
    assert unpriced.rows(
        "SELECT reason, attempts, newly_priced_attempts, former_cost_usd, change_cost_usd "
        "FROM restatements WHERE number = 2"
    ) == [("the contract says 1.10", 1, 0, D("0.0028"), D("-0.0009"))]
    assert_balanced(unpriced)


def test_a_price_that_is_gone_leaves_no_price_and_says_so(unpriced: PipelineHome) -> None:
    reprice_command(ALL, home=unpriced.folder, as_json=True)
    (unpriced.folder / "prices.toml").unlink()
    assert call_opsmeter("prices", "accept", home=unpriced.folder)[0] == 0
    asked = ALL._replace(priced_too=True, reason="it was no contract", model="acme-9")
    reprice_command(asked, home=unpriced.folder, as_json=True)
    sums = "sum(newly_unpriced_attempts)::BIGINT, sum(cost_usd), sum(change_cost_usd)"
    assert unpriced.rows(f"SELECT {sums} FROM restatements WHERE number = 2") == [
        (5, D(0), -5 * D("0.0028"))
    ]
    assert unpriced.value("SELECT count(*) FROM events WHERE cost_usd IS NULL") == 5
    assert_balanced(unpriced)


def test_a_reprice_after_a_replay_finds_every_row_again(unpriced: PipelineHome) -> None:
    """A replayed batch's clocks and cubes are made by other runs than they were first."""
    assert unpriced.run(replay=True).success
    (unpriced.folder / "prices.toml").write_text(PRICES.format(input="1.10"))
    asked = ALL._replace(priced_too=True, reason="contract")
    reprice_command(asked, home=unpriced.folder, as_json=True)
    # Five of acme-9 at 0.0019, and one of gpt-4o.
    assert unpriced.value("SELECT sum(cost_usd) FROM clocks_hourly") == 5 * D("0.0019") + D(
        "0.0035"
    )
    assert_balanced(unpriced)


def test_sums_that_would_not_agree_are_not_written(unpriced: PipelineHome) -> None:
    unpriced.resource.lake.transact(lambda con: con.execute("DELETE FROM clocks_hourly"))
    before = snapshot(unpriced)
    result = _run_job(unpriced)
    error = next(e.step_failure_data.error for e in result.all_events if e.is_step_failure)
    assert error.cause.cls_name == RepriceSumsError.__name__
    assert "clocks_hourly would not agree" in error.cause.message
    assert {
        n: r for n, r in snapshot(unpriced).items() if not n.startswith(("price", "model"))
    } == {n: r for n, r in before.items() if not n.startswith(("price", "model"))}


def test_a_batch_that_is_replayed_meanwhile_is_read_again(
    unpriced: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_them, calls = reprice.list_restatements, []

    def overtaken(*read: pl.DataFrame) -> pl.DataFrame:
        calls.append(1)
        if len(calls) == 1:
            assert unpriced.run(replay=True).success
        return list_them(*read)

    monkeypatch.setattr(reprice, "list_restatements", overtaken)
    assert _run_job(unpriced).success
    # The replay has priced them itself, so nothing was left to do.
    assert unpriced.value("SELECT count(*) FROM restatements") == 0
    assert unpriced.value("SELECT count(*) FROM events WHERE cost_usd IS NULL") == 0
    assert_balanced(unpriced)


def test_a_reprice_that_is_overtaken_always_gives_up(
    unpriced: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RepriceOvertakenError(["b1"])

    monkeypatch.setattr(restate, "_refuse_overtaken", refuse)
    before = snapshot(unpriced, tables=SUMMED)
    result = _run_job(unpriced)
    error = next(e.step_failure_data.error for e in result.all_events if e.is_step_failure)
    assert error.cause.cls_name == RepriceOvertakenError.__name__
    assert snapshot(unpriced, tables=SUMMED) == before


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"model": "acme-8"}, UnknownNameError, "Did you mean acme-9?"),
        ({"provider": "zzz"}, UnknownNameError, "List them"),
        ({"priced_too": True}, RepriceReasonError, "--reason"),
        ({"first": "yesterday"}, BadDayError, "2026-11-23"),
        ({"first": "2026-11-23", "last": "2026-11-01"}, RepriceRangeError, "--to 2026-11-01 is be"),
    ],
)
def test_what_cannot_be_asked_says_how_to_ask(
    unpriced: PipelineHome, change: dict[str, object], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        reprice_command(ALL._replace(**change), home=unpriced.folder, as_json=True)


def test_without_a_warehouse_there_is_nothing_to_reprice(tmp_path: Path) -> None:
    with pytest.raises(WarehouseMissingError):
        reprice_command(ALL, home=tmp_path, as_json=False)


def test_a_person_reads_what_was_restated(unpriced: PipelineHome) -> None:
    code, out, err = call_opsmeter("reprice", "--model", "acme-9", home=unpriced.folder)
    assert (code, err) == (0, "")
    assert "restated" in out
    assert "0.0140" in out
    code, out, err = call_opsmeter("reprice", home=unpriced.folder)
    assert code == 0
    assert "Nothing to reprice" in out


def _reprice(home: PipelineHome, asked: Asked) -> dict[str, Any]:
    printed = io.StringIO()
    with redirect_stdout(printed):
        reprice_command(asked, home=home.folder, as_json=True)
    return json.loads(printed.getvalue())


def _run_job(home: PipelineHome):
    return defs.resolve_job_def("reprice").execute_in_process(
        instance=home.instance,
        run_config=reprice_as(RepriceConfig(), log_level="CRITICAL"),
        resources={"home": home.resource},
        raise_on_error=False,
    )
