"""The rivals: `plain.sql`, as one would write it by hand, and `tuned.sql`, the quickest found.

It fills the same kind of warehouse as the product, a DuckLake with a SQLite catalogue, and prints
one JSON line with its counts, cost and seconds. Speed it up wherever the answer stays the same;
do not add what the product does beyond it, README.md lists that. Comes after `make_lines` and
`prices`; `run` starts it as a process of its own.
"""

import argparse
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import duckdb
from duckdb_extensions import import_extension

SCRIPTS: Final = ("plain", "tuned")


def run_script(script: str, lines: Path, *, prices: Path, out: Path) -> dict[str, int | str]:
    """Counts and cost of the warehouse that the script made in `out`.

    Args:
        script: One of `SCRIPTS`.
        lines: Folder of `.jsonl` files.
        prices: CSV that `prices` wrote.
        out: New folder for catalogue and data.
    """
    out.mkdir(parents=True)
    with closing(sqlite3.connect(out / "catalog.sqlite")) as catalog:
        catalog.execute("PRAGMA journal_mode=WAL")
    with duckdb.connect() as con:
        for name in ("ducklake", "sqlite_scanner"):
            import_extension(name, con=con)
            con.load_extension(name)
        con.execute("SET memory_limit = '2GB'")
        con.execute("SET preserve_insertion_order = false")
        con.execute("SET temp_directory = $path", {"path": str(out / "spill")})
        con.execute("SET VARIABLE lines_glob = $path", {"path": str(lines / "*.jsonl")})
        con.execute("SET VARIABLE prices_path = $path", {"path": str(prices)})
        catalog_path, data_path = out / "catalog.sqlite", out / "data"
        con.execute(f"ATTACH 'ducklake:sqlite:{catalog_path}' AS lake (DATA_PATH '{data_path}')")
        con.execute("USE lake")
        result = con.execute(Path(__file__).with_name(f"{script}.sql").read_text(encoding="utf-8"))
        names = [column[0] for column in result.description or ()]
        return dict(zip(names, result.fetchall()[0], strict=True))


def main() -> None:
    """Runs the script and prints what it counted."""
    started = time.perf_counter()
    parser = argparse.ArgumentParser(prog="benchmarks.job.by_hand", description=main.__doc__)
    parser.add_argument("--script", choices=SCRIPTS, required=True)
    parser.add_argument("--lines", type=Path, required=True, help="folder of .jsonl files")
    parser.add_argument("--prices", type=Path, required=True, help="CSV written by prices")
    parser.add_argument("--out", type=Path, required=True, help="new folder for the warehouse")
    args = parser.parse_args()
    summary = run_script(args.script, args.lines, prices=args.prices, out=args.out)
    print(json.dumps({**summary, "seconds": round(time.perf_counter() - started, 3)}))


if __name__ == "__main__":
    main()
