"""What of a landing is taken: growing files by whole lines, changed ones never twice."""

import gzip
import io
import json
from datetime import timedelta

import polars as pl
import pytest

from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.storage import records
from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import NOON, PipelineHome, assert_balanced, hours, jsonl, payload

LONG_AGO = timedelta(minutes=10)
"""Longer than `settle_seconds`, which is 300."""


def _lines(*names: str) -> bytes:
    return jsonl(*(payload(name) for name in names))


@pytest.fixture(scope="module")
def growing(make_home: MakeHome) -> PipelineHome:
    """Files that were still being written at the first run, and went on before the second."""
    home = make_home()
    half, rest = (text := _lines("half"))[:40], text[40:]
    crlf = jsonl(payload("c1"), payload("c2"), end="\r\n")
    bare = json.dumps(payload("whole")).encode()

    def write(file: str, content: bytes, *, age: timedelta = timedelta()) -> None:
        home.land(file, content, landed_at=utc_now() - age)

    write("half.jsonl", _lines("h1", "h2") + half)
    write("bare.jsonl", bare)
    write("crlf.jsonl", crlf.removesuffix(b"\r\n"))
    write("first_line.jsonl", half)
    write("abandoned.jsonl", _lines("a1") + half, age=LONG_AGO)
    write("given_up.jsonl", _lines("g1") + half)
    home.take_all()
    home.first = {file.name: home.ledger(file.name) for file in home.landing.iterdir()}
    home.waits_between = home.next_day()

    write("half.jsonl", _lines("h1", "h2") + half + rest + _lines("h3"))
    write("bare.jsonl", bare + b"\n" + _lines("b2"))
    write("crlf.jsonl", crlf + jsonl(payload("c3"), end="\r\n"))
    write("first_line.jsonl", half + rest)
    home.take_all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSMETER_SETTLE_SECONDS", "0")
        home.take_all()
    return home


def test_an_unfinished_last_line_waits_for_its_rest(growing: PipelineHome) -> None:
    assert growing.first["half.jsonl"] == (2, 2, 0, 0, 0)
    assert growing.ledger("half.jsonl") == (4, 4, 0, 0, 0)
    assert growing.rows(
        "SELECT line_number, external_request_id FROM events WHERE file = 'half.jsonl' ORDER BY 1"
    ) == [(1, "h1"), (2, "h2"), (3, "half"), (4, "h3")]


def test_nothing_waits_while_only_unfinished_lines_are_new(growing: PipelineHome) -> None:
    assert growing.waits_between is None


def test_a_complete_object_without_line_feed_is_a_whole_line(growing: PipelineHome) -> None:
    assert growing.first["bare.jsonl"] == (1, 1, 0, 0, 0)


def test_the_line_feed_that_comes_later_is_no_line_of_its_own(growing: PipelineHome) -> None:
    assert growing.ledger("bare.jsonl") == (2, 2, 0, 0, 0)
    assert growing.rows(
        "SELECT line_number, external_request_id FROM events WHERE file = 'bare.jsonl' ORDER BY 1"
    ) == [(1, "whole"), (2, "b2")]


def test_a_file_with_crlf_is_followed_like_any_other(growing: PipelineHome) -> None:
    assert growing.first["crlf.jsonl"] == (2, 2, 0, 0, 0)
    assert growing.ledger("crlf.jsonl") == (3, 3, 0, 0, 0)
    assert growing.rows(
        "SELECT line_number, external_request_id FROM events WHERE file = 'crlf.jsonl' ORDER BY 1"
    ) == [(1, "c1"), (2, "c2"), (3, "c3")]


def test_a_file_whose_first_line_is_unfinished_gives_no_line_yet(growing: PipelineHome) -> None:
    assert growing.first["first_line.jsonl"] == (0, 0, 0, 0, 0)
    assert growing.ledger("first_line.jsonl") == (1, 0, 1, 0, 0)  # as in half.jsonl


