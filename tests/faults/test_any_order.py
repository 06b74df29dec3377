"""Land, grow, run, kill and backfill in any order: after each step nothing is lost or doubled."""

import os
import shutil
import tempfile
import time
from pathlib import Path

import dagster as dg
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.pipeline.support import (
    NOON,
    PipelineHome,
    assert_balanced,
    hours,
    jsonl,
    opsmeter,
    payload,
)

_EXAMPLES = 20 if "FAULT_KILLS" in os.environ else 2
_REQUESTS = st.integers(0, 30).map(lambda number: payload(f"r{number}"))
_LINES = st.lists(
    st.one_of(_REQUESTS, st.sampled_from(["", "{", "[]", '{"provider":1}'])), max_size=6
)
_FILES = st.sampled_from(["a", "b", "c", "d"])
_DAYS = st.integers(0, 1)


class Landing(RuleBasedStateMachine):
    """A home and what a plain count of the landed lines expects of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="any-order-"))
        self.instance = dg.DagsterInstance.ephemeral()
        self.home = PipelineHome(self.folder / "home", self.instance)
        self.texts: dict[str, bytes] = {}
        self.days: dict[str, int] = {}

    @initialize()
    def set_up(self) -> None:
        self.home.take_all()

    @rule(file=_FILES, day=_DAYS, lines=_LINES)
    def land_or_grow(self, file: str, day: int, lines: list[dict[str, object] | str]) -> None:
        day = self.days.setdefault(file, day)
        text = self.texts[file] = self.texts.get(file, b"") + jsonl(*lines)
        # A file that grows gets a later time, as a file system gives it.
        landed_at = NOON + hours(24 * day) + hours(len(text) / 1e6)
        self.home.land(f"{file}.jsonl", text, landed_at=landed_at)

    @rule()
    def run(self) -> None:
        self.home.take_all()
        self._assert_all_is_taken()

    @rule(day=_DAYS)
    def backfill(self, day: int) -> None:
        assert self.home.run((NOON + hours(24 * day)).date(), replay=True).success

    @rule(seconds=st.floats(1.0, 4.0))
    def kill(self, seconds: float) -> None:
        process = opsmeter("run", home=self.home.folder)
        time.sleep(seconds)
        process.kill()
        process.communicate()

    @invariant()
    def ledger_balances(self) -> None:
        assert_balanced(self.home)

    def _assert_all_is_taken(self) -> None:
        lines = [line for text in self.texts.values() for line in text.split(b"\n")[:-1]]
        requests = [line for line in lines if b"externalRequestId" in line]
        blank = lines.count(b"")
        assert self.home.rows(
            "SELECT coalesce(sum(lines), 0)::BIGINT, coalesce(sum(accepted), 0)::BIGINT,"
            " coalesce(sum(duplicates), 0)::BIGINT, coalesce(sum(quarantined), 0)::BIGINT,"
            " coalesce(sum(blank), 0)::BIGINT FROM ingest_batches"
        ) == [
            (
                len(lines),
                len(set(requests)),
                len(requests) - len(set(requests)),
                len(lines) - len(requests) - blank,
                blank,
            )
        ]

    def teardown(self) -> None:
        self.home.take_all()
        self._assert_all_is_taken()
        self.instance.dispose()
        shutil.rmtree(self.folder, ignore_errors=True)


TestAnyOrder = Landing.TestCase
TestAnyOrder.settings = settings(
    settings.get_profile("pipeline"), max_examples=_EXAMPLES, stateful_step_count=8
)
