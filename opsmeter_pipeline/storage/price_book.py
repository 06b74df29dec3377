"""Where prices come from: the data inside the installed genai-prices package.

Only the pinned package is read, never its online update, so a run can be repeated. Importing it
takes a quarter of a second, so it is imported when a price list or a new name is asked for.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from opsmeter_pipeline.model.columns import INSTANT
from opsmeter_pipeline.model.tables import MODEL_RESOLUTIONS
from opsmeter_pipeline.price.catalogue import flatten_prices
from opsmeter_pipeline.price.matching import Matcher

_UNTOLD = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands where the list, which is kept, is told when it was loaded."""
_SEARCHED_NAMES = 200
"""Of how many new unknown names near ones are looked for at once: a run must not wait for more."""


class PriceBook:
    """The price list of the installed package."""

    @cached_property
    def version(self) -> str:
        """The package's version."""
        return version("genai-prices")

    def catalogue(self, *, now: datetime) -> pl.DataFrame:
        """Return the whole list as rows of `price_catalogue`."""
        listed = _list_prices(self.version, self.sha256)
        return listed.with_columns(loaded_at=pl.lit(now).cast(INSTANT))

    @cached_property
    def sha256(self) -> str:
        """The digest of the package's data file, hexadecimal."""
        from genai_prices import data  # noqa: PLC0415 - slow, see the module's text

        return hashlib.sha256(Path(data.__file__).read_bytes()).hexdigest()

    def resolve(self, names: Iterable[tuple[str, str]], *, now: datetime) -> pl.DataFrame:
        """Return what the catalogue calls these providers and models: `model_resolutions` rows."""
        kept = {"source_version": self.version, "resolved_at": now}
        rows: list[dict[str, object]] = []
        unknown = 0
        for provider, model in names:
            row = self._resolve(provider, model, is_searched=unknown < _SEARCHED_NAMES)
            unknown += row["model_id"] is None
            rows.append(row | kept)
        return pl.DataFrame(rows, schema=MODEL_RESOLUTIONS.schema)

    def _resolve(self, provider: str, model: str, *, is_searched: bool) -> dict[str, object]:
        found = self._matcher.resolve(provider, model)
        comparable = self._matcher.compare(provider, model)
        return {
            "provider": provider,
            "model": model,
            **found._asdict(),
            "comparable_providers": ", ".join(comparable) or None,
            "suggestion": self._matcher.suggest(
                provider, model, found=found, is_searched=is_searched
            ),
        }

    @cached_property
    def _matcher(self) -> Matcher:
        return Matcher(self._snapshot.providers)

    @cached_property
    def _snapshot(self) -> Any:  # noqa: ANN401 - the package's own class
        return _read_snapshot()


@cache
def _list_prices(version: str, sha256: str) -> pl.DataFrame:
    """Return the package's list, flattened once in a process: that takes a third of a second."""
    providers = _read_snapshot().providers
    return flatten_prices(providers, version=version, sha256=sha256, loaded_at=_UNTOLD)


def _read_snapshot() -> Any:  # noqa: ANN401 - the package's own class
    from genai_prices import data_snapshot  # noqa: PLC0415 - slow, see the module's text

    return data_snapshot.get_snapshot()
