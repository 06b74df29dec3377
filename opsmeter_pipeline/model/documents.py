"""How values are told to programs: as JSON, the same by commands and by the page's API.

Decimals are strings, so that no reader makes floats of money; times are ISO 8601; what JSON has no
number for is null.
"""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import cast


def to_json(document: object, *, indent: int | None = 2) -> str:
    """Return a document as JSON: decimals as strings, times as ISO 8601, no number as null.

    >>> to_json({"cost_usd": Decimal("0.10"), "ratio": float("nan")}, indent=None)
    '{"cost_usd": "0.10", "ratio": null}'
    """
    return json.dumps(_finite(document), default=to_json_value, ensure_ascii=False, indent=indent)


def to_json_value(value: object) -> object:
    """Return what JSON shows for a value it has no type for."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _finite(document: object) -> object:
    """Return the document with infinities and NaN, which JSON does not have, as null."""
    if isinstance(document, float):
        return document if math.isfinite(document) else None
    if isinstance(document, Mapping):
        members = cast("Mapping[object, object]", document)
        return {str(name): _finite(value) for name, value in members.items()}
    if isinstance(document, list | tuple):
        return [_finite(value) for value in cast("Sequence[object]", document)]
    return document
