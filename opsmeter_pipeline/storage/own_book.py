"""The user's own price file on disk, and its version.

What may stand in it is `price.own`'s; that a tenant's id must not be raw is asked of the contract,
so what it would refuse in a line is refused here too.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from opsmeter_pipeline.contract.identifiers import find_shape
from opsmeter_pipeline.model.price_errors import (
    OwnPricesError,
)
from opsmeter_pipeline.price.own import OwnPrices, parse_prices
from opsmeter_pipeline.settings import Settings

_DIGITS = 12


@dataclass(frozen=True)
class OwnBook:
    """One version of the user's own prices; without a file it is that of an empty one.

    Attributes:
        file: where they are, for messages.
        sha256: of the file's bytes, hexadecimal.
        entries: what stands in it.
    """

    file: str
    sha256: str
    entries: OwnPrices

    @property
    def version(self) -> str:
        """The first digits of the SHA-256."""
        return self.sha256[:_DIGITS]


def open_own_book(settings: Settings) -> OwnBook:
    """Return the prices in the file of a home; one that a setting names must be there.

    Raises:
        OwnPricesError: it cannot be read or used; the text says why and what to do.
    """
    return read_own_book(settings.prices_file, is_required=bool(settings.prices))


def read_own_book(path: Path, *, is_required: bool) -> OwnBook:
    """Return the prices in a file.

    Args:
        path: the file.
        is_required: a missing file is an error, not an empty one.

    Raises:
        OwnPricesError: it cannot be read or used; the text says why and what to do.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as exc:
        if is_required:
            remedy = "there is no such file; create it, or unset OPSMETER_PRICES"
            raise OwnPricesError(str(path), [remedy]) from exc
        content = b""
    except OSError as exc:
        problem = f"it cannot be read ({exc.strerror}); make it a readable file"
        raise OwnPricesError(str(path), [problem]) from exc
    entries = parse_prices(content, file=str(path), find_shape=find_shape)
    return OwnBook(str(path), hashlib.sha256(content).hexdigest(), entries)
