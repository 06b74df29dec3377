"""Prices in the warehouse: the catalogue, and what each name that callers use was resolved to.

Both tables only grow. A price list is loaded once per version of its source; a name is resolved
once per version, so the source is not even opened in most runs.
"""

from datetime import datetime

import polars as pl

from opsmeter_pipeline.model.tables import MODEL_RESOLUTIONS, PRICE_CATALOGUE
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.publisher import append_new
from opsmeter_pipeline.storage.staging import Staging


def ensure_catalogue(lake: Lake, book: PriceBook, staging: Staging, *, now: datetime) -> int:
    """Load the price list unless its version is loaded; return how many rows that version has."""
    sql = "SELECT count(*) FROM price_catalogue WHERE source_version = ?"
    rows = lake.read(sql, [book.version]).item()
    if rows == 0:
        catalogue = book.catalogue(now=now)
        path = staging.write("price_catalogue", catalogue)
        append_new(lake, PRICE_CATALOGUE, path, key=["source", "source_version"])
        rows = catalogue.height
    return rows


def resolve_names(
    lake: Lake, book: PriceBook, staging: Staging, *, names: pl.DataFrame, now: datetime
) -> pl.DataFrame:
    """Return the resolution of each `provider` and `model`; new ones are asked and kept."""
    sql = "SELECT * FROM model_resolutions WHERE source_version = ?"
    known = MODEL_RESOLUTIONS.arrange(lake.read(sql, [book.version]))
    pair = ["provider", "model"]
    new = book.resolve(names.join(known, on=pair, how="anti").sort(pair).iter_rows(), now=now)
    if not new.is_empty():
        path = staging.write("model_resolutions", new)
        append_new(lake, MODEL_RESOLUTIONS, path, key=[*pair, "source_version"])
    return pl.concat([known, new]).join(names, on=pair, how="semi")


def read_prices(lake: Lake, book: PriceBook, *, resolutions: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `price_catalogue` for the models that names were resolved to."""
    sql = (
        "SELECT * FROM price_catalogue WHERE source_version = ? AND model_id IN (SELECT unnest(?))"
    )
    models = resolutions["model_id"].drop_nulls().unique().to_list()
    return PRICE_CATALOGUE.arrange(lake.read(sql, [book.version, models]))
