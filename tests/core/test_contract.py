"""Each rule of the contract by its name, at both sides of its boundary, and what defaults mean."""

import json

import pytest

from tests.scenario import ABSENT, at, judge_one, line, line_saying

BIG = 2**40
TOKENS = ["inputTokens", "outputTokens"]
OTHER_COUNTS = ["latencyMs", "webSearches", "cacheReadTokens", "reasoningTokens", "attempt"]


def assert_kept(**changes) -> None:
    assert isinstance(judge_one(line(**changes)), dict)


@pytest.mark.parametrize("field", ["externalRequestId", "provider", "model", *TOKENS])
@pytest.mark.parametrize("value", [ABSENT, None], ids=["absent", "null"])
def test_required_fields_must_be_there(field: str, value: object) -> None:
    assert judge_one(line(**{field: value})) == "missing_field"


@pytest.mark.parametrize("value", [ABSENT, None], ids=["absent", "null"])
def test_a_line_without_any_usage_is_told_apart_from_zero_and_from_a_missing_field(value) -> None:
    assert judge_one(line(inputTokens=value, outputTokens=None)) == "missing_usage"
    assert judge_one(line(inputTokens=value, outputTokens=None, totalTokens=7)) == "missing_usage"
    assert judge_one(line(inputTokens=value, outputTokens=0)) == "missing_field"
    assert judge_one(line(inputTokens=value, outputTokens=None, model=value)) == "missing_field"
    assert_kept(inputTokens=0, outputTokens=0)


@pytest.mark.parametrize("field", ["externalRequestId", "provider", "model"])
@pytest.mark.parametrize("value", ["", " ", "\t", "\u00a0"])
def test_required_texts_must_not_be_blank(field: str, value: str) -> None:
    assert judge_one(line(**{field: value})) == "empty_field"


@pytest.mark.parametrize("letter", ["x", "é", "漢", "𝄞", "\\"])
def test_id_may_have_256_characters_and_no_more(letter: str) -> None:
    assert_kept(externalRequestId=letter * 256)
    assert judge_one(line(externalRequestId=letter * 257)) == "too_long"


@pytest.mark.parametrize("field", [*TOKENS, *OTHER_COUNTS])
def test_counts_below_zero_are_refused(field: str) -> None:
    assert judge_one(line(**{field: -1})) == "negative_count"


@pytest.mark.parametrize("field", [*TOKENS, "latencyMs", "webSearches", "attempt"])
def test_counts_may_be_2_to_the_40_and_no_more(field: str) -> None:
    assert_kept(**{field: BIG})
    assert judge_one(line(**{field: BIG + 1})) == "absurd_count"


@pytest.mark.parametrize("digits", [2**53, 2**63 - 1, 2**63, 2**64, 10**30, "1" + "0" * 5_000])
def test_counts_beyond_every_integer_type_are_absurd(digits: int | str) -> None:
    assert judge_one(line_saying("inputTokens", str(digits))) == "absurd_count"


@pytest.mark.parametrize("value", [-(2**63) + 1, -(2**63), -(2**63) - 1, -(2**64)])
def test_counts_far_below_zero_are_negative(value: int) -> None:
    assert judge_one(line(latencyMs=value)) == "negative_count"


def test_attempts_start_at_one() -> None:
    assert_kept(attempt=1)
    assert_kept(attempt=ABSENT)
    assert judge_one(line(attempt=0)) == "invalid_attempt"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("success", "success"),
        ("error", "error"),
        ("timeout", "timeout"),
        ("cancelled", "cancelled"),
        ("rate_limited", "rate_limited"),
        (200, "success"),
        ("200", "success"),
        (299, "success"),
        (100, "error"),
        (302, "error"),
        (400, "error"),
        (408, "timeout"),
        (429, "rate_limited"),
        ("429", "rate_limited"),
        (499, "cancelled"),
        (500, "error"),
        ("503", "error"),
        (504, "timeout"),
        (599, "error"),
        (None, "unknown"),
        (ABSENT, "unknown"),
    ],
    ids=str,
)
def test_status_is_kept_as_told_and_read_as_an_outcome(status: object, outcome: str) -> None:
    found = judge_one(line(status=status))
    assert found["outcome"] == outcome
    assert found["status"] == (None if status in (None, ABSENT) else str(status))


@pytest.mark.parametrize(
    "status",
    [
        "ok",
        "SUCCESS",
        "",
        " success",
        "2000",
        "099",
        "600",
        "20",
        "200\n",
        "\uff12\uff10\uff10",
        99,
        600,
        0,
        -1,
    ],
)
def test_other_statuses_are_refused(status: object) -> None:
    assert judge_one(line(status=status)) == "unknown_status"


@pytest.mark.parametrize(
    ("field", "allowed", "rule"),
    [
        ("dataMode", ["real", "test", "demo"], "unknown_data_mode"),
        ("environment", ["prod", "staging", "dev"], "unknown_environment"),
        (
            "serviceTier",
            ["default", "batch", "flex", "priority", "fast"],
            "unknown_service_tier",
        ),
    ],
)
def test_closed_sets_take_their_members_alone(field: str, allowed: list[str], rule: str) -> None:
    for value in [*allowed, None]:
        assert_kept(**{field: value})
    for value in ("", "live", allowed[0].upper(), f" {allowed[0]}"):
        assert judge_one(line(**{field: value})) == rule


