"""The queue of what has no price: one row per model and reason, with the step that fits by now."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from opsmeter_pipeline.cube import READS, sum_events
from opsmeter_pipeline.model.columns import Table
from opsmeter_pipeline.model.tables import (
    CUBES,
    EVENTS,
    MODEL_RESOLUTIONS,
    PRICE_ALIASES,
    PRICE_CATALOGUE,
    PRICE_VERSIONS,
)
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.views import VIEWS
from tests.scenario import NOW, event, events_of

D = Decimal


def unpriced(model: str, reason: str, **changes: Any) -> dict[str, Any]:
    bounds = {"unpriced_low_usd": D(1), "unpriced_high_usd": D(3)}
    return event(model=model, unpriced_reason=reason, **bounds) | changes


def put(lake: Lake, table: Table, rows: Iterable[dict[str, Any]], folder: Path) -> None:
    given = [dict.fromkeys(table.schema) | row for row in rows]
    path = folder / "rows.parquet"
    pl.DataFrame(given, schema=table.schema).write_parquet(path)
    lake.transact(lambda con: con.execute(f"INSERT INTO {table.name} FROM '{path}'"))


def resolved(model: str, **changes: Any) -> dict[str, Any]:
    return {"provider": "openai", "model": model, "rule": "unknown_model", "source_version": "1",
            "called_provider_id": None, "suggestion": f"Step for {model}.\n[[price]]",
            "resolved_at": NOW} | changes  # fmt: skip


KNOWN = {"called_provider_id": "openai", "provider_id": "openai", "rule": "equals"}
DECIDED = {"reason": "", "moved_prices": 0, "decided_by": "ann", "decided_at": NOW}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Prices of version 1 of the package and of a file; a version 2 of the package waits."""
    lake = Lake(tmp_path / "warehouse")
    lake.create({view.name: view.sql for view in VIEWS})
    events = EVENTS.arrange(events_of(
        unpriced("new", "unknown_model"),
        unpriced("new", "unknown_model", tenant_id="t-2", is_first_attempt=False),
        unpriced("coming", "unknown_model"),
        unpriced("since", "unknown_model"),
        unpriced("mine", "unknown_model"),
        unpriced("gpt-4o", "service_tier"),
        unpriced("gpt-4o", "special_units", unpriced_low_usd=None, unpriced_high_usd=None),
        unpriced("gpt-4o", "no_price_then"),
        event(cost_usd=D(5)),
        unpriced("never-asked", "unknown_model"),
    ))  # fmt: skip
    cubes = sum_events(events.select(READS), events.clear())
    for table in CUBES:
        put(lake, table, cubes[table.name].to_dicts(), tmp_path)
    sides = {"source": "genai-prices", "source_version": "1", "decision": "taken"} | DECIDED
    file = sides | {"source": "prices.toml"}
    decisions = [sides, file | {"source_version": "a"}, file | {"source_version": "b"},
                 sides | {"source_version": "2", "decision": "waits"}]  # fmt: skip
    numbered = [one | {"decision_number": n} for n, one in enumerate(decisions)]
    put(lake, PRICE_VERSIONS, numbered, tmp_path)
    listed = [("1", "gpt-4o"), ("1", "since-1"), ("2", "gpt-4o"), ("2", "coming")]
    put(lake, PRICE_CATALOGUE, [
        dict.fromkeys(PRICE_CATALOGUE.schema, None)
        | {"price_id": model, "source": "genai-prices", "source_version": version,
           "source_sha256": "", "loaded_at": NOW, "provider_id": "openai", "model_id": model,
           "model_order": 0, "model_pattern": "", "token_class": "output", "unit": "token",
           "price_usd_per_unit": D(1), "currency": "USD", "priority": 0, "is_rounded": False}
        for version, model in listed
    ], tmp_path)  # fmt: skip
    put(lake, PRICE_ALIASES, [], tmp_path)
    put(lake, MODEL_RESOLUTIONS, [
        resolved("new"), resolved("coming", called_provider_id="openai"),
        resolved("since", **KNOWN, model_id="since-1"),
        resolved("gpt-4o", **KNOWN, model_id="gpt-4o"),
        resolved("mine"), resolved("mine", **KNOWN | {"rule": "own_alias"}, model_id="gpt-4o",
                                   source_version="b"),
        # an older version of the file had a price for it that is gone
        resolved("new", **KNOWN | {"rule": "own_name"}, model_id="new", source_version="a"),
    ], tmp_path)  # fmt: skip
    return lake


def test_each_model_and_reason_has_the_step_that_fits_it_by_now(lake: Lake) -> None:
    found = lake.read("SELECT model, unpriced_reason, suggestion FROM unpriced_models")
    steps = {(model, reason): said for model, reason, said in found.iter_rows()}
    since = "Known by now. Price what came before it was: opsmeter reprice."
    assert steps == {
        ("new", "unknown_model"): "Step for new.\n[[price]]",
        ("coming", "unknown_model"): "Version genai-prices 2, which waits, has a price for it. "
        "Look at it and take it: opsmeter prices pending, opsmeter prices accept.",
        ("since", "unknown_model"): since,
        ("mine", "unknown_model"): since,
        ("gpt-4o", "service_tier"): "Put the tier and its price. Step for gpt-4o.\n[[price]]\n"
        'service_tier = "?"',
        ("gpt-4o", "special_units"): "Put its prices, and leave out the units it does not have. "
        'Step for gpt-4o.\n[[price]]\ninput_audio_usd_per_mtok = "?"\n'
        'output_audio_usd_per_mtok = "?"\nweb_search_usd = "?"',
        ("gpt-4o", "no_price_then"): "Its price in prices.toml does not hold then: widen "
        "valid_from, valid_to, environment or tenant there, or add a [[price]].",
        ("never-asked", "unknown_model"): "Run opsmeter run: it was not asked for by today's "
        "prices.",
    }


def test_it_tells_how_much_and_no_most_where_nobody_knows_it(lake: Lake) -> None:
    found = lake.read(
        """SELECT model, unpriced_reason, requests, unpriced_attempts, attempts, unpriced_share,
            input_tokens, tenants, unbounded_attempts, unpriced_low_usd, unpriced_high_usd
        FROM unpriced_models WHERE model IN ('new', 'gpt-4o') ORDER BY ALL"""
    )
    assert found.rows() == [
        ("gpt-4o", "no_price_then", 1, 1, 4, 0.25, 1_000, 1, 0, 1, 3),
        ("gpt-4o", "service_tier", 1, 1, 4, 0.25, 1_000, 1, 0, 1, 3),
        ("gpt-4o", "special_units", 1, 1, 4, 0.25, 1_000, 1, 1, 0, None),
        ("new", "unknown_model", 1, 2, 2, 1.0, 2_000, 2, 0, 2, 6),
    ]
    (total,) = lake.read(
        """SELECT cost_usd, unpriced_attempts, unbounded_attempts, unpriced_low_usd,
            unpriced_high_usd, unpriced_share, priced_share FROM overview"""
    ).rows()
    assert total == (5, 9, 1, 8, None, 0.9, 0.1)
