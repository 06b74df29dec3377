"""What is a raw identifier and what is opaque: both sides of each shape's boundary."""

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsmeter_pipeline.contract.identifiers import PLAIN_ID, SHAPES, find_shape, normalise
from opsmeter_pipeline.contract.personal import (
    LIKE_BASE64,
    NUMBER_AFTER_PLUS,
    SUSPICIOUS,
    find_personal,
    redact_extra,
)
from opsmeter_pipeline.model.errors import HashKeyError, SettingsError
from opsmeter_pipeline.model.identifiers import MIN_KEY_BYTES, hash_identifier
from opsmeter_pipeline.settings import Settings, load_settings
from tests.strategies import opaque_ids, raw_ids, texts

KEY = b"0123456789abcdef"
E_MAIL, WEB, ADDRESS, NUMBER, DIGITS, PHONE, CARD, ACCOUNT, SPACE, BEYOND, OTHER, DOTS, NAME = (
    SHAPES
)


@pytest.mark.parametrize(
    ("raw", "shape", "opaque"),
    [
        ("ann@example.com", E_MAIL, "ann_example_com1"),
        ("@annlee", E_MAIL, "annlee"),
        ("ann%40example.com", E_MAIL, "ann40examplecom"),
        ("ann%2540example.com", E_MAIL, "ann2540"),
        ("ann&#64;example.com", E_MAIL, "ann64"),
        (r"ann\u0040example.com", E_MAIL, "ann0040"),
        ("ann\uff20example.com", E_MAIL, "u_ann"),
        ("ann\u200b@\u2060ex\u034fample.com", E_MAIL, "u_1"),
        ("https://id.example/7", WEB, "https"),
        ("MAILTO:ann", WEB, "mailto"),
        ("www.annlee7.x9", WEB, "www7"),
        ("192.168.13.37", ADDRESS, "u_192"),
        ("ip:192.168.13.37", ADDRESS, "ip:192.168.13.256.1"),
        ("fe80::1ff:fe23:4567:890a", ADDRESS, "fe80:1ff"),
        ("aa:bb:cc:dd:ee:0f", ADDRESS, "aa:bb:cc:dd:ee"),
        ("1", NUMBER, "u1"),
        ("-4711", NUMBER, "x-4711"),
        ("\uff14\uff17\uff11\uff11", NUMBER, "u_4711"),
        ("\u0664\u0667", NUMBER, "a4711"),
        (" 4711\t", NUMBER, " u_4711\t"),
        ("+49 170 1234567", DIGITS, "u_491701234567"),
        ("(555) 010-9999", DIGITS, "-"),
        ("1984-05-12", DIGITS, "t_1984"),
        ("4111 1111 1111 1111", DIGITS, "u_4111111111111111"),
        ("id:+4917012", PHONE, "id:+491701"),
        ("u_555-010-9999", PHONE, "u_555-010-999"),
        ("u_078-05-1120", CARD, "u_078-05-112"),
        ("cc:4111-1111-1111-1111", CARD, "cc:4111-1111"),
        ("DE89370400440532013000", ACCOUNT, "DE88370400440532013000"),
        ("GB29NWBK60161331926819", ACCOUNT, "GB28NWBK60161331926819"),
        ("Ann Lee", SPACE, "annlee"),
        ("ann\u00a0lee", SPACE, "ann_lee"),
        ("u\n1", SPACE, "u1"),
        ("Zoë", BEYOND, "Zoe9"),
        ("李小龍", BEYOND, "u_li"),
        ("O'Brien", OTHER, "OBrien"),
        ("lee,ann", OTHER, "lee-ann"),
        ("\u200b", OTHER, ""),
        ("ann.lee", DOTS, "ann.l33.x"),
        ("a.b.lee84", DOTS, "a.b.lee84001"),
        ("Ann", NAME, "ann"),
        ("Ann-Lee_Kim", NAME, "Ann-Lee_4f"),
    ],
)
def test_each_shape_is_raw_and_what_lies_beside_it_is_not(
    raw: str, shape: str, opaque: str
) -> None:
    assert find_shape(raw) == shape
    assert find_shape(opaque) is None


@pytest.mark.parametrize(
    "opaque",
    [
        "u_71ab", "t_9f2c", "tenant_14", "usr_01HZXB6MQZ2WQ9D2KCF9M4V2QY", "tenant_acme_hash",
        "u_13506399988591660497", "550e8400-e29b-41d4-a716-446655440000", "auth0|5f7c8e",
        "01HZXB6MQZ2WQ9D2KCF9M4V2QY", "d41d8cd98f00b204e9800998ecf8427e", "sha256:9f86d081884c7d65",
        "YWxwaGEgYmV0YQ==", "u+7Zk/9_-=", "NBSWY3DPO5XXE3DE", "unknown", "deadbeef", "", "  ",
        "arn:aws:iam::123456789012:role/x", hash_identifier("Ann", name="userId", key=KEY),
    ],
)  # fmt: skip
def test_hashes_and_prefixed_tokens_are_opaque(opaque: str) -> None:
    assert find_shape(opaque) is None


