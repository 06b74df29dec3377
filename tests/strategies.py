"""Hypothesis strategies: what producers send, from flawless to noise.

Add a strategy here when two tests could use it; fixed inputs stand in `scenario`.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from opsmeter_pipeline.model.clock import MIN_EPOCH_MS
from opsmeter_pipeline.model.wire import (
    DATA_MODES,
    ENVIRONMENTS,
    MAX_COUNT,
    SERVICE_TIERS,
    STATUSES,
    WIRE,
)
from tests.scenario import NOW, payload

_NAMES = [field.name for field in WIRE]
_ODD_LITERALS = ['"12"', "1.5", "1e3", "-1", "-0", "01", "NaN", "1e999", "null", "[]", '"\\ud800"']


def texts(max_size: int = 12) -> st.SearchStrategy[str]:
    """Return texts that are not blank: plain ones most of the time, any Unicode now and then."""
    plain = st.text("abcXYZ059 _.:-/é漢", min_size=1, max_size=max_size)
    return (plain | st.text(min_size=1, max_size=max_size)).filter(lambda text: text.strip())


def opaque_ids() -> st.SearchStrategy[str]:
    """Return ids of tenants and users as senders should make them, and some that only look so."""
    token = st.from_regex(r"[a-z]{1,6}[_-][0-9a-z]{1,12}", fullmatch=True)
    return token | st.uuids().map(str) | st.sampled_from(["ann", "01HZXB6MQZ", "aGVsbG8=", "-"])


def addresses() -> st.SearchStrategy[str]:
    """Return e-mail addresses."""
    word = st.from_regex(r"[a-z]{3,8}", fullmatch=True)
    return st.builds("{}.{}@{}.{}".format, word, word, word, st.sampled_from(["com", "co.uk"]))


def raw_ids() -> st.SearchStrategy[str]:
    """Return identifiers that no sender hashed, in the shapes that people and systems have."""
    word = st.from_regex(r"[a-z]{3,8}", fullmatch=True)
    digits = st.from_regex(r"[1-9][0-9]{3,14}", fullmatch=True)
    phone = st.builds("+{} {}".format, st.sampled_from(["49", "1", "86"]), digits)
    grouped = st.from_regex(r"[0-9]{3}-[0-9]{2}-[0-9]{4}", fullmatch=True)
    name = st.builds("{} {}".format, word.map(str.title), word.map(str.title))
    beyond = st.builds("{}\u00eb{}".format, word, word) | st.sampled_from(["李小龍", "Анна"])
    server = st.ip_addresses().map(str)
    dotted = st.builds("{}.{}".format, word, word)
    plain = addresses() | phone | digits | grouped | name | beyond | server | dotted
    return plain | st.one_of(
        addresses().map(lambda one: one.replace("@", "%40")),
        digits.map(lambda one: one.translate({ord(c): ord(c) + 0xFEE0 for c in "0123456789"})),
        name.map(lambda one: f" {one}\u200b"),
    )


def counts(max_value: int = MAX_COUNT) -> st.SearchStrategy[int]:
    """Return counts a contract accepts, edges included."""
    return st.sampled_from([0, 1, max_value]) | st.integers(0, max_value)


def instants() -> st.SearchStrategy[str | int]:
    """Return times of the past as producers spell them: RFC 3339 with an offset, or epoch ms."""
    moments = st.datetimes(datetime(1970, 1, 3), datetime(2026, 11, 22))  # noqa: DTZ001
    spelled = st.builds(
        lambda at, digits, zone: at.isoformat("T", "seconds") + digits + zone,
        moments,
        st.sampled_from(["", ".5", ".120", ".123456", ".123456789"]),
        st.sampled_from(["Z", "+00:00", "-00:00", "+05:30", "-08:00", "+14:00"]),
    )
    last_ms = int(NOW.timestamp() * 1_000)
    return spelled | st.integers(MIN_EPOCH_MS, last_ms)


def date_time_texts() -> st.SearchStrategy[str]:
    """Return texts in the shape of RFC 3339, whether or not they name a real moment."""
    return st.builds(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}{}".format,
        st.sampled_from([0, 1, 999, 1969, 1970, 2024, 2025, 2026, 9999]),
        st.integers(0, 13),
        st.sampled_from([0, 1, 28, 29, 30, 31, 32]),
        st.sampled_from([0, 11, 23, 24]),
        st.sampled_from([0, 59, 60]),
        st.sampled_from([0, 30, 59, 60, 61, 99]),
        st.sampled_from(["", ".5", ".999999999"]),
        st.sampled_from(["Z", "+00:00", "-23:59", "+23:59", "+24:00", "+05:60"]),
    )


@st.composite
def valid_payloads(draw: st.DrawFn) -> dict[str, Any]:
    """Return payloads that keep the contract, with any of the optional fields."""
    half = MAX_COUNT // 2  # their total is a count as well
    given = draw(st.fixed_dictionaries({"inputTokens": counts(half), "outputTokens": counts(half)}))
    if given["inputTokens"] == 0:
        given["outputTokens"] = 0
    read = draw(st.integers(0, given["inputTokens"]))
    write = draw(st.integers(0, given["inputTokens"] - read))
    optional = {
        "endpointTag": texts() | st.just(""),
        "promptVersion": texts() | st.just(""),
        "tenantId": opaque_ids(),
        "userId": opaque_ids(),
        "cacheReadTokens": st.just(read),
        "cacheWriteTokens": st.just(write),
        "inputAudioTokens": st.integers(0, given["inputTokens"]),
        "reasoningTokens": st.integers(0, given["outputTokens"]),
        "totalTokens": st.just(given["inputTokens"] + given["outputTokens"]),
        "webSearches": counts(),
        "latencyMs": counts() | st.none(),
        "attempt": st.integers(1, 9),
        "serviceTier": st.sampled_from(SERVICE_TIERS),
        "status": st.sampled_from([*STATUSES, "404"]) | st.integers(100, 599),
        "dataMode": st.sampled_from(DATA_MODES),
        "environment": st.sampled_from(ENVIRONMENTS) | st.none(),
        "timestamp": instants(),
        "ingestedAt": instants(),
    }
    required = {"externalRequestId": texts(256), "provider": texts(), "model": texts()}
    return given | draw(st.fixed_dictionaries(required, optional=optional))


def json_values() -> st.SearchStrategy[Any]:
    """Return any JSON value, NaN and infinities left out."""
    plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    plain = plain.filter(lambda value: value not in (float("inf"), float("-inf")))
    return st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )


@st.composite
def near_valid_lines(draw: st.DrawFn) -> bytes:
    """Return lines that are one step away from a valid one: a value, a name or some bytes."""
    fields = payload() | draw(valid_payloads())
    step = draw(st.sampled_from(["value", "literal", "twice", "drop", "cut", "byte", "extra"]))
    name = draw(st.sampled_from(_NAMES))
    if step == "value":
        return _dump(fields | {name: draw(json_values())})
    if step == "drop":
        return _dump({known: value for known, value in fields.items() if known != name})
    if step == "extra":
        return _dump(fields | draw(st.dictionaries(st.text(), json_values(), max_size=2)))
    if step == "literal":
        fields.pop(name, None)
    text = _dump(fields)
    if step in ("literal", "twice"):
        return text[:-1] + f',"{name}":{draw(st.sampled_from(_ODD_LITERALS))}}}'.encode()
    place = draw(st.integers(0, len(text)))
    if step == "cut":
        return text[:place]
    return text[:place] + draw(byte_lines(max_size=3)) + text[place + 1 :]


def byte_lines(max_size: int = 40) -> st.SearchStrategy[bytes]:
    """Return any bytes but a line feed."""
    return st.binary(max_size=max_size).map(lambda noise: noise.replace(b"\n", b""))


def lines() -> st.SearchStrategy[bytes]:
    """Return any line a file may hold: valid, nearly valid, blank, other JSON, noise."""
    return st.one_of(
        valid_payloads().map(_dump),
        near_valid_lines(),
        st.sampled_from([b"", b" \t ", b"\r", b"\r\r", b"\xef\xbb\xbf", b"{}"]),
        json_values().map(_dump),
        byte_lines(),
    )


def latencies() -> st.SearchStrategy[int]:
    """Return latencies from nothing to hours, and the largest the contract accepts."""
    return st.integers(0, 200) | st.integers(0, 10**8) | st.just(MAX_COUNT)


def moments() -> st.SearchStrategy[datetime]:
    """Return UTC instants of a few days, close enough that hours and days are shared."""
    start = datetime(2026, 11, 22, 22, tzinfo=UTC)
    return st.integers(0, 4 * 3600).map(lambda count: start + timedelta(seconds=count))


def _dump(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
