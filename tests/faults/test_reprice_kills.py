"""A reprice that is killed: each of its transactions counts whole or not at all.

`make test` kills one, `make faults` one for each ten of its runs.
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from tests.pipeline.support import (
    NOON,
    OF_A_HOME,
    REPO,
    PipelineHome,
    assert_balanced,
    call_opsmeter,
    clean_environment,
    hours,
    jsonl,
    payload,
    snapshot,
)

KILLS = max(1, int(os.environ.get("FAULT_KILLS", "0")) // 10)
BATCHES = 6
EVENTS = 40
PRICES = """
[[price]]
provider = "acme"
model = "acme-9"
input_usd_per_mtok = "2.00"
output_usd_per_mtok = "8.00"
"""
TRANSACTION_A_BATCH = """
from opsmeter_pipeline.cli import app
from opsmeter_pipeline.storage import reprice

reprice.UNIT_EVENTS = 1
app.call()
"""
LISTED = """
    SELECT day, provider, model, sum(attempts)::BIGINT AS attempts,
        sum(newly_priced_attempts)::BIGINT AS priced, sum(change_cost_usd) AS change_usd,
        count(*) = count(visible_at) AS is_visible
    FROM restatements GROUP BY ALL ORDER BY ALL
"""


def _start_reprice(home: PipelineHome) -> subprocess.Popen[bytes]:
    """Start `opsmeter reprice` as it is, but that each batch is a transaction of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", TRANSACTION_A_BATCH, "reprice"],
        env=clean_environment() | {"OPSMETER_HOME": str(home.folder)},
        cwd=REPO,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _kill_while_it_writes(home: PipelineHome, rng: random.Random) -> bool:
    """Kill it at a random moment after its first file was staged; return if it still ran."""
    process = _start_reprice(home)
    while process.poll() is None and not [*home.settings.staging.rglob("*.parquet")]:
        time.sleep(0.002)
    time.sleep(rng.uniform(0, 1.5))
    process.kill()
    return process.wait() != 0


def test_a_reprice_killed_anywhere_is_completed_by_the_next(
    settled_home: PipelineHome, tmp_path: Path
) -> None:
    home = settled_home
    for batch in range(BATCHES):
        lines = [
            payload(f"{batch}-{n}", provider="acme", model="acme-9", userId=f"u{n % 3}")
            for n in range(EVENTS)
        ]
        home.land(f"{batch}.jsonl", jsonl(*lines, payload(f"{batch}-known")),
                  landed_at=NOON + hours(24 * batch))  # fmt: skip
    assert home.take_all() == BATCHES
    (home.folder / "prices.toml").write_text(PRICES)
    undisturbed = home.copy(tmp_path / "undisturbed")
    assert call_opsmeter("reprice", home=undisturbed.folder)[0] == 0

    rng, killed = random.Random(11), 0
    left = [BATCHES * EVENTS]
    for _ in range(KILLS):
        killed += _kill_while_it_writes(home, rng)
        assert_balanced(home)
        left.append(home.value("SELECT count(*) FROM events WHERE cost_usd IS NULL"))
        assert left[-1] % EVENTS == 0, "a batch is priced whole or not at all"
    assert killed > 0
    assert left == sorted(left, reverse=True)
    code, _, err = call_opsmeter("reprice", home=home.folder)
    assert code == 0, err
    assert_balanced(home)
    logs = ("restatements", "price_versions", "price_catalogue", "prices_own", "day_changes")
    found, expected = (snapshot(one, without=OF_A_HOME) for one in (home, undisturbed))
    differing = {name for name, rows in found.items() if rows != expected[name]}
    assert differing - {*logs} == set()
    assert home.rows(LISTED) == undisturbed.rows(LISTED)
    assert call_opsmeter("reprice", home=home.folder)[0] == 0
    assert home.rows(LISTED) == undisturbed.rows(LISTED)

    home.land("last.jsonl", jsonl(payload("last")), landed_at=None)
    assert call_opsmeter("run", home=home.folder)[0] == 0
    assert [*home.settings.staging.iterdir()] == [], "the next run sweeps what dead ones left"
