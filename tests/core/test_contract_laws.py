"""Laws of the contract over generated lines: nothing is lost, both ways of reading agree."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from opsmeter_pipeline.contract import judge_chunk
from opsmeter_pipeline.contract.personal import redact_extra
from opsmeter_pipeline.model.landed import Part
from tests.scenario import ABSENT, chunk_of, judge, line, slice_of
from tests.strategies import json_values, lines, near_valid_lines, texts, valid_payloads


@settings(max_examples=80)
@given(found=st.lists(lines(), max_size=12))
def test_every_line_is_event_quarantined_or_blank_exactly_once(found: list[bytes]) -> None:
    judged = judge(*found)
    blank = [n for n, text in enumerate(found, 1) if not text.strip(b" \t\r")]
    accepted = judged.events["line_number"].to_list()
    quarantined = judged.quarantine["line_number"].to_list()
    assert sorted(accepted + quarantined + blank) == list(range(1, len(found) + 1))
    assert accepted == sorted(accepted)
    assert quarantined == sorted(quarantined)
    assert judged.counts.row(0, named=True) == {
        "slice_index": 0,
        "lines": len(found),
        "blank": len(blank),
        "quarantined": len(quarantined),
    }


@given(found=st.lists(lines(), min_size=1, max_size=8), data=st.data())
def test_line_is_judged_alike_alone_and_among_others(found: list[bytes], data: st.DataObject):
    chosen = data.draw(st.integers(0, len(found) - 1))
    together, alone = judge(*found), judge(found[chosen])
    for name in ("events", "quarantine"):
        among = getattr(together, name)
        among = among.filter(among["line_number"] == chosen + 1)
        kept = [column for column in among.columns if column not in ("seq", "line_number")]
        assert among.select(kept).rows() == getattr(alone, name).select(kept).rows()


@given(found=st.lists(lines(), min_size=1, max_size=10), data=st.data())
def test_lines_are_judged_alike_however_they_are_cut_into_parts(found, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(found)))
    slices = [slice_of(), slice_of(file="other.jsonl")]
    parts = [Part(0, 1, cut), Part(1, 50, len(found) - cut)]
    whole = judge(*found)
    parted = judge_chunk(chunk_of(*found, parts=parts), slices)
    for name in ("events", "quarantine"):
        numbers = getattr(whole, name)["line_number"].to_list()
        places = getattr(parted, name).select("slice_index", "line_number").rows()
        assert places == [(0, n) if n <= cut else (1, n - cut + 49) for n in numbers]


@settings(max_examples=80)
@given(fields=valid_payloads())
def test_valid_payload_is_the_same_event_in_any_spelling(fields: dict[str, Any]) -> None:
    compact = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    spelled = [
        compact,
        json.dumps(fields, ensure_ascii=False),
        json.dumps(fields, ensure_ascii=False, separators=(",", ":  ")),
        json.dumps(fields, separators=(" ,", ": ")),
        f" {compact}",
    ]
    judged = judge(*spelled)
    assert judged.quarantine.is_empty()
    alone = judge(compact).events.drop("seq", "line_number")
    for row in judged.events.drop("seq", "line_number").iter_slices(1):
        assert row.equals(alone)
    assert judged.events.height == len(spelled)


@given(fields=valid_payloads())
def test_valid_payload_keeps_its_values(fields: dict[str, Any]) -> None:
    found = judge(json.dumps(fields)).events.row(0, named=True)
    for name, column in (
        ("externalRequestId", "external_request_id"),
        ("provider", "provider"),
        ("model", "model"),
        ("inputTokens", "input_tokens"),
        ("outputTokens", "output_tokens"),
        ("cacheReadTokens", "cache_read_tokens"),
        ("cacheWriteTokens", "cache_write_tokens"),
        ("latencyMs", "latency_ms"),
        ("attempt", "attempt"),
        ("serviceTier", "service_tier"),
    ):
        assert found[column] == fields.get(name), name
    assert found["user_id"] == (fields.get("userId") or "unknown")
    assert found["environment"] == (fields.get("environment") or "prod")


@given(fields=valid_payloads(), extra=st.dictionaries(texts(), json_values(), max_size=3))
def test_unknown_fields_change_nothing_but_extra(fields: dict[str, Any], extra: dict) -> None:
    aside = {f"x-{name}": value for name, value in extra.items()}
    plain, extended = (judge(json.dumps(one)).events for one in (fields, aside | fields))
    assert extended.drop("extra").equals(plain.drop("extra"))
    kept = extended["extra"].item()
    told = {name: value for name, value in aside.items() if value is not None}
    hidden = json.loads(redact_extra(json.dumps(told)))  # a text such as `A A` reads as a name
    assert (json.loads(kept) if kept else {}) == hidden


@given(text=near_valid_lines())
def test_spaces_around_a_line_do_not_change_its_judgement(text: bytes) -> None:
    bare = text.strip(b" \t\r")
    plain, padded = judge(bare), judge(b" \t" + bare + b" \r")
    assert padded.events.equals(plain.events)
    assert padded.counts.equals(plain.counts)
    assert padded.quarantine["rule"].to_list() == plain.quarantine["rule"].to_list()


@given(
    name=st.sampled_from(["userId", "latencyMs", "status", "timestamp"]),
    values=st.lists(json_values(), min_size=2, max_size=3),
)
def test_repeated_field_is_kept_only_if_all_its_values_are_equal(name: str, values: list) -> None:
    literals = [json.dumps(value, sort_keys=True) for value in values]
    repeated = ",".join(f'"{name}":{literal}' for literal in literals)
    judged = judge(f"{line(**{name: ABSENT})[:-1]},{repeated}}}")
    if len(set(literals)) > 1:
        assert judged.quarantine["rule"].to_list() == ["duplicate_field"]
    else:
        once = judge(f'{line(**{name: ABSENT})[:-1]},"{name}":{literals[0]}}}')
        assert judged.events.equals(once.events)
        assert judged.quarantine["rule"].to_list() == once.quarantine["rule"].to_list()
