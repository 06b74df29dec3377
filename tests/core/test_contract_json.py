"""Lines as RFC 8259 reads them: nothing is coerced, nothing odd is let through in silence."""

import json
import time

import pytest

from tests.scenario import ABSENT, judge, judge_one, line, line_saying, payload

GOOD = line()


@pytest.mark.parametrize(
    ("literal", "rule"),
    [
        ('"12"', "wrong_type"),
        ("1.5", "wrong_type"),
        ("12.0", "wrong_type"),
        ("1e3", "wrong_type"),
        ("1E+3", "wrong_type"),
        ("-0.0", "wrong_type"),
        ("true", "wrong_type"),
        ("false", "wrong_type"),
        ("[]", "wrong_type"),
        ("{}", "wrong_type"),
        ('""', "wrong_type"),
        ("1e999", "absurd_count"),
        ("NaN", "malformed_json"),
        ("Infinity", "malformed_json"),
        ("-Infinity", "malformed_json"),
        ("nan", "malformed_json"),
        ("012", "malformed_json"),
        ("00", "malformed_json"),
        ("-01", "malformed_json"),
        ("+1", "malformed_json"),
        (".5", "malformed_json"),
        ("1.", "malformed_json"),
        ("1e", "malformed_json"),
        ("-", "malformed_json"),
        ("0x1F", "malformed_json"),
        ("1_000", "malformed_json"),
        ("1,000", "malformed_json"),
        ("\uff11\uff12", "malformed_json"),
        ("None", "malformed_json"),
        ("True", "malformed_json"),
        ("undefined", "malformed_json"),
        ("", "malformed_json"),
    ],
)
@pytest.mark.parametrize("field", ["latencyMs", "inputTokens", "webSearches"])
def test_counts_are_never_coerced(field: str, literal: str, rule: str) -> None:
    assert judge_one(line_saying(field, literal)) == rule


@pytest.mark.parametrize(("literal", "value"), [("0", 0), ("-0", 0), ("7", 7), ("null", None)])
def test_whole_numbers_and_null_are_taken_as_they_are(literal: str, value: int | None) -> None:
    assert judge_one(line_saying("latencyMs", literal))["latency_ms"] == value


@pytest.mark.parametrize("literal", ["5", "1.5", "true", "[]", '{"x":1}', '["a"]'])
@pytest.mark.parametrize("field", ["model", "userId", "endpointTag", "environment", "serviceTier"])
def test_texts_are_never_made_of_other_values(field: str, literal: str) -> None:
    assert judge_one(line_saying(field, literal)) == "wrong_type"


@pytest.mark.parametrize("literal", ["1.5", "200.0", "2e2", "true", "[200]", "{}"])
def test_status_is_text_or_a_whole_number(literal: str) -> None:
    assert judge_one(line_saying("status", literal)) == "wrong_type"


@pytest.mark.parametrize(
    "text",
    ["[]", "[1]", '"text"', "12", "1.5", "true", "false", "null", f"[{GOOD}]", '"\\u0000"'],
)
def test_other_json_than_an_object_is_no_record(text: str) -> None:
    assert judge_one(text) == "not_an_object"


@pytest.mark.parametrize(
    "text",
    [
        GOOD[:-1],
        GOOD[1:],
        GOOD[:-1] + ",}",
        GOOD + ",",
        GOOD + GOOD,
        GOOD + " x",
        GOOD + "\x00",
        "\x00",
        GOOD + "\x0b",
        GOOD + "\x0c",
        "\u00a0" + GOOD,
        "\u2028" + GOOD,
        GOOD.replace('"', "'"),
        GOOD.replace('"model"', "model"),
        GOOD.replace('"model":', '"model"'),
        GOOD.replace('"model":', '"model"='),
        GOOD.replace(",", ";"),
        "// note " + GOOD,
        GOOD + " // note",
        "/**/" + GOOD,
        "{,}",
        "{",
        "}",
        "[" * 100_000,
        line_saying("deep", "[" * 100_000 + "]" * 100_000),
        line_saying("deep", '{"a":' * 100_000 + "1" + "}" * 100_000),
    ],
    ids=lambda text: f"{text[:12]}..{text[-12:]}",
)
def test_malformed_lines_are_refused(text: str) -> None:
    assert judge_one(text) == "malformed_json"


def test_empty_object_misses_its_fields() -> None:
    assert judge_one("{}") == "missing_field"


