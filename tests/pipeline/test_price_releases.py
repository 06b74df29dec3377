"""A release of the package that waits, or changes what names mean: what prices meanwhile."""

from datetime import datetime
from decimal import Decimal

import polars as pl

from opsmeter_pipeline.cli.ingest import run_job
from opsmeter_pipeline.orchestration.jobs import INGEST_JOB_NAME, take_new
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.price_log import Decision, append_decisions, read_log
from opsmeter_pipeline.storage.price_versions import Sources
from tests.pipeline.releases import NewerBook, Prices, RenamingBook
from tests.pipeline.support import DAY, PipelineHome, jsonl, payload

GPT, DATED, MINI = ("openai", "gpt-4o"), ("openai", "gpt-4o-2024-11-20"), ("openai", "gpt-4o-mini")
USD, MINI_USD = Decimal("0.0000025"), Decimal("0.00000015")
WAITS = ["genai-prices", "waits"]


def test_a_release_that_waits_does_not_say_what_names_mean(prices: Prices) -> None:
    prices.settle("")
    assert prices.cost_per_input_token(GPT) == {GPT: USD}
    renamed = RenamingBook("9.9.9", ("gpt-4o", "gpt-4o-classic"), is_listed=True)
    assert prices.settle(book=renamed) == WAITS
    # One that nobody asked for before is known to the installed release only.
    assert prices.cost_per_input_token(GPT, DATED) == {GPT: USD, DATED: None}
    assert prices.explain(GPT)["model_id"] == "gpt-4o"
    asked = "SELECT model, source_version FROM model_resolutions ORDER BY ALL"
    former = prices.in_force[0]
    assert prices.lake.read(asked).rows() == [(GPT[1], former), (DATED[1], "9.9.9")]


def test_a_release_waits_if_a_name_that_callers_use_means_another_price_by_it(
    prices: Prices,
) -> None:
    prices.settle("")
    unused = RenamingBook("9.9.8", ("gpt-4o", "gpt-4o-mini"), is_listed=False)
    assert prices.settle(book=unused) == ["genai-prices", "taken"]
    assert prices.cost_per_input_token(GPT, MINI) == {GPT: MINI_USD, MINI: MINI_USD}
    # Back to where gpt-4o is gpt-4o: 0.15 to 2.50 dollars a million, and 0.60 to 10 for output.
    assert prices.settle(book=RenamingBook("9.9.9", ("", ""), is_listed=False)) == WAITS
    found = prices.moves().select("model", "former_usd_per_unit", "new_usd_per_unit")
    assert {row for row in found.rows() if row[1] == MINI_USD} == {("gpt-4o", MINI_USD, USD)}
    assert set(found["model"]) == {"gpt-4o"}
    assert prices.cost_per_input_token(GPT) == {GPT: MINI_USD}


def test_own_prices_at_one_provider_do_not_hide_a_move_at_one_that_borrows_the_list(
    prices: Prices,
) -> None:
    own = '[[price]]\nprovider = "openai"\nmodel = "gpt-4o"\ninput_usd_per_mtok = "2.4"\n'
    prices.settle(own + 'cache_read_usd_per_mtok = "1.2"\noutput_usd_per_mtok = "9"\n')
    azure = ("azure", "gpt-4o")
    assert prices.cost_per_input_token(azure, GPT) == {azure: USD, GPT: Decimal("0.0000024")}
    assert prices.settle(book=NewerBook("9.9.9", "8")) == WAITS
    assert set(prices.moves().select("provider", "model").rows()) >= {azure}


class OvertakenBook(PriceBook):
    """The installed package, in whose first loading another process decides on a version."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def catalogue(self, *, now: datetime) -> pl.DataFrame:
        log = read_log(self._lake)
        if log.rows.is_empty():
            other = Decision("genai-prices", "0.0.1", "taken", "another's", 0, "ann", now)
            append_decisions(self._lake, log, [other])
        return super().catalogue(now=now)


class OvertakenHome(HomeResource):
    """A home with that package."""

    def price_sources(self) -> Sources:
        return super().price_sources()._replace(book=OvertakenBook(self.lake))


def test_a_run_whose_price_decision_was_overtaken_is_tried_again(home: PipelineHome) -> None:
    home.land("1.jsonl", jsonl(payload("r1")))
    opened = OvertakenHome(home=str(home.folder))
    run_job(home.instance, opened, INGEST_JOB_NAME, take_new(log_level="CRITICAL"), day=DAY)
    assert home.rows("SELECT decided_by = 'ann' FROM price_versions") == [(True,), (False,)]
    assert home.rows("SELECT external_request_id FROM events") == [("r1",)]
