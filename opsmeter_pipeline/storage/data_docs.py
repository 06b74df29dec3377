"""Data Docs: the site on which Great Expectations shows its last run, made fit to be kept.

Built beside the old one and put in its place when it is whole. Only its owner can read it, and it
asks nobody for anything: what it would load from other servers is taken out.
"""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

INDEX = "index.html"
_STYLE = """
body { font-family: sans-serif; margin: 1rem 2rem; }
table { border-collapse: collapse; }
td, th { border: 1px solid #bbb; padding: .2rem .5rem; text-align: left; vertical-align: top; }
.navbar-brand, .carousel, #gx-modal, .modal, .alert-dismissible { display: none; }
ul { list-style: none; padding-left: 0; }
"""
_POLICY = "default-src 'none'; img-src file: data:; style-src file: 'unsafe-inline'; font-src file:"
_HEAD = f"""<head>
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<style>{_STYLE}</style>"""
_SCRIPT = re.compile(r"<script\b.*?</script>", re.DOTALL)
_FOREIGN = re.compile(r"<(?:link|img|iframe)\b[^>]*\"https?://[^>]*>")
_FOREIGN_STYLE = re.compile(r"url\(['\"]?https?://[^)]*\)")
_FOREIGN_LINK = re.compile(r"<a\b[^>]*\"https?://[^>]*>(.*?)</a>", re.DOTALL)


class DataDocs:
    """The site of one home while it is built.

    Args:
        folder: where it stands when it is whole.
    """

    def __init__(self, folder: Path) -> None:
        """Point to the site; nothing is created yet."""
        self._folder = folder
        self._new = folder.with_name(f"{folder.name}.new")

    def __enter__(self) -> Self:
        """Make an empty folder to build in."""
        shutil.rmtree(self._new, ignore_errors=True)
        self._new.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._new.mkdir(mode=0o700)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Put the site in its place, or leave the old one if it did not get whole."""
        if kind is None:
            for page in self._new.rglob("*.html"):
                page.write_text(strip_foreign(page.read_text()))
            shutil.rmtree(self._folder, ignore_errors=True)
            self._new.rename(self._folder)
        shutil.rmtree(self._new, ignore_errors=True)

    @property
    def site_config(self) -> dict[str, Any]:
        """What Great Expectations is told of the site."""
        return {
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str(self._new),
            },
        }

    def pages(self, tables: Iterable[str]) -> dict[str, Path]:
        """Return the page of each table, and the index under an empty name."""
        shown = {
            table: next(self._folder.glob(f"validations/{table}/**/*.html"), self._folder / INDEX)
            for table in tables
        }
        return shown | {"": self._folder / INDEX}


def strip_foreign(page: str) -> str:
    """Return a page that loads nothing from elsewhere and runs no script.

    >>> strip_foreign('<head><script src="https://x/y.js"></script></head>').count("https")
    0
    """
    page = _SCRIPT.sub("", page)
    page = _FOREIGN.sub("", page)
    page = _FOREIGN_STYLE.sub("none", page)
    page = _FOREIGN_LINK.sub(r"\1", page)
    return page.replace("<head>", _HEAD, 1)