@pytest.mark.parametrize(
    "spelled",
    [
        json.dumps(payload(), indent=None, separators=(",", ":")),
        json.dumps(payload()),
        json.dumps(payload(), separators=(" ,  ", "\t:  ")),
        json.dumps(payload(), separators=(",\r", ":\r")),
        f" \t{GOOD}\t ",
        f"{GOOD}\r",
        f"{GOOD}\r\r",
        f"\r{GOOD}",
        json.dumps(dict(reversed(payload().items()))),
        GOOD.replace("model", "m\\u006fdel"),
        GOOD.replace("gpt-4o", "gp\\u0074-4o"),
        GOOD.replace("chat.answer", "\\u0063hat.answer"),
    ],
    ids=repr,
)
def test_same_record_in_any_legal_spelling_is_the_same_event(spelled: str) -> None:
    assert judge_one(spelled) == judge_one(GOOD)


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        (r'"\""', '"'),
        (r'"\\"', "\\"),
        (r'"\/"', "/"),
        (r'"a\b\f\n\r\tz"', "a\b\f\n\r\tz"),
        (r'"\u0000"', "\x00"),
        (r'"\u00e9"', "é"),
        (r'"\ud834\udd1e"', "𝄞"),
        ('"𝄞"', "𝄞"),
        ('"\u2028\u2029\u0085\u007f"', "\u2028\u2029\u0085\u007f"),
        ('"null"', "null"),
        ('"5"', "5"),
        ('" padded "', " padded "),
        ('"a,b:{c}[d]"', "a,b:{c}[d]"),
        ('"\ufeff"', "\ufeff"),
        ('"e\u0301"', "e\u0301"),
    ],
)
def test_texts_are_read_to_the_character(literal: str, text: str) -> None:
    assert judge_one(line_saying("promptVersion", literal))["prompt_version"] == text


@pytest.mark.parametrize(
    "literal",
    [
        r'"\ud834"',
        r'"\udd1e"',
        r'"\udd1e\ud834"',
        r'"\ud834 "',
        r'"\ud834\u0041"',
        r'"\x41"',
        r'"\u12"',
        r'"\u12g4"',
        r'"\q"',
        '"\t"',
        '"\x00"',
        '"\x1f"',
        '"open',
    ],
)
@pytest.mark.parametrize("field", ["userId", "unknownField"])
def test_broken_texts_are_malformed_also_in_unknown_fields(field: str, literal: str) -> None:
    assert judge_one(line_saying(field, literal)) == "malformed_json"


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe",
        b'{"userId":"\xc3\x28"}',
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"\xf4\x90\x80\x80",
        GOOD.encode()[:-2] + b"\xe6\xbc",
        GOOD.encode("utf-16"),
        line(userId="é").encode("latin-1"),
    ],
    ids=repr,
)
def test_bytes_that_are_no_utf_8_are_malformed(text: bytes) -> None:
    assert judge_one(text.replace(b"\n", b"")) == "malformed_json"


def test_line_ends_of_windows_are_line_ends() -> None:
    judged = judge(f"{GOOD}\r", "\r", "\r\r", f"{line(status='ok')}\r", GOOD)
    assert judged.events["line_number"].to_list() == [1, 5]
    assert judged.quarantine.select("line_number", "rule").rows() == [(4, "unknown_status")]
    assert judged.counts["blank"].to_list() == [2]


def test_white_space_of_json_makes_a_blank_line_and_no_other_does() -> None:
    judged = judge("", " ", "\t", " \t \r", "\u00a0", "\u2028", "\u200b", GOOD)
    assert judged.counts["blank"].to_list() == [4]
    assert judged.quarantine["line_number"].to_list() == [5, 6, 7]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('"a"', '"b"'),
        ('"a"', '"a "'),
        ('"a"', "null"),
        ("null", '"a"'),
        ('"a"', "5"),
        ('"1"', "1"),
    ],
)
def test_field_told_twice_with_other_values_is_ambiguous(first: str, second: str) -> None:
    text = f'{line(userId=ABSENT)[:-1]},"userId":{first},"userId":{second}}}'
    assert judge_one(text) == "duplicate_field"


@pytest.mark.parametrize(("first", "second"), [("5", "null"), ("null", "5"), ("5", "6")])
def test_count_told_twice_with_other_values_is_ambiguous(first: str, second: str) -> None:
    text = f'{line(latencyMs=ABSENT)[:-1]},"latencyMs":{first},"latencyMs":{second}}}'
    assert judge_one(text) == "duplicate_field"


@pytest.mark.parametrize(("literal", "value"), [('"a"', "a"), ('"\\u0061"', "a"), ("null", None)])
def test_field_told_twice_alike_is_told(literal: str, value: str | None) -> None:
    same = '"a"' if value else "null"
    text = f'{line(userId=ABSENT)[:-1]},"userId":{same},"userId":{literal}}}'
    assert judge_one(text)["user_id"] == (value or "unknown")


def test_unknown_field_told_twice_with_other_values_is_ambiguous() -> None:
    assert judge_one(f'{GOOD[:-1]},"region":"eu","region":"us"}}') == "duplicate_field"


def test_line_with_very_many_carriage_returns_costs_no_more_than_its_bytes() -> None:
    """A pass over the whole chunk for each of them would make one bad line stop the pipeline."""
    started = time.perf_counter()
    judged = judge("\r" * 20_000, *[GOOD] * 500)
    assert time.perf_counter() - started < 1
    assert judged.events.height == 500
    assert judged.counts["blank"].to_list() == [1]
