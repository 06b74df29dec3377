"""Sustained events through a real home, and how late they were: by probes and by the SLI.

Run `python -m benchmarks.freshness.run`. It starts `opsmeter up` on a scratch home with default
settings, lands files at an even pace, and sends probes that the home itself reads back from its
page. Figures are printed only if no line was lost. No time is asserted.
"""

import argparse
import os
import platform
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Final

import polars as pl

from benchmarks.freshness.probes import read_probes, send_probes, watch_page
from opsmeter_pipeline.cli.up import OWN_PROCESS
from opsmeter_pipeline.drills import watch
from opsmeter_pipeline.drills.ground import Ground
from opsmeter_pipeline.drills.traffic import Traffic
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.storage.lake import Lake

PACKAGES: Final = ("polars", "duckdb", "dagster")
PRODUCERS: Final = ("checkout", "support")
STAGES: Final = ("landing", "validating", "waiting_to_publish", "publishing", "serving")
SHARES: Final = (50, 95, 99)
_SLI: Final = """
    SELECT lag_up_to_seconds AS seconds, sum(events)::BIGINT AS weight FROM freshness_lags
    WHERE kind = 'live' AND data_mode = 'real' AND environment = 'prod' GROUP BY 1
"""
_STAGES: Final = f"SELECT {', '.join(f'{one}_seconds' for one in STAGES)} FROM batch_stages"
_BATCHES: Final = """
    SELECT count(*) AS batches, median(accepted)::BIGINT AS events_median,
        max(accepted)::BIGINT AS events_max FROM ingest_batches
"""


def pace(traffic: Traffic, *, rate: int, seconds: int) -> float:
    """Land `rate` lines each second as a file per producer; return the events a second it kept."""
    began = time.monotonic()
    for second in range(seconds):
        for nth, producer in enumerate(PRODUCERS):
            number = (rate + nth) // len(PRODUCERS)
            lines = traffic.make(number, at=utc_now(), producer=producer)
            traffic.land(lines, producer=producer)
        time.sleep(max(0.0, began + second + 1 - time.monotonic()))
    return rate * seconds / (time.monotonic() - began)


def percentiles(values: pl.DataFrame) -> dict[str, float | None]:
    """Return the nearest-rank percentiles of `seconds`, each counted `weight` times."""
    ranked = values.drop_nulls().sort("seconds").with_columns(below=pl.col("weight").cum_sum())
    total = int(ranked["weight"].sum())
    found: dict[str, float | None] = {}
    for share in SHARES:
        at = ranked.filter(pl.col("below") >= share / 100 * total)["seconds"]
        found[f"p{share}"] = round(float(at[0]), 1) if len(at) else None
    found["max"] = round(float(ranked["seconds"][-1]), 1) if total else None
    return found


def read_stages(lake: Lake) -> list[dict[str, str | float | None]]:
    """Return how long each stage of the batches took."""
    rows = lake.read(_STAGES)
    return [
        {"stage": stage} | percentiles(rows.select(seconds=f"{stage}_seconds", weight=pl.lit(1)))
        for stage in STAGES
    ]


def print_rows(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows as a Markdown table."""
    print(f"\n{title}\n")
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join("-" if one is None else str(one) for one in row.values()) + " |")


def main() -> None:
    """Run it, prove that nothing was lost, and print the figures."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    asked.add_argument("--rate", type=int, default=1000, help="events a second")
    asked.add_argument("--seconds", type=int, default=600)
    asked.add_argument("--probe-every", type=float, default=5.0, help="seconds between two probes")
    asked.add_argument("--patience", type=float, default=300.0, help="seconds to wait at the end")
    asked.add_argument("--keep", action="store_true", help="keep the scratch home")
    options = asked.parse_args()
    with Ground(OWN_PROCESS, keep=options.keep, settings={}) as ground:
        ground.start()
        traffic, stop = Traffic(ground.landing), threading.Event()
        prober = threading.Thread(
            target=send_probes, args=(ground.lake, ground.paths, stop, options.probe_every)
        )
        prober.start()
        reader = threading.Thread(target=watch_page, args=(ground.page_port, stop))
        reader.start()
        try:
            kept = pace(traffic, rate=options.rate, seconds=options.seconds)
        finally:
            stop.set()
            prober.join()
            reader.join()
        for until, find in (
            ("all that was landed was taken", lambda: watch.has_taken_all(ground.lake, traffic)),
            ("no probe was looked for", lambda: not read_probes(ground.lake)["sent"]),
        ):
            ground.wait(find, until, seconds=options.patience)
        counts = watch.count_lines(ground.lake, traffic)
        print(f"{counts.written:,} lines at {kept:,.0f}/s: {counts.accepted:,} events, "
              f"{counts.lost} lost, {counts.doubled} counted twice")  # fmt: skip
        if counts.lost or counts.doubled or counts.accepted != counts.written:
            sys.exit("Lines were lost or counted twice; no times are shown.")
        report(ground.lake)
        if options.keep:
            print(f"\nkept: {ground.folder}")


def report(lake: Lake) -> None:
    """Print all figures of a home."""
    probes = read_probes(lake)
    sli, probed = percentiles(lake.read(_SLI)), percentiles(probes["visible"])
    print_rows(
        "From landing to visible, seconds",
        [
            {"by": "the SLI, every event, to the commit"} | sli,
            {"by": f"{probes['visible'].height} probes, to the page"} | probed,
        ],
    )
    print(f"\nprobes lost: {probes['lost']}")
    print_rows("Stages of a batch, seconds", read_stages(lake))
    print_rows("Batches", lake.read(_BATCHES).to_dicts())
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    print(f"\nPython {platform.python_version()}, {versions}, {os.cpu_count()} cores, "
          f"load {os.getloadavg()[0]:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