def test_total_must_equal_the_sum_of_its_parts() -> None:
    assert_kept(inputTokens=1_000, outputTokens=200, totalTokens=1_200)
    for total in (1_199, 1_201, 0):
        text = line(inputTokens=1_000, outputTokens=200, totalTokens=total)
        assert judge_one(text) == "contradicting_total"


@pytest.mark.parametrize(
    ("kept", "refused"),
    [
        ({"cacheReadTokens": 1_000}, {"cacheReadTokens": 1_001}),
        ({"cacheWriteTokens": 1_000}, {"cacheWriteTokens": 1_001}),
        (
            {"cacheReadTokens": 400, "cacheWriteTokens": 600},
            {"cacheReadTokens": 401, "cacheWriteTokens": 600},
        ),
        (
            {"cacheWriteTokens": 300, "cacheWrite1hTokens": 300},
            {"cacheWriteTokens": 300, "cacheWrite1hTokens": 301},
        ),
        ({"cacheWrite1hTokens": 0}, {"cacheWrite1hTokens": 1}),
        ({"inputAudioTokens": 1_000}, {"inputAudioTokens": 1_001}),
        ({"inputImageTokens": 1_000}, {"inputImageTokens": 1_001}),
        (
            {"inputAudioTokens": 400, "inputImageTokens": 600},
            {"inputAudioTokens": 400, "inputImageTokens": 601},
        ),
        ({"reasoningTokens": 200}, {"reasoningTokens": 201}),
        ({"outputAudioTokens": 200}, {"outputAudioTokens": 201}),
        (
            {"reasoningTokens": 150, "outputAudioTokens": 50},
            {"reasoningTokens": 151, "outputAudioTokens": 50},
        ),
    ],
)
def test_parts_may_equal_their_whole_and_not_exceed_it(kept: dict, refused: dict) -> None:
    whole = {"inputTokens": 1_000, "outputTokens": 200}
    assert_kept(**whole | kept)
    assert judge_one(line(**whole | refused)) == "part_above_whole"


def test_output_without_input_is_a_contradiction() -> None:
    assert_kept(inputTokens=0, outputTokens=0)
    assert_kept(inputTokens=1, outputTokens=1)
    assert_kept(inputTokens=1, outputTokens=0)
    assert judge_one(line(inputTokens=0, outputTokens=1)) == "zero_input_with_output"


def test_line_that_breaks_several_rules_is_filed_under_the_first() -> None:
    broken = {"provider": "", "latencyMs": -1, "status": "ok", "totalTokens": 1}
    assert judge_one(line(model=ABSENT, **broken)) == "missing_field"
    assert judge_one(line(**broken)) == "empty_field"
    assert judge_one(line(**broken | {"provider": "p"})) == "negative_count"


@pytest.mark.parametrize(
    "value", [ABSENT, None, "", "  "], ids=["absent", "null", "empty", "blank"]
)
def test_wanted_texts_that_are_missing_say_so(value: object) -> None:
    fields = ("endpointTag", "promptVersion", "tenantId", "userId")
    found = judge_one(line(**dict.fromkeys(fields, value)))
    assert (found["endpoint_tag"], found["prompt_version"]) == ("(missing)", "(missing)")
    assert (found["tenant_id"], found["user_id"]) == ("unknown", "unknown")


def test_defaults_are_applied_and_flagged() -> None:
    told = judge_one(line(environment="dev", dataMode="test"))
    assert (told["environment"], told["environment_defaulted"]) == ("dev", False)
    assert (told["data_mode"], told["data_mode_defaulted"]) == ("test", False)
    for value in (ABSENT, None):
        assumed = judge_one(line(environment=value, dataMode=value))
        assert (assumed["environment"], assumed["environment_defaulted"]) == ("prod", True)
        assert (assumed["data_mode"], assumed["data_mode_defaulted"]) == ("real", True)


def test_absent_counts_are_null_and_never_zero() -> None:
    found = judge_one(line(latencyMs=ABSENT))
    for column in ("latency_ms", "cache_read_tokens", "reasoning_tokens", "web_searches"):
        assert found[column] is None
    assert judge_one(line(cacheReadTokens=0))["cache_read_tokens"] == 0


def test_absent_times_fall_back_to_receipt_and_then_to_the_landing() -> None:
    received = "2026-11-23T11:45:00Z"
    found = judge_one(line(timestamp=ABSENT), landed_at=at(-60))
    assert found["occurred_at"] == found["ingested_at"] == at(-60)
    found = judge_one(line(timestamp=ABSENT, ingestedAt=received), landed_at=at(-60))
    assert found["occurred_at"] == found["ingested_at"] == at(-900)
    found = judge_one(line(timestamp="2026-11-23T11:30:00Z", ingestedAt=received))
    assert (found["occurred_at"], found["ingested_at"]) == (at(-1_800), at(-900))


def test_unknown_fields_are_kept_aside() -> None:
    extra = {"region": "eu", "retry": {"after": [1, 2.5, None, True]}, "Model": "x", "": "ü"}
    found = judge_one(line(**extra))
    assert json.loads(found["extra"]) == extra
    assert found["model"] == "gpt-4o"
    assert judge_one(line())["extra"] is None