@given(raw=raw_ids())
def test_no_generated_raw_id_is_taken_for_opaque(raw: str) -> None:
    assert find_shape(raw) in SHAPES
    assert not re.search(PLAIN_ID, raw)


@given(value=st.from_regex(PLAIN_ID, fullmatch=True) | opaque_ids())
def test_what_passes_in_bulk_has_no_shape(value: str) -> None:
    assert find_shape(value.rstrip("\n")) is None


@given(text=texts() | raw_ids() | st.text("+@%&\\0123456789 ()/.az\u00e9", max_size=24))
def test_what_is_not_looked_at_closely_holds_nothing_personal(text: str) -> None:
    looked_at = re.search(SUSPICIOUS, text) or not text.isascii()
    is_plain = re.search(LIKE_BASE64, text) and not re.search(NUMBER_AFTER_PLUS, text)
    if not looked_at or is_plain:
        assert find_personal(text) is None


@pytest.mark.parametrize(
    ("held", "clear"),
    [
        ("for ann.lee@example.com!", "claude-sonnet-4@20250514"),
        ("ann @ example.com", "@scope/pkg.name"),
        ("ann@10.0.0.1", "model@latest.v2"),
        ("req-%61nn%40example.com", "100%25 sure"),
        ("call +49 170 1234567", "2026-11-23T10:00:00+05:30"),
        ("+1(555)0109999", "a+b+1"),
        ("\uff0b4917012345", "sha-1+2024010100"),
    ],
)
def test_other_texts_hold_addresses_and_phones_or_are_left_alone(held: str, clear: str) -> None:
    assert find_personal(held)
    assert find_personal(clear) is None


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"region":"eu-west-1","n":[1,-2.50,1e400,true,null]}',) * 2,
        ('{"sdk": {"name":"acme-llm", "version":"3.2.0"}}',) * 2,
        ('{"id":12345678901234567890,"note":"for b\\u00e9b\\u00e9"}',) * 2,
        ('{"a":"ann\\u0040example.com"}', '{"a":"(redacted)"}'),
        ('{"a":["Ann Lee",{"b":"10.1.2.3"}]}', '{"a":["(redacted)",{"b":"(redacted)"}]}'),
        ('{"a@b.io":1,"c@d.io" :2}', '{"(redacted 1)":1,"(redacted 2)" :2}'),
        ('{"userPhone":491701234567,"x":7}', '{"userPhone":"(redacted)","x":7}'),
        ('{"user":"ann","user_id":"u_1"}', '{"user":"(redacted)","user_id":"u_1"}'),
        ('{"users":["ann",{"k":"b"}],"k":"c"}', '{"users":["(redacted)",{"k":"b"}],"k":"c"}'),
        ('{"a":"DE89370400440532013000"}', '{"a":"(redacted)"}'),
        ('{"a":"}\\"{","b":{}}',) * 2,
    ],
)  # fmt: skip
def test_unknown_fields_keep_their_structure_and_lose_persons(text: str, kept: str) -> None:
    assert redact_extra(text) == kept


def test_hashes_differ_by_field_value_and_key_and_by_nothing_else() -> None:
    hashed = hash_identifier("Ann Lee", name="userId", key=KEY)
    assert re.fullmatch(r"h_[0-9a-f]{32}", hashed)
    assert hashed == hash_identifier("Ann Lee", name="userId", key=KEY)
    others = {
        hash_identifier("Ann Lee", name="tenantId", key=KEY),
        hash_identifier("ann Lee", name="userId", key=KEY),
        hash_identifier("Ann Lee", name="userId", key=KEY[::-1]),
    }
    assert len(others | {hashed}) == 4


def test_escapes_and_forms_are_undone_before_a_text_is_judged() -> None:
    assert normalise("\u200b\uff41nn%2540x&#46;io ") == "ann@x.io"


def test_policy_needs_a_key_that_is_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert get_args(Settings.model_fields["identifiers"].annotation) == ("refuse", "hash")
    assert load_settings().identifier_policy.key is None
    monkeypatch.setenv("OPSMETER_IDENTIFIERS", "hash")
    with pytest.raises(HashKeyError, match="OPSMETER_HASH_KEY is not set"):
        _ = load_settings().identifier_policy
    monkeypatch.setenv("OPSMETER_HASH_KEY", "k" * (MIN_KEY_BYTES - 1))
    with pytest.raises(HashKeyError, match="has 15 bytes; it needs at least 16"):
        _ = load_settings().identifier_policy
    monkeypatch.setenv("OPSMETER_HASH_KEY", KEY.decode())
    assert load_settings().identifier_policy.key == KEY
    monkeypatch.setenv("OPSMETER_IDENTIFIERS", "refuse")
    assert load_settings().identifier_policy.key is None


def test_the_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSMETER_IDENTIFIERS", "hash")
    monkeypatch.setenv("OPSMETER_HASH_KEY", KEY.decode())
    settings = load_settings()
    shown = f"{settings!r} {settings} {settings.identifier_policy} {settings.model_dump_json()}"
    assert KEY.decode() not in shown
    monkeypatch.setenv("OPSMETER_IDENTIFIERS", "maybe")
    with pytest.raises(SettingsError) as told:
        load_settings()
    assert KEY.decode() not in f"{told.value} {told.value.__cause__}"
