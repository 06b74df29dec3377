"""No raw identifier leaves the contract, whatever the policy, the field and the kind of line."""

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from opsmeter_pipeline import contract
from opsmeter_pipeline.contract import Judged, judge_chunk, refuse_conflicts
from opsmeter_pipeline.contract.identifiers import SHAPES
from opsmeter_pipeline.model.errors import JudgingError
from opsmeter_pipeline.model.identifiers import REFUSE, IdentifierPolicy, hash_identifier
from tests.scenario import ABSENT, chunk_of, judge, judge_one, line, slice_of
from tests.strategies import addresses, raw_ids, valid_payloads

KEY = b"0123456789abcdef"
HASH = IdentifierPolicy(KEY)
FIELDS = {"tenantId": "tenant_id", "userId": "user_id"}
TEXTS = {
    "externalRequestId": "external_request_id",
    "provider": "provider",
    "model": "model",
    "endpointTag": "endpoint_tag",
    "promptVersion": "prompt_version",
}


def judge_under(policy: IdentifierPolicy, *lines: str) -> Judged:
    return judge_chunk(chunk_of(*lines), [slice_of()], policy)


def shown_of(judged: Judged) -> str:
    """Return everything the contract handed on, as text and with escapes undone."""
    conflicts = refuse_conflicts(judged.events, [slice_of()])
    frames = [*judged, conflicts]
    texts = [frame.with_columns(pl.all().cast(pl.String)).rows() for frame in frames]
    text = json.dumps(texts, ensure_ascii=False)
    return f"{text} {text.encode().decode('unicode_escape')}"


@pytest.mark.parametrize("field", FIELDS)
def test_raw_identifier_is_refused_by_field_and_shape_alone(field: str) -> None:
    judged = judge(line(**{field: "ann@example.com"}), line())
    row = judged.quarantine.row(0, named=True)
    assert (row["rule"], row["line_number"]) == ("raw_identifier", 1)
    assert row["detail"] == f"{field} is an e-mail address or handle"
    assert judged.events["line_number"].to_list() == [2]


def test_detail_names_each_raw_field() -> None:
    judged = judge(line(userId="4711", tenantId="Ann Lee", endpointTag="for bob@example.com"))
    (detail,) = judged.quarantine["detail"]
    assert sorted(detail.split("; ")) == [
        "endpointTag holds an e-mail address",
        "tenantId is text with white space",
        "userId is a plain number",
    ]


@pytest.mark.parametrize("field", FIELDS)
def test_raw_identifier_is_hashed_if_there_is_a_key(field: str) -> None:
    texts = [line(**{field: raw}) for raw in ("Ann Lee", "4711", "Ann Lee")] + [line()]
    judged = judge_under(HASH, *texts)
    expected = [hash_identifier(raw, name=field, key=KEY) for raw in ("Ann Lee", "4711", "Ann Lee")]
    assert judged.quarantine.is_empty()
    opaque = {"tenantId": "t-1f6a", "userId": "u-93c0"}
    assert judged.events[FIELDS[field]].to_list() == [*expected, opaque[field]]
    (other,) = FIELDS.keys() - {field}
    assert set(judged.events[FIELDS[other]].to_list()) == {opaque[other]}
    assert judge_under(HASH, *texts).events.equals(judged.events)


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize("raw", ["ann@example.com", "x+ann%40example.com", "+49 170 1234567"])
def test_addresses_and_phones_in_other_texts_follow_the_policy(field: str, raw: str) -> None:
    assert judge_one(line(**{field: raw})) == "raw_identifier"
    found = judge_under(HASH, line(**{field: raw})).events[TEXTS[field]].to_list()
    assert found == [hash_identifier(raw, name=field, key=KEY)]


def test_identifier_that_is_no_text_is_refused_under_either_policy() -> None:
    for policy in (REFUSE, HASH):
        judged = judge_under(policy, line(userId=491701234567))
        assert judged.quarantine["rule"].to_list() == ["wrong_type"]
        assert "491701234567" not in shown_of(judged)


def test_missing_identifiers_are_unknown_under_either_policy() -> None:
    for policy in (REFUSE, HASH):
        texts = [line(userId=value, tenantId=value) for value in (ABSENT, None, "", "  ")]
        events = judge_under(policy, *texts).events
        assert events["user_id"].to_list() == events["tenant_id"].to_list() == ["unknown"] * 4


def test_raw_identifier_comes_before_the_rules_of_numbers_and_after_those_of_need() -> None:
    assert judge_one(line(userId="4711", latencyMs=-1)) == "raw_identifier"
    assert judge_one(line(userId="4711", model=ABSENT)) == "missing_field"


@given(
    fields=valid_payloads(),
    raw=raw_ids(),
    policy=st.sampled_from([REFUSE, HASH]),
    field=st.sampled_from(sorted(FIELDS)),
    spoil=st.sampled_from([{}, {"latencyMs": -1}, {"model": None}, {"status": "odd"}]),
    form=st.sampled_from(["compact", "escaped", "twice", "cut", "single", "array"]),
)
def test_no_raw_identifier_survives_in_any_output(
    fields: dict[str, Any], raw: str, policy: IdentifierPolicy, field: str, spoil: dict, form: str
) -> None:
    assume(set(raw) - set("0x.:-+ "))  # `0.0.0.0` is its own mask
    told = fields | spoil | {field: [raw] if form == "array" else raw}
    text = json.dumps(told, ensure_ascii=form == "escaped")
    text = {
        "twice": f'{text[:-1]},"{field}":"u_1"}}',
        "cut": text[:-1],
        "single": text.replace('"', "'"),
    }.get(form, text)
    without = shown_of(judge_under(policy, json.dumps(fields | spoil | {field: "u_1"}), line()))
    assume(raw.strip() not in without)  # a number that another field says anyway proves nothing
    shown = shown_of(judge_under(policy, text, line()))
    assert raw.strip() not in shown
    assert form in {"twice", "cut", "single", "array"} or spoil or policy is HASH or (
        any(shape in shown for shape in SHAPES)
    )  # fmt: skip


@given(raw=addresses(), policy=st.sampled_from([REFUSE, HASH]))
def test_no_address_survives_in_any_field(raw: str, policy: IdentifierPolicy) -> None:
    fields = [*FIELDS, *TEXTS, "serviceTier", "status", "environment", "timestamp", "note", raw]
    shown = shown_of(judge_under(policy, *(line(**{field: raw}) for field in fields)))
    assert raw not in shown


def test_failing_library_is_reported_without_what_it_quotes(monkeypatch) -> None:
    def fail(*_: object) -> None:
        msg = "cannot parse ann@example.com"
        raise pl.exceptions.ComputeError(msg)

    monkeypatch.setattr(contract, "read_lines", fail)
    with pytest.raises(
        JudgingError, match=r"'usage.jsonl' could not be judged: ComputeErr"
    ) as told:
        judge(line())
    assert "ann@" not in str(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__
