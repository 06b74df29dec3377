"""Searching all that a home keeps for a text, whatever it is encoded or compressed in."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import polars as pl


def spellings(raw: str) -> set[bytes]:
    texts = {
        raw,
        json.dumps(raw)[1:-1],
        quote(raw),
        quote(raw, safe="@+"),
        raw.replace("@", r"\u0040"),
    }
    return {text.encode() for text in texts} | {raw.encode("utf-16-le")}


def contents(home: Path) -> Iterator[tuple[str, bytes]]:
    """Yield all that is kept but for the landing, which is the producers'."""
    for path in sorted(home.rglob("*")):
        yield str(path), str(path.relative_to(home)).encode()
        if path.is_file() and home / "landing" not in path.parents:
            yield from ((f"{path}: {what}", content) for what, content in read(path))


def read(path: Path) -> Iterator[tuple[str, bytes]]:
    content = path.read_bytes()
    yield "bytes", content
    if content[:4] == b"PAR1":
        yield "rows", _dump(pl.read_parquet(path, glob=False).rows())
    elif content[:6] == b"ARROW1":
        yield "rows", _dump(pl.read_ipc(path).rows())
    elif content[:6] == b"SQLite":
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as base:
            base.text_factory = bytes
            names = base.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in names:
                rows = base.execute(f'SELECT * FROM "{name.decode()}"').fetchall()
                yield name.decode(), b"\n".join(_flat(cell) for row in rows for cell in row)


def _flat(cell: object) -> bytes:
    return cell if isinstance(cell, bytes) else str(cell).encode()


def _dump(rows: list[tuple[object, ...]]) -> bytes:
    return "\n".join(str(cell) for row in rows for cell in row).encode()
