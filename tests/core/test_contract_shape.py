"""Regular lines: what a sample teaches, and that the quick way reads them as the exact way does."""

import json
from itertools import permutations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsmeter_pipeline.contract.exact import parse_exactly
from opsmeter_pipeline.contract.lines import parse_regular, split_lines
from opsmeter_pipeline.contract.readings import read_rows
from opsmeter_pipeline.contract.shape import find_regular
from opsmeter_pipeline.model.landed import Part
from tests.scenario import ABSENT, line, payload
from tests.strategies import lines, valid_payloads


def are_regular(*texts: str | None) -> list[bool]:
    return find_regular(pl.Series(texts, dtype=pl.String)).mask.to_list()


def in_order(*names: str) -> str:
    fields = payload()
    return json.dumps({name: fields[name] for name in names})


def test_compact_and_spaced_lines_are_regular() -> None:
    assert are_regular(line(), json.dumps(payload(), separators=(",", ":"))) == [True, True]


def test_lines_that_lack_some_fields_are_regular_beside_full_ones() -> None:
    assert all(are_regular(line(), line(userId=ABSENT), line(status=ABSENT, latencyMs=ABSENT)))
    assert all(are_regular(line(), line(externalRequestId=ABSENT)))


def test_each_producer_may_keep_an_order_of_its_own() -> None:
    orders = list(permutations(["provider", "model", "endpointTag"]))
    assert all(are_regular(*(in_order(*names) for names in orders)))


def test_null_is_a_value_of_any_field() -> None:
    assert all(are_regular(*(line(**{name: None}) for name in payload())))


def test_letters_of_any_script_are_regular_also_among_ascii_lines() -> None:
    assert are_regular(line(), line(tenantId="Zürich"), line(model="模型")) == [True] * 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        line()[:-1],
        line() + " ",
        line() + line(),
        line().replace(",", ",,", 1),
        line()[:-1] + ",}",
        line()[:-1] + ',"provider":"again"}',  # a field twice
        line()[:-1] + ',"colour":"red"}',  # a field nobody knows
        line(model='quoted "name"'),  # escapes
        line(model="tab\t"),
        line(inputTokens=-1),
        line(inputTokens=1.5),
        line(inputTokens="12"),
        line(inputTokens=True),
        line(provider=5),
        line(provider={"name": "openai"}),
        line(timestamp="2026-11-20 10:00"),
        line(status=99),
    ],
)
def test_anything_else_is_left_to_the_exact_way(text: str) -> None:
    assert are_regular(line(), text, line()) == [True, False, True]
    assert are_regular(text) == [False]


def test_line_of_unreadable_bytes_is_not_regular() -> None:
    assert are_regular(line(), None) == [True, False]
    assert are_regular(None) == [False]
    assert are_regular() == []


def test_field_that_the_sample_missed_is_left_to_the_exact_way() -> None:
    texts = [line(attempt=ABSENT)] * 100_000
    texts[1] = line(attempt=1)
    regular = find_regular(pl.Series(texts))
    assert regular.mask.sum() >= len(texts) - 1
    assert regular.mask[1] == ("attempt" in regular.fields)


@settings(max_examples=150)
@given(
    texts=st.lists(
        st.one_of(lines(), valid_payloads().map(lambda one: json.dumps(one).encode())), max_size=10
    )
)
def test_quick_and_exact_way_read_regular_lines_alike(texts: list[bytes]) -> None:
    text = b"".join(one.replace(b"\n", b"") + b"\n" for one in texts)
    split = split_lines(text, [Part(0, 1, len(texts))])
    quick = parse_regular(split)
    taken = split.frame.join(quick, on="position", how="semi", maintain_order="left")
    exact = parse_exactly(taken.select("position", "line").iter_rows())
    assert exact.rejected.is_empty()
    assert exact.blank.is_empty()
    assert exact.rows["extra"].null_count() == quick.height
    assert read_rows(quick).equals(read_rows(exact.rows.drop("extra").select(quick.columns)))
