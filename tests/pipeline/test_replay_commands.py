"""`opsmeter quarantine` and `opsmeter replay`, undisturbed, killed, and two at once."""

import json
import os
import random
import shutil
import time
from pathlib import Path

import pytest

from tests.pipeline.conftest import MakeHome
from tests.pipeline.replays import STRICT, held, stricter_contract
from tests.pipeline.support import (
    NOON,
    PipelineHome,
    assert_balanced,
    call_opsmeter,
    hours,
    jsonl,
    opsmeter,
    payload,
    snapshot,
)

KILLS = 20 if "FAULT_KILLS" in os.environ else 1
_PLACES = ("batch_id", "taken_at", "run_id", "visible_at", "replayed_at")
_TABLES = ("events", "quarantine", "ingest_files", "attribution_hourly", "overview")


def _fill(home: PipelineHome) -> PipelineHome:
    """Take lines that today's contract accepts, and some it does not, on two ingest days."""
    with stricter_contract():
        for day in range(2):
            at = NOON + hours(24 * day)
            lines = [payload(f"{day}-{n}", **(held() if n % 3 else {})) for n in range(30)]
            late = [payload(f"{day}-{n}", outputTokens=7) for n in range(6)]
            home.land(f"{day}/a.jsonl", jsonl(*lines, payload("t"), '{"broken"'), landed_at=at)
            home.land(f"{day}/b.jsonl", jsonl(*late, payload("n", **held(outputTokens=-1))),
                      landed_at=at + hours(1))  # fmt: skip
        assert home.take_all() == 2
    assert home.value("SELECT count(*) FROM quarantine WHERE rule = ?", STRICT) == 42
    return home


@pytest.fixture(scope="module")
def filled(make_home: MakeHome) -> PipelineHome:
    """A filled home to read from."""
    return _fill(make_home())


@pytest.fixture
def home(filled: PipelineHome, tmp_path: Path) -> PipelineHome:
    """A copy of it to replay in."""
    return filled.copy(tmp_path / "home")


def _tables(home: PipelineHome) -> dict[str, list[tuple[str, ...]]]:
    return snapshot(home, tables=_TABLES, without=_PLACES)


def _replay(home: PipelineHome, *arguments: str, code: int = 0) -> dict:
    found, out, err = call_opsmeter("replay", *arguments, "--json", home=home.folder)
    assert found == code, err
    return json.loads(out)


def test_quarantine_lists_rules_with_counts_and_samples(filled: PipelineHome) -> None:
    code, out, err = call_opsmeter("quarantine", "--limit", "2", "--json", home=filled.folder)
    assert code == 0, err
    told = json.loads(out)
    assert (told["lines"], told["quarantined"]) == (78, 44)
    assert [(rule["rule"], rule["quarantined"], rule["files"]) for rule in told["rules"]] == [
        (STRICT, 42, 4), ("malformed_json", 2, 2)
    ]  # fmt: skip
    strict, malformed = told["rules"]
    assert strict["would_pass"] == "yes: the rule is no longer in the contract"
    assert strict["share"] == 42 / 78
    assert (strict["first_at"], strict["last_at"]) == (
        "2025-03-10T12:00:00+00:00", "2025-03-11T13:00:00+00:00"
    )  # fmt: skip
    assert (
        malformed["meaning"] == "The line is no JSON by RFC 8259, no UTF-8, or longer than 64 MiB."
    )
    assert [(one["file"], one["line_number"]) for one in malformed["samples"]] == [
        ("1/a.jsonl", 32), ("0/a.jsonl", 32)
    ]  # fmt: skip
    assert len(strict["samples"]) == 2
    assert told["next"].endswith(f"replay --rule {STRICT}")

    code, out, err = call_opsmeter("quarantine", "--file", "1/b.jsonl", home=filled.folder)
    assert code == 0, err
    assert "1/b.jsonl:7" in out
    assert "0/b.jsonl" not in out
    assert f"replay --rule {STRICT}" in out.partition("Try next:")[2]
    code, out, err = call_opsmeter("quarantine", "--rule", "too_long", home=filled.folder)
    assert code == 0, err
    assert out.startswith("Nothing in quarantine by rule too_long; 78 lines were read.")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["replay", "--rule", "malformed_jsno"], "malformed_json"),
        (["quarantine", "--rule", "x"], "not_an_object"),
        (["replay", "--file", "/landing/0/a.jsonl"], "'0/a.jsonl' or '1/a.jsonl'"),
        (["quarantine", "--file", "never.csv"], "SELECT DISTINCT file"),
        (["replay"], "--all"),
        (["replay", "--all", "--rule", STRICT], "--all"),
    ],
    ids=" ".join,
)
def test_what_does_not_exist_is_wrong_usage(
    filled: PipelineHome, arguments: list[str], told: str
) -> None:
    code, out, err = call_opsmeter(*arguments, home=filled.folder)
    assert (code, out) == (2, "")
    assert told in err
    assert "Traceback" not in err


