"""Exports in the documented shapes become the same rows, exactly; anything else is refused."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsmeter_pipeline.importers.statements import read_statement
from opsmeter_pipeline.model.errors import UsageError
from opsmeter_pipeline.model.statement import Span, Statement, StatementRow
from opsmeter_pipeline.model.statement_errors import (
    CurrencyError,
    EmptyStatementError,
    StatementFileError,
    StatementFormatError,
    StatementValueError,
)
from tests.core.statements import (
    DAY,
    MIDNIGHT,
    anthropic_page,
    cost_result,
    message_result,
    openai_costs,
    openai_usage,
    report_result,
    usage_result,
)

NEXT_DAY = date(2026, 11, 3)


def _read(text: str, **options: str) -> Statement:
    return read_statement(text, file="export", **options)


def test_openai_usage_has_cached_tokens_in_its_input() -> None:
    found = _read(openai_usage([usage_result('"gpt-4o-2024-08-06"', 5, 1000, 800, 100)], []))
    assert found.format == "openai-usage"
    assert found.measures == ("requests", "input_tokens", "cache_read_tokens", "output_tokens")
    assert found.rows == (
        StatementRow(DAY, "openai", "gpt-4o-2024-08-06", 5, 1000, 800, None, 100, None),
    )
    # The empty bucket tells that nothing was used: the export speaks for that day too.
    assert found.spans == (
        Span(datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC)),
    )


def test_openai_costs_are_dollars_without_the_artefacts_of_a_double() -> None:
    text = openai_costs(
        [
            cost_result("0.06"),
            cost_result("0.30000000000000004", '"gpt-4o-2024-08-06, cached input"'),
            cost_result("1234.5600000000001", '"gpt-4o-mini"'),
            cost_result('"0.34090000000000000123"'),  # a text is exact, to 18 decimals
            cost_result("7"),
            cost_result("-2.5e-3"),
        ]
    )
    found = _read(text)
    assert found.format == "openai-costs"
    assert [(row.model, row.cost_usd) for row in found.rows] == [
        (None, Decimal("0.06")),
        ("gpt-4o-2024-08-06", Decimal("0.3")),
        ("gpt-4o-mini", Decimal("1234.56")),
        (None, Decimal("0.340900000000000001")),
        (None, Decimal(7)),
        (None, Decimal("-0.0025")),
    ]


def test_anthropic_usage_excludes_what_we_include() -> None:
    found = _read(anthropic_page([message_result('"claude-sonnet-4-5-20250929"', 100, 40,
                                                 (7, 3), 25)]))  # fmt: skip
    assert found.format == "anthropic-usage"
    # 100 + 40 + 7 + 3
    assert found.rows == (
        StatementRow(DAY, "anthropic", "claude-sonnet-4-5-20250929", None, 150, 40, 10, 25, None),
    )
    assert "requests" not in found.measures


def test_anthropic_costs_are_in_cents() -> None:
    found = _read(anthropic_page([report_result('"123.45"'), report_result('"0.015"', '"m"')]))
    assert found.format == "anthropic-costs"
    assert [row.cost_usd for row in found.rows] == [Decimal("1.2345"), Decimal("0.00015")]


@pytest.mark.parametrize("amount", ["123.45", "1", "null", '"1,234"', '"NaN"', '"$1"', '""'])
def test_an_anthropic_amount_that_is_no_text_in_cents_is_refused(amount: str) -> None:
    with pytest.raises(StatementValueError, match="page 1, bucket 1, result 1, amount"):
        _read(anthropic_page([report_result(amount)]))


@pytest.mark.parametrize("currency", ['"eur"', '"EUR"', "null", "1"])
def test_another_currency_is_refused(currency: str) -> None:
    for text in (
        openai_costs([cost_result("1", currency=currency)]),
        anthropic_page([report_result('"1"', currency=currency)]),
    ):
        with pytest.raises(CurrencyError, match="USD"):
            _read(text)
    with pytest.raises(CurrencyError):
        _read("day,provider,amount,currency\n2026-11-02,openai,1,EUR\n")
    with pytest.raises(CurrencyError, match="no currency"):
        _read("day,provider,cost\n2026-11-02,openai,1\n")


CSV = """\ufeff"Day";provider;Model;Requests;Input Tokens;output_tokens;cost_usd;note
2026-11-02;openai;gpt-4o;5;1000;100;0.0035;x
2026-11-02T23:30:00-02:00;openai;gpt-4o-mini, input;;;;0.1;
1793577600;openai;;1;;;;

