"""Regular lines: which they are, and that the quick way reads them as the exact way does."""

import json
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsmeter_pipeline.contract.exact import parse_exactly
from opsmeter_pipeline.contract.lines import Lines, read_lines
from opsmeter_pipeline.model.landed import Part
from tests.scenario import ABSENT, line, payload
from tests.strategies import lines, valid_payloads

REPO = Path(__file__).resolve().parents[2]
LAST = b"a last line, which the quick way never reads"


def read(*texts: bytes | str) -> Lines:
    encoded = [text if isinstance(text, bytes) else text.encode() for text in texts]
    return read_lines(b"\n".join([*encoded, LAST, b""]), [Part(0, 1, len(texts) + 1)])


def are_regular(*texts: bytes | str) -> list[bool]:
    positions = set(read(*texts).regular["position"])
    return [nth in positions for nth in range(len(texts))]


def in_order(*names: str) -> str:
    fields = payload()
    return json.dumps({name: fields[name] for name in names})


def test_compact_and_spaced_lines_are_regular() -> None:
    compact = json.dumps(payload(), separators=(",", ":"))
    spaced = json.dumps(payload(), separators=(" ,\t", " :\r ")).replace("}", " } \r")
    assert are_regular(line(), compact, spaced) == [True, True, True]


def test_lines_that_lack_some_fields_are_regular_beside_full_ones() -> None:
    assert all(are_regular(line(), line(userId=ABSENT), line(status=ABSENT, latencyMs=ABSENT)))
    assert all(are_regular(line(), line(externalRequestId=ABSENT)))


def test_fields_may_come_in_any_order() -> None:
    orders = list(permutations(["provider", "model", "endpointTag"]))
    assert all(are_regular(*(in_order(*names) for names in orders)))


def test_null_is_a_value_of_any_field() -> None:
    assert all(are_regular(*(line(**{name: None}) for name in payload())))


def test_letters_of_any_script_are_regular() -> None:
    spelled = json.dumps(payload(tenantId="Zürich", model="模型 🙂"), ensure_ascii=False)
    assert are_regular(line(), spelled) == [True, True]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        line()[:-1],
        line() + line(),
        line().replace(",", ",,", 1),
        line()[:-1] + ",}",
        line()[:-1] + ',"provider":"again"}',  # a field twice
        line()[:-1] + ',"colour":"red"}',  # a field nobody knows
        line().replace('"provider"', '"provide"'),
        line().replace('"provider"', '"providers"'),
        line(model='quoted "name"'),  # escapes
        line(model="tab\t"),
        line(inputTokens=-1),
        line(inputTokens=1.5),
        line(inputTokens="12"),
        line(inputTokens=True),
        line(inputTokens=10**13),
        line(inputTokens=54321).replace("54321", "054321"),
        line(provider=5),
        line(provider={"name": "openai"}),
        line(status=99),
        line(status=600),
        line(timestamp=1_763_892_000),  # seconds
        line(timestamp=10**30),
        *(
            line(timestamp=moment)
            for moment in (
                "2026-11-20 10:00",
                "2026-11-20T10:00:00",
                "2026-11-20T10:00:00.Z",
                "2026-11-20T10:00:00.0000000001Z",
                "2026-11-20T10:00:60Z",
                "2026-11-20T24:00:00Z",
                "2026-02-29T10:00:00Z",
                "2026-13-01T10:00:00Z",
                "2026-11-00T10:00:00Z",
                "2026-11-20T10:00:00+24:00",
                "2026-11-20T10:00:00+0100",
                "2026-11-20T10:00:00Zulu",
                "0001-01-01T00:00:00Z",
            )
        ),
    ],
)
def test_anything_else_is_left_to_the_exact_way(text: str) -> None:
    assert are_regular(line(), text, line()) == [True, False, True]
    assert are_regular(text) == [False]


