"""Versions of prices in a real warehouse: what prices, what waits, who accepts, what is kept."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from opsmeter_pipeline.cli.price_show import Asked as AskedPrice
from opsmeter_pipeline.cli.price_show import show_command
from opsmeter_pipeline.cli.prices import accept_command, check_command, pending_command
from opsmeter_pipeline.cli.reconcile import Asked, reconcile_command
from opsmeter_pipeline.model.price_errors import (
    NothingWaitsError,
    OwnPricesError,
    PriceQuestionError,
    PricesOvertakenError,
)
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.own_book import read_own_book
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.price_log import Decision, append_decisions, read_log
from opsmeter_pipeline.storage.price_versions import Sources, settle_prices
from opsmeter_pipeline.storage.staging import Staging
from tests.pipeline.releases import LOG, NOW, NewerBook, Prices
from tests.pipeline.support import REPO, PipelineHome, call_opsmeter, jsonl, payload

D = Decimal
CONTRACT = """
[[price]]
provider = "openai"
model = "gpt-4o"
input_usd_per_mtok = "{input}"
cache_read_usd_per_mtok = "1.125"
output_usd_per_mtok = "9.00"
web_search_usd = "0.01"
"""


def test_a_file_waits_when_it_moves_a_price_far_and_prices_when_it_does_not(prices) -> None:
    assert prices.settle("") == ["genai-prices", "taken"]
    assert prices.settle("# nothing yet\n") == ["genai-prices", "taken"]
    assert prices.settle(CONTRACT.format(input="2.25")) == ["prices.toml", "taken"]
    package, contract = prices.in_force
    assert prices.settle(CONTRACT.format(input="22.5")) == ["prices.toml", "waits"]
    assert prices.in_force == (package, contract)
    rows = prices.lake.read("FROM price_versions").height
    assert prices.settle() == ["prices.toml", "waits"]
    assert prices.lake.read("FROM price_versions").height == rows
    assert prices.settle(CONTRACT.format(input="2.25")) == ["prices.toml", "taken"]
    assert read_log(prices.lake).waiting() == []
    prices.file.unlink()
    assert prices.settle() == ["prices.toml", "taken"]
    kept = "SELECT count(*) FROM price_catalogue WHERE source = 'prices.toml'"
    assert prices.lake.read(kept).item() == 8


def test_a_private_model_and_a_deep_discount_wait_when_their_file_goes(prices) -> None:
    own = '[[price]]\nprovider = "acme"\nmodel = "house"\ninput_usd_per_mtok = 3\n'
    prices.settle("")
    assert prices.settle(own) == ["prices.toml", "taken"]
    prices.file.unlink()
    assert prices.settle() == ["prices.toml", "waits"]
    assert prices.lake.read("SELECT moved_prices FROM price_versions")["moved_prices"][-1] > 0
    assert prices.settle(CONTRACT.format(input="1.25")) == ["prices.toml", "waits"]


def test_the_first_load_of_a_home_needs_no_acceptance(prices) -> None:
    assert prices.settle(CONTRACT.format(input="0.10")) == ["prices.toml", "taken"]
    assert [one for *_, one in prices.lake.read(LOG).rows()] == ["taken", "taken"]


@pytest.mark.parametrize(
    ("times", "decision"), [("1.4", "taken"), ("1.5", "waits"), ("8", "waits"), ("0.5", "waits")]
)
def test_a_release_that_moves_a_price_far_waits_and_so_does_the_way_back(
    prices, times: str, decision: str
) -> None:
    prices.settle("")
    assert prices.settle(book=NewerBook("9.9.9", times)) == ["genai-prices", decision]
    former = PriceBook().version
    assert prices.in_force[0] == ("9.9.9" if decision == "taken" else former)
    assert prices.settle(book=PriceBook()) == ["genai-prices", "taken"]
    assert prices.in_force[0] == former
    per_version = "SELECT source_version, count(*) AS n FROM price_catalogue GROUP BY ALL"
    assert len({n for _, n in prices.lake.read(per_version).rows()}) == 1


def test_a_release_moves_nothing_where_own_prices_stand_over_it(prices) -> None:
    prices.settle("")
    prices.settle(CONTRACT.format(input="2.25"))
    assert prices.settle(book=NewerBook("9.9.9", "1.4")) == ["genai-prices", "taken"]
    assert prices.settle(book=NewerBook("9.9.10", "8")) == ["genai-prices", "waits"]
    moved = prices.lake.read("SELECT moved_prices FROM price_versions ORDER BY decision_number")
    assert moved["moved_prices"].to_list()[:3] == [0, 0, 0]


def test_two_runs_that_load_at_once_load_and_decide_once(tmp_path: Path) -> None:
    Prices(tmp_path).settle("")
    (tmp_path / "prices.toml").write_text(CONTRACT.format(input="25"))

    def load(number: int) -> None:
        lake, own = (
            Lake(tmp_path / "warehouse"),
            read_own_book(tmp_path / "prices.toml", is_required=True),
        )
        staging = Staging(tmp_path / "staging", f"both-{number}")
        settle_prices(lake, Sources(PriceBook(), own), staging, by=f"run {number}", now=NOW)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(load, range(2)))
    lake = Lake(tmp_path / "warehouse")
    assert [one for *_, one in lake.read(LOG).rows()] == ["taken", "waits"]
    rows = "SELECT count(*) FROM price_catalogue WHERE source = 'prices.toml'"
    assert lake.read(rows).item() == 4


def test_who_decides_on_an_old_log_is_refused(prices) -> None:
    prices.settle("")
    log = read_log(prices.lake)
    prices.settle(CONTRACT.format(input="25"))
    late = Decision("prices.toml", "other", "accepted", "late", 0, "ann", NOW)
    with pytest.raises(PricesOvertakenError, match="prices pending"):
        append_decisions(prices.lake, log, [late])


@pytest.fixture(scope="module")
def priced(make_home) -> PipelineHome:
    """A home that ran without own prices, then with a far one, then with that and an alias."""
    home = make_home()
    home.land("0.jsonl", jsonl(payload("r0")))
    home.take_all()
    file = home.folder / "prices.toml"
    file.write_text(CONTRACT.format(input="20"))
    home.land("1.jsonl", jsonl(payload("r1")))
    home.take_all()
    code, _, err = call_opsmeter("prices", "accept", "--by", "ann", home=home.folder)
    assert code == 0, err
    file.write_text(file.read_text() + ALIAS)
    called = {"provider": "azure", "model": "Prod-Chat"}
    home.land("2.jsonl", jsonl(payload("r2"), payload("r3", **called)))
    home.take_all()
    return home


ALIAS = """
[[alias]]
provider = "azure"
model = "prod-chat"
means_provider = "openai"
means_model = "gpt-4o"
"""


def test_the_former_version_prices_until_a_person_accepts(priced: PipelineHome) -> None:
    usd = "SELECT external_request_id, cost_usd FROM events ORDER BY 1"
    listed = 1000 * D("0.0000025") + 100 * D("0.00001")
    own = 1000 * D("0.00002") + 100 * D("0.000009")
    assert priced.rows(usd) == [("r0", listed), ("r1", listed), ("r2", own), ("r3", own)]
    versions = dict(priced.rows("SELECT decision, decided_by FROM price_versions"))
    assert versions["accepted"] == "ann"


def test_each_event_points_to_the_row_that_priced_it(priced: PipelineHome) -> None:
    sql = """SELECT DISTINCT e.external_request_id, p.source FROM events e
        JOIN price_catalogue p USING (price_id) ORDER BY 1"""
    package, own = "genai-prices", "prices.toml"
    assert priced.rows(sql) == [("r0", package), ("r1", package), ("r2", own), ("r3", own)]
    rule = "SELECT rule FROM model_resolutions WHERE model = 'Prod-Chat' AND model_id IS NOT NULL"
    assert priced.rows(rule) == [("own_alias",)]


def told(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def show(model: str, provider: str, home: Path, **options: object) -> None:
    asked = AskedPrice(model, provider, None, "default", "unknown", "prod", 1, None)
    show_command(asked._replace(**options), home=home, as_json=True)


def test_show_explains_the_price_now_and_as_it_was_known(priced: PipelineHome, capsys) -> None:
    show("prod-chat", "azure", priced.folder)
    (one,) = told(capsys)["prices"]
    assert one["means"] == "openai gpt-4o"
    assert (one["matched_by"], one["source"]) == ("own_alias", "prices.toml")
    charged = {row["token_class"]: row for row in one["charges"]}
    assert D(charged["uncached_input"]["usd_per_mtok"]) == 20
    assert charged["cache_write"]["has_own_row"] is False
    first = priced.value("SELECT decided_at FROM price_versions WHERE decision_number = 0")
    show("gpt-4o", "openai", priced.folder, as_of=first.isoformat())
    (then,) = told(capsys)["prices"]
    assert then["source"] == "genai-prices"
    assert then["in_force_by"] == "taken: the first prices of this home"
    with pytest.raises(PriceQuestionError, match="No prices were known at 2020-01-01"):
        show("gpt-4o", "openai", priced.folder, as_of="2020-01-01")


def test_what_waits_is_listed_and_only_what_waits_is_accepted(priced: PipelineHome, capsys) -> None:
    file = priced.folder / "prices.toml"
    kept = file.read_text()
    file.write_text(kept.replace('"20"', '"2"'))
    pending_command(home=priced.folder, as_json=True)
    (waiting,) = told(capsys)["waiting"]
    (inputs,) = [one for one in waiting["moves"] if "uncached_input" in one["token_class"]
                 and one["provider"] == "openai"]  # fmt: skip
    assert D(inputs["former_usd_per_unit"]) == D("0.00002")
    assert D(inputs["new_usd_per_unit"]) == D("0.000002")
    with pytest.raises(NothingWaitsError, match=waiting["source_version"]):
        accept_command("nope", by="ann", home=priced.folder, as_json=True)
    file.write_text(kept)
    pending_command(home=priced.folder, as_json=True)
    assert told(capsys) == {"waiting": []}


def test_a_file_that_cannot_be_used_stops_a_run_before_it_takes_anything(
    priced: PipelineHome,
) -> None:
    file = priced.folder / "prices.toml"
    kept = file.read_text()
    file.write_text(kept.replace('"20"', "-20"))
    code, out, err = call_opsmeter("run", "--json", home=priced.folder)
    file.write_text(kept)
    assert (code, out) == (2, "")
    assert f"{file} cannot be used" in err
    assert "price 1 (openai gpt-4o): input_usd_per_mtok is -20, below zero" in err
    with pytest.raises(OwnPricesError, match="create it, or unset OPSMETER_PRICES"):
        read_own_book(priced.folder / "nowhere.toml", is_required=True)


def test_the_example_of_the_docs_is_good_and_does_what_it_says(tmp_path: Path, capsys) -> None:
    page = (REPO / "docs" / "prices-own.md").read_text()
    file = tmp_path / "prices.toml"
    file.write_text(re.search(r"```toml\n(.*?)```", page, re.DOTALL)[1])
    check_command(None, home=tmp_path, as_json=True)
    found = told(capsys)
    assert (found["prices"], found["aliases"]) == (4, 1)
    # Of all it says, only free calls in dev are far from the package's prices.
    assert {move["environment"] for move in found["moves"]} == {"dev"}
    show("house-70b", "acme", tmp_path, input_tokens=128_001)
    (one,) = told(capsys)["prices"]
    assert D(one["charges"][0]["usd_per_mtok"]) == D("0.80")


def test_an_alias_of_nothing_is_named_by_check(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(ALIAS.replace("gpt-4o", "gpt-never"))
    with pytest.raises(OwnPricesError, match=r"alias 1 .azure prod-chat.: nobody has a price"):
        check_command(file, home=None, as_json=True)


def test_reconcile_knows_what_an_alias_means_at_the_provider_that_bills_it(
    priced: PipelineHome, tmp_path: Path, capsys
) -> None:
    """azure bills gpt-4o for the deployment that callers name Prod-Chat; so may an export."""
    header = "day,provider,model,requests,cost_usd\n"
    for name in ("gpt-4o", "prod-chat"):
        file = tmp_path / "azure.csv"
        file.write_text(f"{header}2025-03-10,azure,{name},1,0.0209\n")
        reconcile_command(Asked(file, None, "0", *[None] * 6), home=priced.folder, as_json=True)
        (requests, cost) = told(capsys)["rows"]
        assert (requests["model"], requests["warehouse"]) == ("gpt-4o", 1)
        assert (cost["provider"], D(cost["delta"])) == ("azure", 0)
