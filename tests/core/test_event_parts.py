"""Parts of event rows come back as they were written, whatever was numbered in between."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from opsmeter_pipeline.storage.event_parts import EventParts

REPO = Path(__file__).resolve().parents[2]
SCHEMA = {"seq": pl.Int64(), "model": pl.Categorical(), "user_id": pl.Categorical()}
TEXTS = st.none() | st.text(max_size=4)
PARTS = st.lists(
    st.lists(st.tuples(st.integers(0, 9), TEXTS, TEXTS), max_size=5), min_size=1, max_size=4
)


def write(folder: Path, parts: list[list[tuple]]) -> list[pl.DataFrame]:
    frames = [pl.DataFrame(rows, SCHEMA, orient="row") for rows in parts]
    with EventParts(folder).write() as writer, ThreadPoolExecutor() as pool:
        [*pool.map(writer.write, range(len(frames)), frames)]
    return frames


@given(parts=PARTS)
def test_parts_come_back_as_they_were_written(tmp_path_factory, parts: list) -> None:
    folder = tmp_path_factory.mktemp("parts")
    frames = write(folder, parts)
    read = EventParts(folder)
    for path, frame in zip(read.paths, frames, strict=True):
        assert_frame_equal(read.read(path), frame)
        if frame.height:
            assert_frame_equal(read.read(path, ["user_id", "seq"]), frame.select("user_id", "seq"))


def test_another_process_reads_the_same_texts(tmp_path: Path) -> None:
    """There Polars has numbered other texts."""
    write(tmp_path, [[(1, "a", None), (2, "b", "ü")], [(3, "c", "a")]])
    code = f"""
import polars as pl
from pathlib import Path
from opsmeter_pipeline.storage.event_parts import EventParts
other = pl.Series(["z", "ü", "c"], dtype=pl.Categorical)
parts = EventParts(Path({str(tmp_path)!r}))
print(pl.concat(map(parts.read, parts.paths)).rows())
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=REPO)
    assert done.stdout.decode().strip() == "[(1, 'a', None), (2, 'b', 'ü'), (3, 'c', 'a')]"


def test_texts_of_no_part_are_not_written(tmp_path: Path) -> None:
    """Polars numbers what was read, such as an e-mail address that was hashed afterwards."""
    raw = pl.Series(["before@example.com"], dtype=pl.Categorical)
    write(tmp_path, [[(1, None, "h_1")], [(2, "m", None)]])
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"h_1" in written
    assert raw.cast(pl.String).item().encode() not in written


def test_texts_of_rows_that_were_left_out_are_not_written(tmp_path: Path) -> None:
    """A filtered column still holds the texts of all rows, such as a refused line's id."""
    ids = [f"an id that is not short {number}" for number in range(20)]
    events = pl.DataFrame({"id": [*ids, "request of someone@example.com"]}).head(20)
    kept = pl.concat([events, pl.DataFrame({"id": ["of someone@example.com"]})]).filter(
        ~pl.col("id").str.contains("@")
    )
    with EventParts(tmp_path).write() as writer:
        writer.write(0, kept)
    assert b"example.com" not in (tmp_path / "00000.arrow").read_bytes()
    assert EventParts(tmp_path).read(tmp_path / "00000.arrow")["id"].to_list() == ids


def test_columns_without_a_value_have_as_many_rows_as_the_others(tmp_path: Path) -> None:
    write(tmp_path, [[(1, None, "u"), (2, None, None)]])
    parts = EventParts(tmp_path)
    assert parts.read(parts.paths[0], ["model"])["model"].to_list() == [None, None]


def write_and_stop(folder: Path) -> None:
    with EventParts(folder).write() as writer:
        writer.write(0, pl.DataFrame([(1, "a", "b")], SCHEMA, orient="row"))
        raise ValueError("stopped")


def test_parts_whose_writing_failed_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stopped"):
        write_and_stop(tmp_path)
    with pytest.raises(FileNotFoundError):
        EventParts(tmp_path).read(tmp_path / "00000.arrow")
