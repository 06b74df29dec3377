"""Whatever bytes land under whatever name of ours: the job succeeds and every line is counted."""

import gzip
import io
from collections.abc import Callable

import polars as pl
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import PipelineHome, assert_balanced, jsonl, payload

FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "parquet")
_GOOD = [payload("a"), payload("b", userId="ü"), payload("c", attempt=1)]


def _parquet() -> bytes:
    content = io.BytesIO()
    pl.DataFrame(_GOOD, infer_schema_length=None).write_parquet(content)
    return content.getvalue()


def _csv() -> bytes:
    return pl.DataFrame(_GOOD, infer_schema_length=None).write_csv().encode()


ENCODED: dict[str, Callable[[], bytes]] = {
    "jsonl": lambda: jsonl(*_GOOD),
    "jsonl.gz": lambda: gzip.compress(jsonl(*_GOOD)),
    "jsonl.zst": lambda: zstd.compress(jsonl(*_GOOD)),
    "csv": _csv,
    "parquet": _parquet,
}
_pieces = st.sampled_from(
    [b"\n", b"\r\n", b"\r", b"\x00", b'"', b"{", b"}", b",", b"\\u0000", b"\xef\xbb\xbf", b"\xff",
     b"NaN", b"1e999", b'{"a":1}', jsonl(_GOOD[0]), jsonl(_GOOD[0]).strip(), b"\xe2\x80\xa8"]
)  # fmt: skip
_bytes = st.binary(max_size=200) | st.lists(_pieces | st.binary(max_size=6), max_size=12).map(
    b"".join
)


@st.composite
def _spoiled(draw: st.DrawFn, form: str) -> bytes:
    """Draw a good file with a part of it replaced, moved to the front or cut off."""
    content = ENCODED[form]()
    start = draw(st.integers(0, len(content)))
    end = draw(st.integers(start, min(len(content), start + 40)))
    return content[:start] + draw(_bytes) + content[end:]


@st.composite
def _files(draw: st.DrawFn) -> list[tuple[str, bytes]]:
    forms = draw(st.lists(st.sampled_from(FORMATS), min_size=8, max_size=14))
    return [(form, draw(_content(form))) for form in forms]


def _content(form: str) -> st.SearchStrategy[bytes]:
    text = _bytes
    if form == "jsonl.gz":
        text = text | text.map(gzip.compress)
    if form == "jsonl.zst":
        text = text | text.map(zstd.compress)
    return text | _spoiled(form)


@pytest.fixture(scope="module")
def shared(make_home: MakeHome) -> PipelineHome:
    return make_home()


# A few runs of many files each: the number of files is the point, and a run costs seconds.
@settings(max_examples=6)
@given(files=_files())
def test_any_bytes_are_accounted_for(shared: PipelineHome, files: list[tuple[str, bytes]]) -> None:
    number = len([*shared.landing.iterdir()])
    names = [f"{number + n}.{form}" for n, (form, _) in enumerate(files)]
    for name, (_, content) in zip(names, files, strict=True):
        shared.land(name, content)
    assert shared.take_all() == 1
    assert_balanced(shared)
    taken = {file for (file,) in shared.rows("SELECT file FROM ingest_files")}
    assert set(names) <= taken
    for name, (form, content) in zip(names, files, strict=True):
        if form == "jsonl":
            assert shared.ledger(name)[0] == _count_lines(content), content
        for path in (shared.landing / name,):
            path.unlink()
            path.with_name(f".{name}").touch()  # its name stays used


def _count_lines(content: bytes) -> int:
    text = content.removeprefix(b"\xef\xbb\xbf")
    return text.count(b"\n") + (not text.endswith(b"\n") and bool(text))
