"""The user's own `prices.toml`: read exactly, and refused with what to write instead."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from opsmeter_pipeline.contract.identifiers import find_shape
from opsmeter_pipeline.model.price_errors import (
    OwnPricesError,
)
from opsmeter_pipeline.price.own import OwnPrices, parse_prices

D = Decimal
ENTRY = '[[price]]\nprovider = "acme"\nmodel = "m"\n'
ALIAS = '[[alias]]\nprovider = "azure"\nmodel = "chat"\nmeans_provider = "openai"\n'


def parse(text: str | bytes) -> OwnPrices:
    content = text if isinstance(text, bytes) else text.encode()
    return parse_prices(content, file="prices.toml", find_shape=find_shape)


def problems_of(text: str | bytes) -> str:
    with pytest.raises(OwnPricesError) as refused:
        parse(text)
    assert "Prices in prices.toml cannot be used:" in str(refused.value)
    assert "opsmeter prices check prices.toml" in str(refused.value)
    return str(refused.value)


def test_an_entry_is_read_to_the_last_decimal() -> None:
    (price,) = parse(
        """
        currency = "USD"
        [[price]]
        provider = " Azure.AI.OpenAI "
        model = "azure/GPT-4o"
        input_usd_per_mtok = "2.000000000001"
        cache_read_usd_per_mtok = 0.1
        output_usd_per_mtok = 8
        request_usd = 1e-3
        valid_from = 2026-01-01
        valid_to = 2026-07-01T00:30:00+02:00
        environment = "prod"
        tenant = "t_9f2c4e"
        service_tier = "batch"
        [[price.tier]]
        above_input_tokens = 200_000
        input_usd_per_mtok = "4"
        """
    ).prices
    assert price.name == ("azure", "gpt-4o")
    assert price.prices == {
        "uncached_input": D("0.000002000000000001"),
        "cache_read": D("0.0000001"),
        "output": D("0.000008"),
        "request": D("0.001"),
    }
    assert price.tiers == {200_000: {"uncached_input": D("0.000004")}}
    assert price.valid_from == datetime(2026, 1, 1, tzinfo=UTC)
    assert price.valid_to == datetime(2026, 6, 30, 22, 30, tzinfo=UTC)
    assert (price.environment, price.tenant_id, price.service_tier) == ("prod", "t_9f2c4e", "batch")


@pytest.mark.parametrize("text", ["", "# nothing\n", b"\xef\xbb\xbf", "price = []"])
def test_a_file_without_entries_has_none(text: str | bytes) -> None:
    assert parse(text) == OwnPrices()


def test_an_alias_names_the_model_it_means() -> None:
    (alias,) = parse(ALIAS + 'means_model = "GPT-4o"').aliases
    assert (alias.name, alias.means) == (("azure", "chat"), ("openai", "gpt-4o"))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("-0.01", "is -0.01, below zero; write what is charged, 0 if nothing"),
        ('"-3"', "is '-3', below zero"),
        ("0.12345678901234567890", "has 19 decimals; write it with 12 at most"),
        ('"1.0000000000000000000000000000000000001"', "has 37 decimals"),
        ("1e-99999", "has 99999 decimals"),
        ("1e99999", "is 1E+99999, more than 1000000 dollars; check its unit"),
        ("1000000.1", "more than 1000000 dollars"),
        ("nan", 'is NaN, no price; write dollars such as "2.50"'),
        ("inf", "no price"),
        ("true", "is True, no price"),
        ('"2,50"', "is '2,50', no price"),
        ('"$2"', "no price"),
        ('"1_0"', "no price"),
        ('"\u0662"', "no price"),
        ('""', "no price"),
        ("[2]", "no price"),
    ],
)  # fmt: skip
def test_what_is_no_exact_price_is_refused(value: str, said: str) -> None:
    problems = problems_of(f"{ENTRY}input_usd_per_mtok = {value}\n")
    assert f"price 1 (acme m): input_usd_per_mtok {said}" in problems or said in problems
    assert "price 1 (acme m): input_usd_per_mtok" in problems


@pytest.mark.parametrize(
    "value",
    ["0", "0.0", "-0.0", "0e999999", "0e-999999", '"0"', "1000000", "1e6", "0.000000000001",
     "2.50000000000000000000", '"1.' + "0" * 60 + '"'],
)  # fmt: skip
def test_prices_up_to_the_bounds_are_taken(value: str) -> None:
    (price,) = parse(f"{ENTRY}request_usd = {value}\n").prices
    assert price.prices == {"request": D(value.strip('"'))}
    assert not price.prices["request"].is_signed()
    assert price.prices["request"].as_tuple().exponent == -12  # any engine can hold it


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENTRY, "price 1 (acme m): it has no price; add input_usd_per_mtok"),
        (ENTRY + "input = 1", "'input' is no key here; did you mean input_usd_per_mtok?"),
        (ENTRY + "zzz = 1", "'zzz' is no key here; there are provider, model,"),
        ('[[price]]\nmodel = "m"\nrequest_usd = 1', "price 1 (m): provider is missing; add it"),
        ('[[price]]\nprovider = ""\nmodel = 3', "price 1 (): provider is no name"),
        ('currency = "EUR"', "currency is 'EUR'; all prices are US dollars, convert them"),
        (ENTRY + 'request_usd = 1\ncurrency = "EUR"', "price 1 (acme m): currency is 'EUR'"),
        ("prices = 1", "'prices' is no key here; did you mean price?"),
        ("price = 1", "price: write each as a table of its own, under a header [[price]]"),
        ("[price]\nmodel = 'm'", "under a header [[price]]"),
        ("[[price]\n", "it cannot be read as TOML: "),
        ("a = " + "[" * 5000, "it is nested too deep"),
        ("a = 1e9999999999999999999999", "it cannot be read as TOML"),
        ("a = " + "9" * 5000, "it cannot be read as TOML"),
        (b"[[price]]\nmodel = '\xff'", "byte 19 is not UTF-8"),
        (ENTRY + "request_usd = 1\nenvironment = 'production'",
         "environment is 'production'; write one of prod, staging, dev"),
        (ENTRY + "request_usd = 1\nservice_tier = 'Batch'", "write one of default, batch, flex"),
        (ENTRY + "request_usd = 1\nvalid_from = '2026-01-01'", "without quotes"),
        (ENTRY + "request_usd = 1\nvalid_from = 2026-01-01T00:00:00", "add Z or +hh:mm"),
        (ENTRY + "request_usd = 1\nvalid_from = 0026-01-01",
         "valid_from is 0026-01-01; write a day of the years 1970 to 9999, or leave it out"),
        (ENTRY + "request_usd = 1\nvalid_from = 0001-01-01T00:00:00+14:00", "years 1970 to 9999"),
        (ENTRY + "request_usd = 1\nvalid_to = 9999-12-31T23:59:59-14:00", "years 1970 to 9999"),
        (ENTRY + "request_usd = 1\nvalid_from = 2026-01-01\nvalid_to = 2026-01-01",
         "valid_to is not after valid_from"),
        (ENTRY + "request_usd = 1\ntier = 3", "write each under a header [[price.tier]]"),
        (ENTRY + "request_usd = 1\n[[price.tier]]\nabove_input_tokens = 0\nrequest_usd = 1",
         "tier: above_input_tokens is 0, no count of tokens"),
        (ENTRY + "request_usd = 1\n[[price.tier]]\nabove_input_tokens = 5\noutput_usd_per_mtok=1",
         "tier above 5 has a price the entry has not"),
        (ENTRY + "request_usd = 1\n" + "[[price.tier]]\nabove_input_tokens = 5\nrequest_usd = 1\n"
         * 2, "above_input_tokens 5 occurs twice"),
        (ALIAS, "alias 1 (azure chat): means_model is missing; add it"),
        ((ALIAS + "means_model = 'm'\n") * 2, "alias 1 and alias 2 (azure chat): one name"),
        (ALIAS + "means_model = 'm'\n[[alias]]\nprovider = 'a'\nmodel = 'b'\n"
         "means_provider = 'azure'\nmeans_model = 'Chat'", "alias 2 (a b): it means an alias"),
        (ALIAS + "means_model = 'm'\n[[price]]\nprovider = 'azure'\nmodel = 'chat'\nrequest_usd=1",
         "price 1 (azure chat): it is an alias too; price what it means"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_with_the_remedy(text: str | bytes, said: str) -> None:
    assert said in problems_of(text)


@pytest.mark.parametrize(
    "tenant", ["ann.lee@example.com", "Ann Lee", "+49 151 2345678", "4711", "ann%40example.com"]
)
def test_a_raw_tenant_is_refused_and_not_shown(tenant: str) -> None:
    problems = problems_of(f'{ENTRY}request_usd = 1\ntenant = "{tenant}"\n')
    assert "price 1 (acme m): tenant looks like" in problems
    assert "write its hashed tenant_id from `events`" in problems
    assert tenant not in problems


@pytest.mark.parametrize(
    ("one", "other", "collide"),
    [
        ("", "", True),
        ("valid_to = 2026-03-01", "valid_from = 2026-03-01", False),
        ("valid_to = 2026-03-01", "valid_from = 2026-02-28T23:59:59.999999Z", True),
        ("valid_from = 2026-03-01", "valid_to = 2026-03-01", False),
        ("valid_from = 2026-03-01", "", True),
        ("environment = 'prod'", "", False),
        ("environment = 'prod'", "environment = 'dev'", False),
        ("environment = 'prod'", "environment = 'prod'", True),
        ("tenant = 't1a'", "environment = 'prod'", False),
        ("service_tier = 'batch'", "", False),
        ("service_tier = 'default'", "", True),
    ],
)
def test_two_prices_of_one_request_are_refused(one: str, other: str, *, collide: bool) -> None:
    second = ENTRY.replace('"m"', '" M "')  # the same name, spelled otherwise
    text = f"{ENTRY}request_usd = 1\n{one}\n{second}request_usd = 2\n{other}\n"
    if collide:
        assert "price 1 and price 2 (acme m): both price the same requests" in problems_of(text)
    else:
        assert len(parse(text).prices) == 2


def test_all_problems_are_told_at_once() -> None:
    problems = problems_of(f"{ENTRY}request_usd = -1\ninput_usd_per_mtok = nan\n{ALIAS}")
    assert problems.count("\n  ") == 3