def test_a_file_that_has_settled_is_taken_as_it_is(growing: PipelineHome) -> None:
    assert growing.first["abandoned.jsonl"] == (2, 1, 0, 1, 0)
    assert growing.first["given_up.jsonl"] == (1, 1, 0, 0, 0)
    assert growing.ledger("given_up.jsonl") == (2, 1, 0, 1, 0)
    assert growing.rows("SELECT file, line_number, rule FROM quarantine ORDER BY file") == [
        ("abandoned.jsonl", 2, "malformed_json"),
        ("given_up.jsonl", 2, "malformed_json"),
    ]


def test_the_slices_of_a_growing_file_meet(growing: PipelineHome) -> None:
    assert_balanced(growing)
    slices = growing.rows(
        "SELECT byte_start, byte_end FROM ingest_files WHERE file = 'half.jsonl' ORDER BY 1"
    )
    assert slices[0][0] == 0
    assert slices[0][1] == slices[1][0] == len(_lines("h1", "h2"))
    assert slices[1][1] == len(_lines("h1", "h2", "half", "h3"))


@pytest.fixture(scope="module")
def changed(make_home: MakeHome) -> PipelineHome:
    """Files that were taken once and are no longer the same at the second run."""
    home = make_home()
    before, later = _lines("x1", "x2", "x3"), NOON + hours(1)
    names = ("shrunk.jsonl", "edited.jsonl", "touched.jsonl", "kept.jsonl", "gone.jsonl")
    for name in names:
        home.land(name, before.replace(b'"x', b'"' + name[0].encode()))
    home.land("grown.jsonl.gz", gzip.compress(_lines("z1")))
    assert home.take_all() == 1
    home.before = home.rows("SELECT external_request_id FROM events ORDER BY 1")

    home.land("shrunk.jsonl", _lines("s1"), landed_at=later)
    home.land("edited.jsonl", _lines("e1", "e9", "e3"), landed_at=later)
    home.land("touched.jsonl", _lines("t1", "t2", "t3"), landed_at=later)
    home.land("grown.jsonl.gz", gzip.compress(_lines("z1", "z2", "z3")), landed_at=later)
    (home.landing / "gone.jsonl").unlink()
    home.land("new.jsonl", _lines("n1"), landed_at=later)
    assert home.take_all() == 1
    return home


def test_a_changed_file_is_found_and_never_taken_again(changed: PipelineHome) -> None:
    assert changed.findings() == {
        "shrunk.jsonl": "changed",
        "edited.jsonl": "changed",
        "grown.jsonl.gz": "changed",
        "touched.jsonl": "touched",
    }
    after = changed.rows("SELECT external_request_id FROM events ORDER BY 1")
    assert after == sorted([*changed.before, ("n1",)])
    assert_balanced(changed)


def test_a_finding_is_told_once(changed: PipelineHome) -> None:
    assert changed.next_day() is None
    assert changed.value("SELECT count(*) FROM landing_findings") == 4


def test_what_is_no_telemetry_is_ignored_or_found(home: PipelineHome) -> None:
    for ignored in (".hidden.jsonl", ".folder/a.jsonl", "a.jsonl.tmp", "a.jsonl.manifest.json"):
        home.land(ignored, _lines("ignored"))
    home.land("notes.txt", b"buy milk")
    home.land("usage.json", _lines("no format of ours"))
    home.land("deep/in/a folder/it's.jsonl", _lines("taken"))
    home.land("empty.jsonl", b"")
    home.land("blank.jsonl", b"\n  \n\t\r\n")
    assert home.take_all() == 1
    assert home.findings() == {"notes.txt": "unsupported", "usage.json": "unsupported"}
    assert home.rows("SELECT file, lines, accepted, blank FROM ingest_files ORDER BY file") == [
        ("blank.jsonl", 3, 0, 3),
        ("deep/in/a folder/it's.jsonl", 1, 1, 0),
        ("empty.jsonl", 0, 0, 0),
    ]
    assert home.next_day() is None
    assert_balanced(home)


