"""Spikes in resampled real traffic: false alarms per quiet endpoint-week, and how many are found.

Run `python -m benchmarks.spikes.quiet FOLDER`, where FOLDER holds the public traces that
docs/spikes.md names. An hour of an endpoint is so many stretches of a trace as `STRETCHES` says,
each at a random place, compressed in time so that the hour has the endpoint's mean: its bursts,
tokens and costs are those of the trace. Means follow a day, a week and a shock per day. Beside it,
the naive rule: an hour above twice the mean of the week before.
"""

import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from opsmeter_pipeline.spikes import SPIKE_RULES
from opsmeter_pipeline.spikes.score import HOUR, MEASURES, Past, score

WEEKS, WEEK = 9, 168
ENDPOINTS = 200
START = datetime(2026, 3, 2, tzinfo=UTC)
TRACES = {
    "Azure code": ("AzureLLMInferenceTrace_code_2023.csv", "ContextTokens", "GeneratedTokens"),
    "Azure conversation": (
        "AzureLLMInferenceTrace_conv_2023.csv",
        *("ContextTokens", "GeneratedTokens"),
    ),
    "Mooncake conversation": (
        "mooncake_conversation_trace_lengths.csv",
        *("input_length", "output_length"),
    ),
    "Mooncake synthetic": (
        "mooncake_synthetic_trace_lengths.csv",
        *("input_length", "output_length"),
    ),
}
STRETCHES = (12, 60)
TIMES = (2, 3, 5)


class Made(NamedTuple):
    """What each endpoint did in each hour: arrays of endpoints by hours."""

    requests: np.ndarray
    tokens: np.ndarray
    cost_usd: np.ndarray


def main(folder: Path) -> None:
    """Print a row for each trace and number of stretches."""
    print(f"{ENDPOINTS} endpoints, one judged week each, {WEEKS - 1} weeks of history")
    heads = ["false", *(f"x{times}" for times in TIMES)]
    print("trace, stretches, sd of an hour | " + ", ".join(heads) + " | naive " + ", ".join(heads))
    for name, (file, *columns) in TRACES.items():
        trace = _read(folder / file, *columns)
        for stretches in STRETCHES:
            made, noise = _make(trace, stretches, np.random.default_rng(7))
            found = [_find(made, times) for times in (1, *TIMES)]
            naive = [_find_naively(made, times) for times in (1, *TIMES)]
            print(f"{name}, {stretches}, {noise:.0%} | " + _show(found) + " | " + _show(naive))


def _show(found: list[int]) -> str:
    quiet, *planted = found
    hours = ENDPOINTS * WEEK
    return ", ".join([f"{quiet / ENDPOINTS:.3f}", *(f"{one / hours:.0%}" for one in planted)])


def _read(path: Path, read: str, written: str) -> tuple[np.ndarray, Made]:
    """Return the seconds of a trace's requests, and running sums of what they are, twice over."""
    frame = pl.read_csv(path, try_parse_dates=True)
    if "timestamp_ms" in frame.columns:
        seconds = frame["timestamp_ms"].to_numpy() / 1e3
    else:
        at = frame["TIMESTAMP"]
        seconds = (at - at.min()).dt.total_microseconds().to_numpy() / 1e6
    order = np.argsort(seconds, kind="stable")
    seconds = seconds[order]
    span = seconds[-1] * (1 + 1 / len(seconds))
    tokens_in, tokens_out = (frame[name].to_numpy()[order] for name in (read, written))
    costs = (2.5 * tokens_in + 10 * tokens_out) / 1e6
    sums = [np.concatenate([[0], np.cumsum(np.tile(one, 2))])
            for one in (np.ones(len(seconds)), tokens_in + tokens_out, costs)]  # fmt: skip
    return np.concatenate([seconds, seconds + span]), Made(*sums)


def _make(
    trace: tuple[np.ndarray, Made], stretches: int, rng: np.random.Generator
) -> tuple[Made, float]:
    """Return what the endpoints did, and the median spread of an hour around its mean."""
    seconds, sums = trace
    count = len(seconds) // 2
    span = seconds[count]
    mean = _draw_means(rng)
    length = np.minimum(mean / stretches * span / count, span)
    made = [np.zeros(mean.shape) for _ in sums]
    for _ in range(stretches):
        start = rng.uniform(0, span, mean.shape)
        first, last = (_place(seconds, at) for at in (start, start + length))
        made = [one + running[last] - running[first]
                for one, running in zip(made, sums, strict=True)]  # fmt: skip
    noise = float(np.median(np.std(made[0] / mean, axis=1)))
    return Made(*made), noise


def _place(seconds: np.ndarray, at: np.ndarray) -> np.ndarray:
    return np.asarray(np.searchsorted(seconds, at))


def _draw_means(rng: np.random.Generator) -> np.ndarray:
    hours = np.arange(WEEKS * WEEK)
    rate = 10 ** rng.uniform(1.7, 3.5, (ENDPOINTS, 1))  # 50 to 3,000 requests an hour
    swing, weekend = rng.uniform(0.2, 0.9, (ENDPOINTS, 1)), rng.uniform(0.3, 1, (ENDPOINTS, 1))
    peak = rng.integers(0, 24, (ENDPOINTS, 1))
    shape = 1 + swing * np.sin(2 * np.pi * (hours - peak) / 24)
    shape = shape * np.where(hours // 24 % 7 >= 5, weekend, 1)
    shock = np.exp(rng.normal(0, 0.1, (ENDPOINTS, WEEKS * 7)))
    return rate * shape * np.repeat(shock, 24, axis=1)


def _find(made: Made, times: int) -> int:
    """Return in how many endpoint-hours of the last week a spike is found, times as much each.

    Each day is a look of its own, which reads the same hours of eight weeks and one on each side.
    """
    return sum(_look(made, times, (WEEKS - 1) * WEEK + 24 * day) for day in range(7))


def _look(made: Made, times: int, first: int) -> int:
    weeks = range(1, SPIKE_RULES.weeks + 1)
    hours = [first - WEEK * week + hour for week in weeks for hour in range(-1, 25)]
    past = _frame(made, [hour for hour in hours if hour >= 0], 1)
    judged = _frame(made, range(first, first + 24), times).filter(
        pl.col("requests") >= SPIKE_RULES.min_events
    )
    start, known = START + timedelta(hours=first), Past(past, past.select("at").unique())
    scores = score(known, judged, grain=HOUR, start_at=start, rules=SPIKE_RULES)
    needed = math.log10(ENDPOINTS * len(MEASURES) / SPIKE_RULES.false_alarms)
    told = scores.filter(
        (pl.col("surprise") >= needed)
        & (pl.col("value") >= SPIKE_RULES.min_ratio * pl.col("usual"))
    )
    return told.select("series", "at").unique().height


def _find_naively(made: Made, times: int) -> int:
    first = (WEEKS - 1) * WEEK
    mean = made.requests[:, first - WEEK : first].mean(1, keepdims=True)
    return int((times * made.requests[:, first:] > 2 * mean).sum())


def _frame(made: Made, hours: Sequence[int], times: int) -> pl.DataFrame:
    sums = {name: (one[:, hours] * times).ravel() for name, one in made._asdict().items()}
    series = np.repeat(np.arange(ENDPOINTS), len(hours))
    frame = pl.DataFrame({"series": series, "hour": np.tile(hours, ENDPOINTS), **sums})
    return frame.select(
        "series", (pl.lit(START) + pl.duration(hours=pl.col("hour"))).alias("at"),
        pl.col("requests").cast(pl.Int64), "tokens", "cost_usd",
    )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