@pytest.mark.parametrize(
    "byte",
    [
        *(b"\x80", b"\xc1\x81", b"\xc3(", b"\xe0\x80\x80", b"\xe2\x82", b"\xed\xa0\x80"),
        *(b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff"),
    ],
)
def test_line_of_unreadable_bytes_is_not_regular(byte: bytes) -> None:
    spoilt = line(model="MODEL").encode().replace(b"MODEL", byte)
    found = read(line(), spoilt)
    assert list(found.irregular) == [1, 2]
    assert list(found.read(found.irregular)) == [None, LAST.decode()]


def test_last_line_is_left_to_the_exact_way_and_lost_by_none() -> None:
    assert list(read_lines(b"", []).irregular) == []
    for texts in ([b"1"], [b"", b" \t\r"], [b""], [line().encode()], [line().encode(), b"", b"2"]):
        found = read_lines(b"\n".join([*texts, b""]), [Part(0, 1, len(texts))])
        every = sorted([*found.regular["position"], *found.blank, *found.irregular])
        assert every == list(range(len(texts)))
        assert list(found.blank) == [at for at, text in enumerate(texts) if not text.strip()]
        assert list(found.read(found.irregular)) == [texts[at].decode() for at in found.irregular]


@pytest.mark.parametrize("field", ["externalRequestId", "model", "tenantId", "endpointTag"])
@pytest.mark.parametrize("start", ["xک", "xڤ", "BZh91AY", "(µ/ý", "PK"])
def test_texts_that_begin_as_compressed_files_do_are_texts(field: str, start: str) -> None:
    spelled = json.dumps(payload(**{field: start}), ensure_ascii=False)
    check_that_both_ways_agree([spelled.encode(), line().encode()])
    assert are_regular(spelled, line()) == [True, True]


@pytest.mark.parametrize(("text", "lines"), [(b"{}\n{}\n", 1), (b"{}\n", 2), (b"{}\n{}", 2)])
def test_a_chunk_that_is_not_what_its_parts_tell_is_refused(text: bytes, lines: int) -> None:
    with pytest.raises(ValueError, match="chunk"):
        read_lines(text, [Part(0, 1, lines)])


def test_nothing_behind_the_text_is_read() -> None:
    """A line that ends where a name should begin, and behind it a name's first word."""
    done = subprocess.run([sys.executable, "-c", _AT_THE_END_OF_A_PAGE], check=False, cwd=REPO)
    assert done.returncode == 0


_AT_THE_END_OF_A_PAGE = """
import ctypes, mmap
import numpy as np
from opsmeter_pipeline.contract import kernel, lines

text = b"{\\nexternal\\n"
size = mmap.PAGESIZE
pages = mmap.mmap(-1, 2 * size)
start = size - len(text)
pages[start:size] = text
protect = ctypes.CDLL(None).mprotect
protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
assert protect(ctypes.addressof(ctypes.c_char.from_buffer(pages)) + size, size, 0) == 0
here = np.frombuffer(pages, np.uint8)[start:size]
here.flags.writeable = False  # as a chunk's is
found = lines._make_room(2, len(text))
assert kernel.read_lines(here, lines._FIELDS, found).rows == 0
"""


@pytest.mark.parametrize("length", range(20))
def test_texts_of_any_length_are_read_whole(length: int) -> None:
    """Bytes are looked at eight at a time: each length ends at another place of a word."""
    request, tenant = "r" * length, "t" + "é" * (length // 2)
    text = json.dumps(payload(externalRequestId=request, tenantId=tenant), ensure_ascii=False)
    [row] = read(text).regular.to_dicts()
    assert (row["external_request_id"], row["tenant_id"]) == (request, tenant)


@pytest.mark.parametrize("place", range(20))
@pytest.mark.parametrize("spoilt", [b"\\n", b"\x01", b"\x1f", b"\x80", b"\xff", b'"'])
def test_byte_that_is_no_plain_text_is_found_at_any_place(spoilt: bytes, place: int) -> None:
    good = b"x" * 20
    text = line(model="MODEL").encode()
    bad = text.replace(b"MODEL", good[:place] + spoilt + good[place:])
    assert are_regular(text.replace(b"MODEL", good), bad) == [True, False]


@settings(max_examples=300)
@given(data=st.data(), fields=valid_payloads())
def test_line_with_a_byte_changed_is_regular_only_if_the_exact_way_reads_the_same(
    data: st.DataObject, fields: dict
) -> None:
    text = bytearray(json.dumps(fields, ensure_ascii=False).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at, byte = data.draw(st.integers(0, len(text) - 1)), data.draw(st.integers(0, 255))
        kind = data.draw(st.sampled_from(["change", "insert", "delete"]))
        text[at : at + (kind != "insert")] = bytes([byte]) * (kind != "delete")
    check_that_both_ways_agree([bytes(text)])


@settings(max_examples=300)
@given(
    texts=st.lists(
        st.one_of(
            lines(),
            valid_payloads().map(lambda one: json.dumps(one).encode()),
            valid_payloads().map(lambda one: json.dumps(one, ensure_ascii=False).encode()),
        ),
        max_size=10,
    )
)
def test_quick_and_exact_way_read_regular_lines_alike(texts: list[bytes]) -> None:
    check_that_both_ways_agree(texts)


def check_that_both_ways_agree(texts: list[bytes]) -> None:
    found = read(*(one.replace(b"\n", b"") for one in texts))
    positions = found.regular["position"]
    exact = parse_exactly(zip(positions, found.read(positions), strict=True))
    assert exact.rejected.is_empty()
    assert exact.rows["extra"].null_count() == found.regular.height
    assert found.regular.equals(exact.rows.drop("extra"))