"""


def test_a_csv_tells_what_its_header_names_and_an_empty_cell_tells_nothing() -> None:
    found = _read(CSV.removeprefix("\ufeff"))
    assert found.rows == (
        StatementRow(DAY, "openai", "gpt-4o", 5, 1000, None, None, 100, Decimal("0.0035")),
        # 23:30 at -02:00 is 01:30 UTC on the next day.
        StatementRow(NEXT_DAY, "openai", "gpt-4o-mini", cost_usd=Decimal("0.1")),
        StatementRow(DAY, "openai", None, 1),
    )
    assert found.measures == ("requests", "input_tokens", "output_tokens", "cost_usd")
    assert (found.format, found.providers, found.exported_at) == ("csv", ("openai",), None)


def test_a_csv_may_count_uncached_input_and_say_when_it_was_made() -> None:
    text = (
        "date,model,uncached_input_tokens,cache_read_tokens,cache_write_tokens,exported_at\n"
        "2026-11-02,m,1,20,300,2026-11-03T09:00:00Z\n"
    )
    found = _read(text, provider="anthropic")
    assert (found.rows[0].input_tokens, found.rows[0].provider) == (321, "anthropic")
    assert found.exported_at == datetime(2026, 11, 3, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-02,openai,1.5",  # a count is whole
        "2026-11-02,openai,-1",
        "2026-11-02,openai,1e3",
        '2026-11-02,openai,"1,000"',
        "2026-11-31,openai,1",  # no such day
        "9999-12-31,openai,1",  # no day of a bill; the one after it does not exist
        "0001-01-01T00:00:00+14:00,openai,1",  # before the first year in UTC
        "2026-11-02T10:00:00,openai,1",  # no offset
        "11/02/2026,openai,1",
        "2026-11-02,,1",
        "2026-11-02,openai",
        ",openai,1",
    ],
)
def test_a_csv_value_that_could_mean_two_things_is_refused(line: str) -> None:
    with pytest.raises(StatementValueError, match=r"^line 3"):
        _read(f"day,provider,requests\n2026-11-01,openai,1\n{line}\n")


@pytest.mark.parametrize(
    "text",
    [
        "not an export\n",
        "day,model\n2026-11-02,m\n",
        "model,requests\nm,1\n",
        '{"error": {"message": "invalid key"}}',
        '{"id": 1}',
        "[1, 2]",
        '[{"data": 1}]',
        '{"data": [{"start_time": 1793577600, "end_time": 1793664000, "results": [{"x": 1}]}]}',
        # An older endpoint's shape, without buckets.
        '{"object": "list", "data": 3, "total_usage": 100}',
        "<html></html>",
    ],
)
def test_an_unknown_format_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(StatementFormatError) as caught:
        _read(text)
    for name in ("openai-usage", "openai-costs", "anthropic-usage", "anthropic-costs", "csv"):
        assert f"{name}: " in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        openai_costs([cost_result("1")])[:-30],
        '{"data": [NaN]}',
        '{"data": }',
        "[" * 100_000,
        '{"data": [1]} trailing',
        '{"data": [' + "9" * 5000 + "]}",
    ],
)
def test_broken_json_is_refused(text: str) -> None:
    with pytest.raises(StatementFileError, match="no JSON"):
        _read(text)


@pytest.mark.parametrize(
    "text",
    ["", " \n", "day,provider,requests\n", '{"data": []}', "[]", openai_usage([], [])],
)
def test_an_export_that_tells_nothing_is_refused(text: str) -> None:
    with pytest.raises((EmptyStatementError, StatementFormatError)):
        _read(text)


def test_empty_buckets_tell_that_nothing_was_billed_once_it_is_said_of_what() -> None:
    found = _read(openai_usage([], []), form="openai-costs")
    assert (found.measures, found.rows, len(found.spans)) == (("cost_usd",), (), 1)


def test_a_bucket_of_another_time_zone_is_refused() -> None:
    text = anthropic_page([report_result('"1"')])
    shifted = text.replace("T00:00:00Z", "T00:00:00+02:00")
    with pytest.raises(StatementValueError, match="within one UTC day"):
        _read(shifted)
    with pytest.raises(StatementValueError, match="RFC 3339"):
        _read(text.replace("T00:00:00Z", "T00:00:00"))
    # The same instant in another spelling is the same day.
    same = text.replace("2026-11-02T00:00:00Z", "2026-11-01T19:00:00-05:00")
    assert _read(same).rows == _read(text).rows


def test_hours_of_a_day_add_up_to_it_and_a_broken_hour_counts() -> None:
    hour = '{{"start_time": {}, "end_time": {}, "results": [{}]}}'
    result = usage_result("null", 1, 10, 0, 1)
    buckets = [hour.format(MIDNIGHT + 3600 * n, MIDNIGHT + 3600 * (n + 1), result) for n in (0, 1)]
    last = hour.format(MIDNIGHT + 7200, MIDNIGHT + 7200 + 900, result)
    found = _read("[" + ",".join([*buckets, last]) + "]")
    assert [row.day for row in found.rows] == [DAY] * 3
    assert found.spans == (
        Span(datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 2, 3, tzinfo=UTC)),
    )


def test_pages_saved_one_after_the_other_or_as_a_list_are_one_export() -> None:
    first = openai_usage([usage_result("null", 1, 10, 0, 1)], has_more="true")
    shift = str(MIDNIGHT + 86_400), str(MIDNIGHT + 2 * 86_400)
    second = first.replace(shift[0], shift[1]).replace(str(MIDNIGHT), shift[0])
    second = second.replace('"has_more": true', '"has_more": false')
    together = _read(first + "\n" + second)
    assert [row.day for row in together.rows] == [DAY, NEXT_DAY]
    assert together == _read(f"[{first},{second}]")
    assert together.notes == ()
    assert "last page" in _read(first).notes[0]
    with pytest.raises(StatementValueError, match="another start"):
        _read(first + first)  # a page saved twice would count twice


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"input_tokens": 10', '"input_tokens": true'),
        ('"input_tokens": 10', '"input_tokens": 10.0'),
        ('"input_tokens": 10', '"input_tokens": -10'),
        ('"input_tokens": 10', '"input_tokens": "10"'),
        ('"input_tokens": 10', '"input_tokens": null'),
        ('"model": null', '"model": 4'),
        (f'"start_time": {MIDNIGHT}', f'"start_time": {MIDNIGHT}000'),
        (f'"start_time": {MIDNIGHT}', f'"start_time": "{MIDNIGHT}"'),
        ('"results": [', '"results": [1, '),
    ],
)
def test_a_value_that_is_not_as_documented_is_refused_with_its_place(old: str, new: str) -> None:
    text = openai_usage([usage_result("null", 1, 10, 0, 1)])
    assert old in text
    with pytest.raises(StatementValueError, match=r"^page 1, bucket 1, "):
        _read(text.replace(old, new))


@given(st.text(max_size=60) | st.from_regex(r'[\[{]["data:\[\]{}0-9,e.-]{0,40}'))
def test_no_text_ends_in_anything_but_an_answer_or_a_usage_error(text: str) -> None:
    try:
        found = _read(text, provider="openai")
    except UsageError:
        return
    assert found.rows
    assert found.spans
