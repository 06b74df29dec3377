"""What a refused line shows: its shape and its numbers, and nobody's name."""

import json
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from opsmeter_pipeline.contract.redact import MAX_CHARACTERS, redact_line
from tests.scenario import ABSENT, judge, line
from tests.strategies import valid_payloads


@pytest.mark.parametrize(
    "value",
    [
        "ann.lee@example.com",
        "Ann Lee",
        "Zoë Müller-Østergård",
        "李小龍",
        "Анна",
        "अमित",
        "+49 170 1234567",
        "+49-170-1234567",
        "(555) 010-9999",
        "٠١٢٣٤٥٦",
        "DE89370400440532013000",
        "4111 1111 1111 1111",
        "u-93c0ffee",
        "550e8400-e29b-41d4-a716-446655440000",
        "192.168.13.37",
        "O'Brien",
    ],
)
@pytest.mark.parametrize("field", ["userId", "tenantId", "externalRequestId", "email", "note"])
@pytest.mark.parametrize("form", ["whole", "cut", "single_quotes", "escaped", "array", "no_comma"])
def test_what_names_a_person_never_survives(field: str, value: str, form: str) -> None:
    plain = json.dumps({field: value, "inputTokens": -5}, ensure_ascii=False)
    text = {
        "whole": plain,
        "cut": plain[:-3],
        "single_quotes": plain.replace('"', "'"),
        "escaped": json.dumps({field: value, "inputTokens": -5}),
        "array": json.dumps({field: [value, {"of": value}]}, ensure_ascii=False),
        "no_comma": plain.replace(",", ""),
    }[form]
    shown = redact_line(text)
    for part in re.findall(r"\w{3,}", value):
        assert part not in shown
    assert value not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"userId":4915112345678}', '{"userId":0000000000000}'),
        ('{"userId": 4915112345678, "x": 12}', '{"userId": 0000000000000, "x": 00}'),
        ('{"inputTokens":-5,"latencyMs": 12.5}', '{"inputTokens":-5,"latencyMs": 12.5}'),
        ('{"inputTokens":"12"}', '{"inputTokens":"00"}'),
        ('{"inputTokens":12345678901234567}', '{"inputTokens":00000000000000000}'),
        ('{"model":"gpt-4o","status":"ok"}', '{"model":"gpt-4o","status":"ok"}'),
        ('{"model":"ann@example.com"}', '{"model":"xxx@xxxxxxx.xxx"}'),
        ('{"promptVersion":"for Ann Lee"}', '{"promptVersion":"xxx xxx xxx"}'),
        ('{"Ann":"Lee"}', '{"xxx":"xxx"}'),
        ('{"promptVersion":"4915112345678"}', '{"promptVersion":"0000000000000"}'),
        ('{"promptVersion":"v-555.010.9999"}', '{"promptVersion":"v-555.010.9999"}'),
        ('{"model":"m-2024-08-06","promptVersion":"3"}',) * 2,
        ('{"promptVersion":"at-10.11.12.13"}', '{"promptVersion":"xx-00.00.00.00"}'),
        ('{"timestamp":"+49 170 1234567"}', '{"timestamp":"+00 000 0000000"}'),
        ('{"timestamp":"2026-11-23 10:00:00.5+05:30"}',) * 2,
        ('{"timestamp":"2026-11-23T10:00:00.123456789Z"}',) * 2,
        (
            '{"timestamp":"2026-11-23 4917012345678+1234"}',
            '{"timestamp":"0000-00-00 0000000000000+0000"}',
        ),
        (
            '{"promptVersion":"2001:db8::ff00:42:8329"}',
            '{"promptVersion":"0000:xx0::xx00:00:0000"}',
        ),
        ('{"endpointTag":"fe80::1"}', '{"endpointTag":"xx00::0"}'),
        ('{"endpointTag":"a:b:c"}',) * 2,
        ('{"model":"ft:gpt-4o:acme::a1b2"}',) * 2,
        ('{"model":"us.anthropic.claude-sonnet-4-20250514-v1:0"}',) * 2,
        ('{"promptVersion":"4111-1111-1111-1111x"}', '{"promptVersion":"0000-0000-0000-0000x"}'),
        ('{"promptVersion":"DE89-3704-0044-0532"}', '{"promptVersion":"xx00-0000-0000-0000"}'),
        ('{"model":"ann.lee/4917012345678"}', '{"model":"xxx.xxx/0000000000000"}'),
        ('{"a":true,"b":null}', '{"x":true,"x":null}'),
        ("Ann called 110", "xxx xxxxxx 000"),
        ("", ""),
    ],
)
def test_shape_numbers_and_public_words_stay(text: str, shown: str) -> None:
    assert redact_line(text) == shown