def test_nothing_to_replay_is_success(home: PipelineHome) -> None:
    code, out, err = call_opsmeter("replay", "--rule", "too_long", home=home.folder)
    assert (code, out) == (0, "")
    assert "Nothing to replay" in err
    told = _replay(home, "--rule", "too_long")
    assert (told["moved"], told["rules"], told["ledger"]["lines"]) == (0, [], 0)


def test_replay_tells_what_moved_and_the_second_time_nothing_does(home: PipelineHome) -> None:
    told = _replay(home, "--rule", STRICT)
    assert told["moved"] == 40
    assert told["rules"] == [
        {"rule": STRICT, "quarantined_before": 42, "quarantined_after": 0, "moved": 40},
        {"rule": "malformed_json", "quarantined_before": 2, "quarantined_after": 2, "moved": 0},
        {"rule": "negative_count", "quarantined_before": 0, "quarantined_after": 2, "moved": 0},
    ]
    ledger = home.rows(
        "SELECT sum(lines)::BIGINT, sum(accepted)::BIGINT, sum(quarantined)::BIGINT, count(*), "
        "sum(cost_usd)::VARCHAR FROM ingest_batches"
    )
    assert [tuple(told["ledger"][name] for name in (
        "lines", "accepted", "quarantined", "batches", "cost_usd"
    ))] == ledger  # fmt: skip
    after = _tables(home)
    again = _replay(home, "--all")
    assert again["moved"] == 0
    assert _tables(home) == after
    assert_balanced(home)


def test_replay_of_a_file_takes_its_batches_only(home: PipelineHome) -> None:
    assert _replay(home, "--file", "1/a.jsonl")["moved"] == 20
    assert home.rows("SELECT DISTINCT file FROM moved_lines") == [("1/a.jsonl",)]
    code, out, err = call_opsmeter("replay", "--all", home=home.folder)
    assert code == 0, err
    assert "20 of 24 quarantined lines are events now." in out


def test_a_file_that_is_gone_is_named_and_exits_1(home: PipelineHome) -> None:
    (home.landing / "0/a.jsonl").unlink()
    told = _replay(home, "--all", code=1)
    assert told["moved"] == 20
    (finding,) = told["findings"]
    assert (finding["file"], finding["finding"]) == ("0/a.jsonl", "gone")
    assert "Restore the file" in finding["detail"]
    assert_balanced(home)


def test_a_replay_killed_anywhere_is_completed_by_the_next(
    home: PipelineHome, filled: PipelineHome, tmp_path: Path
) -> None:
    undisturbed = filled.copy(tmp_path / "undisturbed")
    _replay(undisturbed, "--all")
    rng = random.Random(5)
    for _ in range(KILLS):
        process = opsmeter("replay", "--all", home=home.folder)
        while process.poll() is None:
            if [*home.settings.staging.glob("*/ledger/*.parquet")]:
                time.sleep(rng.uniform(0, 0.6))
                process.kill()
                break
            time.sleep(0.002)
        process.communicate()
        shutil.rmtree(home.settings.staging, ignore_errors=True)
        assert_balanced(home)
    _replay(home, "--all")
    assert _tables(home) == _tables(undisturbed)
    assert home.rows("SELECT count(*), count(moved_at) FROM moved_lines") == [(40, 40)]


def test_two_replays_at_once_move_nothing_twice(home: PipelineHome) -> None:
    both = [opsmeter("replay", "--all", "--json", home=home.folder) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0 or "WarehouseBusyError" in err, err
    _replay(home, "--all")
    assert home.rows("SELECT count(*) FROM moved_lines") == [(40,)]
    assert home.value("SELECT count(*) FROM quarantine") == 4
    assert_balanced(home)
