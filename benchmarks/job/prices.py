"""The price table the hand-written script reads: genai-prices' own numbers, written as CSV.

One row per provider, model and token class, valid from one day until another (empty: open).
Prices are per token and exact: Decimal per million tokens times 0.000001, never a float, never a
division. A model with tiered or time-of-day prices is refused, as the script has no rule for it.
Comes before `by_hand`; the product reads its own catalogue and not this file.
"""

import argparse
import csv
from collections.abc import Iterator
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import Final, TypeAlias

from genai_prices import data_snapshot
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, StartDateConstraint

from benchmarks.job.make_lines import MODELS

COLUMNS: Final = (
    "provider",
    "model",
    "token_class",
    "valid_from",
    "valid_to",
    "price_usd_per_token",
)

_TOKENS_PER_MTOK_INVERSE: Final = Decimal("0.000001")
_FIELD_BY_CLASS: Final = {
    "uncached_input": "input_mtok",
    "cache_read": "cache_read_mtok",
    "output": "output_mtok",
}

PriceRow: TypeAlias = tuple[str, str, str, str, str, str]


def write_prices(path: Path) -> None:
    """Writes the prices of the generator's models to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for provider, model in MODELS:
            writer.writerows(price_rows(provider, model))


def price_rows(provider: str, model: str) -> Iterator[PriceRow]:
    """Rows of one model, in the order of COLUMNS.

    Raises:
        LookupError: genai-prices does not know the model.
        TypeError: A token class has no price, or a tiered one.
        ValueError: A price holds at certain times of day only.
    """
    _, info = data_snapshot.get_snapshot().find_provider_model(model, None, provider, None)
    for valid_from, valid_to, prices in _spans(info):
        for token_class, field in _FIELD_BY_CLASS.items():
            price_usd_per_mtok = getattr(prices, field)
            if not isinstance(price_usd_per_mtok, Decimal):
                message = (
                    f"{provider}/{model} has no flat {token_class} price: choose another model"
                )
                raise TypeError(message)
            per_token = price_usd_per_mtok * _TOKENS_PER_MTOK_INVERSE
            yield provider, model, token_class, valid_from, valid_to, f"{per_token:.18f}"


def _spans(info: ModelInfo) -> list[tuple[str, str, ModelPrice]]:
    """(valid_from, valid_to, prices), oldest first; an empty day is an open end."""
    if isinstance(info.prices, ModelPrice):
        return [("", "", info.prices)]
    dated = sorted(((_start_day(one), one.prices) for one in info.prices), key=itemgetter(0))
    ends = [start for start, _ in dated[1:]]
    return [(start, end, prices) for (start, prices), end in zip(dated, [*ends, ""], strict=True)]


def _start_day(price: ConditionalPrice) -> str:
    """ISO day the price starts on, empty for the model's first price."""
    if price.constraint is None:
        return ""
    if isinstance(price.constraint, StartDateConstraint):
        return price.constraint.start_date.isoformat()
    message = f"price with {price.constraint} is not effective-dated: choose another model"
    raise ValueError(message)


def main() -> None:
    """Writes the prices CSV."""
    parser = argparse.ArgumentParser(prog="benchmarks.job.prices", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    write_prices(parser.parse_args().out)


if __name__ == "__main__":
    main()
