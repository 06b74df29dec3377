"""The sources of many files at once.

What a source is stands in `model.source`; add here what tracking makes of it.
"""

from collections.abc import Iterable

import polars as pl

from opsmeter_pipeline.model.source import name_source


def name_sources(files: Iterable[str]) -> pl.DataFrame:
    """Return `file` and its `source` for each different file."""
    names = sorted(set(files))
    return pl.DataFrame(
        {"file": names, "source": [name_source(name) for name in names]},
        schema={"file": pl.String, "source": pl.String},
    )