def test_damaged_files_are_found_and_keep_no_other_file_from_being_taken(
    home: PipelineHome,
) -> None:
    cut = gzip.compress(_lines(*(f"r{n}" for n in range(50))))[:-20]
    home.land("cut.jsonl.gz", cut)
    home.land("text.jsonl.gz", _lines("no gzip"))
    home.land("text.jsonl.zst", _lines("no zstd"))
    home.land("text.parquet", _lines("no parquet"))
    home.land("half.parquet", _parquet_bytes()[:-30])
    home.land("good.jsonl", _lines("good"))
    assert home.take_all() == 1
    assert home.findings() == {
        "cut.jsonl.gz": "damaged",
        "half.parquet": "damaged",
        "text.jsonl.gz": "damaged",
        "text.jsonl.zst": "damaged",
        "text.parquet": "damaged",
    }
    assert home.ledger("good.jsonl") == (1, 1, 0, 0, 0)
    assert home.next_day() is None
    assert_balanced(home)


def test_file_that_unpacks_beyond_the_limit_is_taken_up_to_it_and_replayed_with_a_higher_one(
    home: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [_lines(f"r{n:03}") for n in range(200)]
    home.land("bomb.jsonl.gz", gzip.compress(b"".join(lines)))
    monkeypatch.setenv("OPSMETER_UNPACKED_BYTES", str(50 * len(lines[0]) + 10))
    assert home.take_all() == 1
    assert home.findings() == {"bomb.jsonl.gz": "oversized"}
    assert home.ledger("bomb.jsonl.gz") == (51, 50, 0, 1, 0)  # the last one is cut
    assert "OPSMETER_UNPACKED_BYTES" in home.value("SELECT detail FROM landing_findings")
    assert home.next_day() is None

    monkeypatch.delenv("OPSMETER_UNPACKED_BYTES")
    assert home.run(replay=True).success
    assert home.ledger("bomb.jsonl.gz") == (200, 200, 0, 0, 0)
    assert_balanced(home)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_line_too_long_to_be_held_is_refused_and_costs_no_other_line(
    home: PipelineHome, monkeypatch: pytest.MonkeyPatch, end: bytes
) -> None:
    monkeypatch.setattr(records, "MAX_LINE_BYTES", 100_000)
    monkeypatch.setenv("OPSMETER_CHUNK_BYTES", "10000")
    endless = jsonl(payload("long", comment="x" * 1_000_000)).rstrip(b"\n")
    home.land("a.jsonl", _lines("before") + endless + b"\n" + _lines("after") + endless + end)
    assert home.take_all() == 1
    assert home.ledger("a.jsonl") == (4, 2, 0, 2, 0)
    places = home.rows("SELECT rule, line_number FROM quarantine ORDER BY 2")
    assert places == [("malformed_json", 2), ("malformed_json", 4)]
    assert_balanced(home)


def test_what_was_read_before_the_damage_is_taken(
    home: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSMETER_CHUNK_BYTES", "2000")
    names = [f"r{n:03}" for n in range(200)]
    home.land("cut.jsonl.gz", gzip.compress(_lines(*names))[:-100])
    assert home.take_all() == 1
    assert home.findings() == {"cut.jsonl.gz": "damaged"}
    taken = [name for (name,) in home.rows("SELECT external_request_id FROM events ORDER BY 1")]
    assert 0 < len(taken) < 200
    assert taken == names[: len(taken)]
    assert_balanced(home)


def _parquet_bytes() -> bytes:
    content = io.BytesIO()
    pl.DataFrame([payload("p1"), payload("p2")]).write_parquet(content)
    return content.getvalue()


def test_findings_alone_are_told_once_and_then_rest(home: PipelineHome) -> None:
    home.land("notes.txt", b"buy milk")
    assert home.take_all() == 1
    home.land("a.jsonl", _lines("a"))
    assert home.take_all() == 1
    home.land("a.jsonl", _lines("a"), landed_at=NOON + hours(1))
    assert home.take_all() == 1
    assert home.findings() == {"notes.txt": "unsupported", "a.jsonl": "touched"}
    assert home.next_day() is None
    assert home.ledger("a.jsonl") == (1, 1, 0, 0, 0)
