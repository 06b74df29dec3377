"""When all that waits will have been taken: cases worked out by hand."""

from typing import Any

import pytest

from opsmeter_pipeline.landing.catch_up import CatchUp, TakenBatch, Waiting, estimate_catch_up
from tests.scenario import NOW, at

MB = 1_000_000


def batch(taken: float, visible: float | None, megabytes: float) -> TakenBatch:
    seen = None if visible is None else at(visible)
    return TakenBatch(at(taken), seen, round(megabytes * MB))


def estimate(
    *batches: TakenBatch,
    waits: float = 340,
    landed: float = 0,
    since: float = -400,
    is_dated: bool = True,
    **changes: Any,
) -> CatchUp:
    """Return the estimate with one file that waits, landed before the last five minutes."""
    files = [Waiting(at(since), round(waits * MB), is_dated)] if waits else []
    options = {"now": NOW, "landed_bytes": round(landed * MB), "batch_bytes": 100 * MB} | changes
    return estimate_catch_up(files, batches, **options)


TURNS = (batch(-100, -60, 100), batch(-50, -10, 100))
"""40 s each and 10 s between them: 200 MB in 100 s, 2 MB/s."""


def test_what_waits_is_divided_by_the_speed_of_the_last_batches() -> None:
    found = estimate(*TURNS)
    assert (found.state, found.caught_up_at) == ("catching_up", at(170))  # 340 / 2
    assert (found.taken_bytes_per_second, found.landed_bytes_per_second) == (2 * MB, 0)
    assert found.describe() == (
        "1 files, 340.0 MB wait; about 3 min at 2.0 MB/s taken, 0 B/s landing"
    )


def test_what_lands_meanwhile_is_taken_off_the_speed() -> None:
    """300 MB in five minutes are 1 MB/s, so 340 MB shrink by 1 MB/s."""
    assert estimate(*TURNS, landed=300).caught_up_at == at(340)
    # Of a file that landed in these five minutes and still waits it is the same.
    assert estimate(*TURNS, waits=300, since=-200).caught_up_at == at(300)


def test_a_backlog_that_grows_is_never_caught_up_at_this_rate() -> None:
    found = estimate(*TURNS, landed=600)
    assert (found.state, found.caught_up_at) == ("falling_behind", None)
    assert found.how == "never at this rate: 2.0 MB/s taken, 2.0 MB/s landing"
    assert estimate(*TURNS, landed=599).state == "catching_up"


def test_what_landed_at_unknown_times_gives_no_verdict() -> None:
    grown = estimate(*TURNS, waits=900, since=-5, is_dated=False)
    assert (grown.state, grown.caught_up_at) == ("unknown", None)
    assert "growing file" in grown.how
    assert estimate(*TURNS, waits=900, since=-5).state == "falling_behind"
    assert estimate(*TURNS, waits=90, since=-5, is_dated=False).state == "catching_up"


def test_nothing_that_waits_is_caught_up_whatever_the_history() -> None:
    for batches in ((), TURNS):
        found = estimate(*batches, waits=0)
        assert (found.state, found.caught_up_at, found.waiting_files) == ("caught_up", NOW, 0)
        assert found.describe() == "nothing waits"


def test_the_least_is_one_turn() -> None:
    """A kilobyte at 2 MB/s would be half a millisecond; the shortest turn took 50 s."""
    assert estimate(*TURNS, waits=0.001).caught_up_at == at(50)


@pytest.mark.parametrize(
    "batches",
    [
        (),
        (batch(-3_601, -3_560, 100),),  # more than an hour ago
        (batch(-50, None, 100),),  # not measured
        (batch(-50, -50, 100),),
        (batch(-50, -90, 100),),  # the clock jumped back during it
        (batch(50, 90, 100),),  # or since
        (batch(-50, 10, 100),),
    ],
)
def test_batches_no_clock_measured_are_no_history(batches: tuple[TakenBatch, ...]) -> None:
    found = estimate(*batches)
    assert (found.state, found.caught_up_at, found.taken_bytes_per_second) == (
        "unknown",
        None,
        None,
    )
    assert found.how == "no estimate: no batch was taken in the last 60 min"
    # Beside good ones they change nothing.
    assert estimate(*TURNS, *batches).caught_up_at == at(170)


def test_small_batches_do_not_tell_how_fast_large_ones_are() -> None:
    """The next batch is full, 100 MB; one of 10 MB may tell of it, one of less may not."""
    assert estimate(batch(-50, -10, 9.9)).how.endswith("no batch of like size was taken lately")
    assert estimate(batch(-50, -10, 10)).taken_bytes_per_second == 10 * MB / 50  # 40 s + a turn
    assert estimate(batch(-50, -10, 9.9), waits=99).state == "catching_up"


def test_batches_of_half_the_next_ones_size_tell_alone_where_there_are_any() -> None:
    """The next is full, 100 MB. 50 MB in 50 s say 1 MB/s; 40 MB in 50 s would say less."""
    assert estimate(batch(-100, -60, 40), batch(-50, -10, 50)).taken_bytes_per_second == MB
    assert estimate(batch(-100, -60, 40), batch(-50, -10, 49)).taken_bytes_per_second == 0.89 * MB


def test_a_pause_in_which_nothing_waited_is_not_counted() -> None:
    """The second pause lasted 300 s; the usual one, 10 s, counts instead: 300 MB in 150 s."""
    found = estimate(batch(-450, -410, 100), batch(-400, -360, 100), batch(-60, -20, 100))
    assert found.taken_bytes_per_second == 2 * MB


def test_nothing_is_promised_while_nothing_becomes_visible() -> None:
    old = batch(-900, -660, 100)
    assert estimate(old, since=-700).how == "no estimate: nothing became visible for 11 min"
    # Unless what waits has only just come.
    assert estimate(old, since=-500).state == "catching_up"


def test_overlapping_batches_have_no_pause_between_them() -> None:
    """Two runs by hand at once: the second counts with the pause where none tells, 10 s each."""
    found = estimate(batch(-100, -60, 100), batch(-80, -40, 100))
    assert found.taken_bytes_per_second == 2 * MB


def test_a_file_of_which_nothing_came_is_divided_by_nothing() -> None:
    found = estimate(batch(-50, -10, 0), waits=0.000_001, batch_bytes=1)
    assert (found.state, found.taken_bytes_per_second) == ("unknown", None)