@pytest.mark.parametrize(
    "value",
    [
        {"model": "annlee4711"},
        {"status": "annlee4711"},
        [{"promptVersion": "annlee4711"}],
        {"timestamp": {"provider": "annlee4711"}},
        {"attempt": 491701234567},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("field", ["userId", "tenantId", "user"])
def test_known_names_inside_another_value_make_nothing_public(field: str, value: Any) -> None:
    shown = redact_line(json.dumps({field: value}, separators=(",", ":")))
    assert "annlee" not in shown
    assert "491701234567" not in shown


def test_long_lines_are_cut() -> None:
    assert redact_line("-" * MAX_CHARACTERS) == "-" * MAX_CHARACTERS
    assert redact_line("-" * (MAX_CHARACTERS + 1)) == "-" * MAX_CHARACTERS


def test_number_cut_in_its_middle_is_masked() -> None:
    text = "-" * (MAX_CHARACTERS - 20) + '"inputTokens":123456789,'
    assert redact_line(text).endswith('"inputTokens":000000')


IDENTIFIERS = st.from_regex(r"[A-Za-z0-9]{4,20}([-_.@][A-Za-z0-9]{4,12})?", fullmatch=True)
SPOILED = [
    lambda text: text,
    lambda text: text[:-1],
    lambda text: text[1:],
    lambda text: text.replace('"', "'"),
    lambda text: text.replace(",", ""),
    lambda text: text.replace(":", "="),
    lambda text: text.replace('"', '\\"'),
    lambda text: text.replace("{", "["),
    lambda text: f"\ufeff{text}{text}",
    lambda text: text.replace("userId", "userID").replace("tenantId", "tenant"),
]


@given(
    fields=valid_payloads(),
    identifier=IDENTIFIERS,
    field=st.sampled_from(["userId", "tenantId"]),
    spoil=st.sampled_from(SPOILED),
)
def test_no_identifier_survives_in_any_line(fields, identifier: str, field: str, spoil) -> None:
    without = redact_line(spoil(json.dumps(fields | {field: "?"})))
    # An identifier that the rest of the line shows anyway, or that looks masked, proves nothing.
    assume(identifier not in without)
    assume(set(identifier) - set("x0-_.@"))
    assume(not re.search(r"true|false|null|NaN|Infinity", identifier))
    assert identifier not in redact_line(spoil(json.dumps(fields | {field: identifier})))


@given(identifier=IDENTIFIERS)
def test_no_identifier_survives_in_quarantine(identifier: str) -> None:
    assume(set(identifier) - set("x0-_.@"))
    judged = judge(
        line(userId=identifier, tenantId=identifier, latencyMs=-1),
        line(userId=identifier, model=ABSENT),
        line(userId=identifier)[:-1],
        line(userId=[identifier]),
        line(userId=identifier, timestamp=identifier + "@"),
        f'{line(userId=ABSENT)[:-1]},"userId":"{identifier}","userId":"other"}}',
    )
    empty = judge(line(userId="", tenantId="", externalRequestId=""))
    assert judged.quarantine.height == 6
    shown = judged.quarantine.select("rule", "detail", "line_redacted").rows()
    assume(identifier not in str([row[:1] for row in shown]) + str(empty.quarantine.rows()))
    for _, detail, redacted in shown:
        assert f'"{identifier}' not in redacted
        assert f'"{identifier}' not in detail
