"""The product and two hand-written scripts over the same lines, in turn, and a table of them.

Each side runs as a process of its own and is measured whole, from start to exit. Their answers
are compared before any time is shown; no time is ever asserted. This module stays in the standard
library on purpose: Linux counts a parent's memory into the peak of the child it starts, so lines
and prices are made by child processes too.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Any, Final

SCRIPTS: Final = ("plain", "tuned")
"""As in `by_hand`, which is not imported: it would make this process large."""
PACKAGES: Final = ("polars", "duckdb", "dagster")
REPORTED: Final = ("lines", "accepted", "duplicates", "quarantined", "cost_usd")

_CHUNK_BYTES: Final = 1 << 24
_KB_PER_MB: Final = 1024


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One finished process: its printed summary and what it took."""

    summary: dict[str, Any]
    seconds: float
    peak_mb: float


def run_product(opsmeter: Path, landing: Path, *, scratch: Path) -> Measured:
    """`opsmeter run` over the landing, into a home of its own."""
    command = [opsmeter, "--home", scratch / "home", "run", "--landing", landing, "--json"]
    return _measure(command, scratch=scratch)


def run_by_hand(script: str, landing: Path, *, prices: Path, scratch: Path) -> Measured:
    """A hand-written script over the landing, into a warehouse of its own."""
    options = ["--script", script, "--lines", landing, "--prices", prices]
    return _measure(_module("by_hand", *options, "--out", scratch / "warehouse"), scratch=scratch)


def disagreements(product: dict[str, Any], by_hand: dict[str, Any], *, clean: bool) -> list[str]:
    """Each measure that two sides give differently, as a sentence.

    Lines must agree always; the rest only on clean lines, since the scripts take rows into their
    events that the contract sends to quarantine. Costs are compared as numbers, to the last digit.
    What a script does not count is not compared.
    """
    pairs: list[tuple[str, str]] = [("lines", "lines")]
    if clean:
        pairs += [
            ("accepted", "events"),
            ("duplicates", "duplicates"),
            ("unpriced_events", "unpriced_events"),
            ("cost_usd", "cost_usd"),
        ]
    return [
        f"{ours}: product {product[ours]}, script {by_hand[theirs]}"
        for ours, theirs in pairs
        if theirs in by_hand and Decimal(product[ours]) != Decimal(by_hand[theirs])
    ]


def _make_inputs(work: Path, *, lines: int, bad_share: float) -> tuple[Path, Path, Path]:
    """Landing, one-line landing and prices; a landing that exists is taken as it is."""
    landing = work / f"lines-{lines}-bad-{bad_share:g}"
    one_line = work / "lines-1-bad-0"
    for folder, count, share in ((landing, lines, bad_share), (one_line, 1, 0.0)):
        if not folder.exists():
            unfinished = folder.with_name(f"{folder.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            options = ["--lines", count, "--out", unfinished, "--bad-share", share]
            subprocess.run(_module("make_lines", *options), check=True, stdout=sys.stderr)
            unfinished.rename(folder)
    prices = work / "prices.csv"
    subprocess.run(_module("prices", "--out", prices), check=True)
    return landing, one_line, prices


def _warm(folder: Path) -> None:
    """Reads every file once, so that the side that runs first does not pay for the disk."""
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            while file.read(_CHUNK_BYTES):
                pass


def _measure(command: Sequence[str | Path], *, scratch: Path) -> Measured:
    """Runs the command; its last printed line is its summary. The scratch folder is removed.

    Raises:
        RuntimeError: The command failed; the text ends with what it wrote to stderr.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    printed, log = scratch / "stdout", scratch / "stderr"
    with printed.open("wb") as out, log.open("wb") as err:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err)
        _, wait_status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(wait_status)
    if process.returncode != 0:
        tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        message = f"{command[0]} ended with {process.returncode}: {tail}"
        raise RuntimeError(message)
    summary = json.loads(printed.read_text(encoding="utf-8"))
    shutil.rmtree(scratch)
    return Measured(summary=summary, seconds=seconds, peak_mb=usage.ru_maxrss / _KB_PER_MB)


def _module(name: str, *options: object) -> list[str]:
    """Command line of one module of this benchmark."""
    return [sys.executable, "-m", f"benchmarks.job.{name}", *map(str, options)]


def _report(sides: dict[str, list[Measured]], *, startup: dict[str, list[Measured]]) -> str:
    """The table, in Markdown: median seconds and largest peak of each side."""
    product = sides["opsmeter run"]
    whole = {name: _median_seconds(runs) for name, runs in sides.items()}
    fixed = {name: _median_seconds(runs) for name, runs in startup.items()}
    apart = {name: whole[name] - fixed[name] for name in whole}
    ratios = [
        f"opsmeter run / {name}: {whole['opsmeter run'] / whole[name]:.2f}, "
        f"less one line on both sides {apart['opsmeter run'] / apart[name]:.2f}"
        for name in SCRIPTS
    ]
    rows = [
        "| side | seconds (median) | each run | peak MB | one line, seconds |",
        "|---|---|---|---|---|",
    ]
    for name, runs in sides.items():
        each = ", ".join(f"{run.seconds:.2f}" for run in runs)
        peak_mb = max(run.peak_mb for run in runs)
        rows.append(f"| {name} | {whole[name]:.2f} | {each} | {peak_mb:.0f} | {fixed[name]:.2f} |")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    summary = product[0].summary
    return "\n".join(
        [
            *rows,
            "",
            *ratios,
            ", ".join(f"{measure} {summary[measure]}" for measure in REPORTED),
            f"python {platform.python_version()}, {versions}, {os.cpu_count()} CPUs",
        ]
    )


def _median_seconds(runs: Sequence[Measured]) -> float:
    return statistics.median(run.seconds for run in runs)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.job.run", description=main.__doc__)
    parser.add_argument("--lines", type=int, default=6_000_000)
    parser.add_argument("--bad-share", type=float, default=0.0)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "opsmeter-job")
    parser.add_argument("--opsmeter", type=Path, default=Path(sys.executable).with_name("opsmeter"))
    return parser.parse_args()


def main() -> None:
    """Measures both sides in turn and prints a table."""
    args = _parse()
    args.work.mkdir(parents=True, exist_ok=True)
    landing, one_line, prices = _make_inputs(args.work, lines=args.lines, bad_share=args.bad_share)
    _warm(landing)
    scratch, clean = args.work / "scratch", args.bad_share == 0

    def measure_all(lines: Path) -> dict[str, Measured]:
        product = {"opsmeter run": run_product(args.opsmeter, lines, scratch=scratch)}
        return product | {
            script: run_by_hand(script, lines, prices=prices, scratch=scratch) for script in SCRIPTS
        }

    startup: dict[str, list[Measured]] = defaultdict(list)
    sides: dict[str, list[Measured]] = defaultdict(list)
    for _ in range(args.repeat):
        for name, one in measure_all(one_line).items():
            startup[name].append(one)
        measured = measure_all(landing)
        summary = measured["opsmeter run"].summary
        for script in SCRIPTS:
            if found := disagreements(summary, measured[script].summary, clean=clean):
                sys.exit(f"{script} disagrees, so times mean nothing:\n" + "\n".join(found))
        for name, one in measured.items():
            sides[name].append(one)
    print(_report(sides, startup=startup))


if __name__ == "__main__":
    main()
