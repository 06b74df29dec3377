"""Usage lines of the wire payload, as many as asked for, the same for the same arguments.

Every column is a function of three row numbers: the line's own, that of the request it belongs to
and that of the attempt it reports. A redelivery shares both with an earlier line, a retry shares
the request only. Add a column as one more expression in `_payload`. One file is made at a time,
so memory does not grow with the number of lines. Comes before `run`; knows nothing of the product.
Polars may change its hash between releases: the same seed needs the same Polars.
"""

import argparse
import datetime as dt
import math
from pathlib import Path
from typing import Final

import polars as pl

LINES_PER_FILE: Final = 500_000
USERS: Final = 50_000
TENANTS: Final = 400
# Flat prices only: a tiered price needs the tier rule, which the hand-written rival leaves out.
MODELS: Final = (
    ("openai", "gpt-4.1"),
    ("openai", "gpt-4o-mini"),
    ("anthropic", "claude-haiku-4-5"),
    ("anthropic", "claude-opus-4-5"),
    ("google", "gemini-2.5-flash"),
    ("google", "gemini-2.5-flash-lite"),
)
UNKNOWN_MODEL: Final = ("openai", "house-finetune-7b")
ENDPOINTS: Final = (
    "support.reply",
    "support.triage",
    "search.rerank",
    "search.answer",
    "docs.summarise",
    "docs.translate",
    "code.review",
    "code.complete",
    "sales.draft",
    "sales.score",
    "agent.plan",
    "agent.act",
)

_MS_PER_DAY: Final = 86_400_000
_REACH_LINES: Final = 2_000
_MAX_TOKENS: Final = 180_000
_BAD_KINDS: Final = 6


def write_lines(
    out: Path, lines: int, *, day: dt.date, seed: int = 7, bad_share: float = 0.0
) -> list[Path]:
    """Paths of the files written, in the order of their events.

    Args:
        out: Folder, made if absent.
        lines: Number of lines over all files.
        day: UTC day that the event times cover evenly.
        seed: Same seed, same bytes (with the same Polars).
        bad_share: Share of lines that break one rule of the contract, the same in every file.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for number, start in enumerate(range(0, lines, LINES_PER_FILE)):
        rows = pl.int_range(start, min(start + LINES_PER_FILE, lines), dtype=pl.UInt64, eager=True)
        frame = _with_origins(rows.to_frame("row"), start, seed=seed)
        text = frame.select(_payload(seed, lines=lines, day=day).struct.json_encode().alias("line"))
        if bad_share > 0:
            text = _with_bad_lines(text, rows, seed=seed, bad_share=bad_share)
        path = out / f"usage-{day.isoformat()}-{number:04d}.jsonl"
        text.write_csv(path, include_header=False, quote_style="never")
        paths.append(path)
    return paths


def _with_origins(frame: pl.DataFrame, start: int, *, seed: int) -> pl.DataFrame:
    """Adds `request` and `attempt`: the rows this line takes its request and attempt from.

    A line points at a line that points at nobody, so each copy has its original in the same file.
    """
    row = pl.col("row")
    back = row - 1 - row.hash(seed + 101) % _REACH_LINES
    kind = _kind(row, seed)
    can_copy = (row > start + _REACH_LINES) & (_kind(back, seed) == 0)
    request = pl.when(can_copy & (kind > 0)).then(back).otherwise(row)
    attempt = pl.when(can_copy & (kind == 1)).then(back).otherwise(row)
    return frame.with_columns(request=request, attempt=attempt)


def _kind(row: pl.Expr, seed: int) -> pl.Expr:
    """0 for a line of its own, 1 for a redelivery (1 %), 2 for a retry (1 %)."""
    draw = row.hash(seed + 102) % 100
    return pl.when(draw == 0).then(1).when(draw == 1).then(2).otherwise(0)


def _payload(seed: int, *, lines: int, day: dt.date) -> pl.Expr:
    """The payload as one struct, its fields in the order of the wire."""
    request, attempt = pl.col("request"), pl.col("attempt")
    user = (_uniform(request, seed + 1).pow(1.5) * USERS).cast(pl.UInt32)
    tenant = pl.lit(float(TENANTS)).pow(_uniform(user, seed + 2)).cast(pl.UInt32) - 1
    endpoint = (_uniform(request, seed + 3).pow(1.4) * len(ENDPOINTS)).cast(pl.UInt32)
    model = _model_index(request, endpoint, seed=seed)
    input_tokens = _heavy_tail(attempt, seed + 10, median=900, sigma=1.2)
    output_tokens = _heavy_tail(attempt, seed + 12, median=250, sigma=1.0)
    is_cached = _uniform(request, seed + 14) < 0.4
    cached = (input_tokens * _uniform(attempt, seed + 15) * 0.9).cast(pl.Int64)
    latency = output_tokens * (4 + attempt.hash(seed + 16) % 12) + attempt.hash(seed + 17) % 900
    return pl.struct(
        externalRequestId=pl.format("req_{}_{}", request.hash(seed + 4), request),
        provider=_pick(model, [provider for provider, _ in (*MODELS, UNKNOWN_MODEL)]),
        model=_pick(model, [name for _, name in (*MODELS, UNKNOWN_MODEL)]),
        endpointTag=_pick(endpoint, list(ENDPOINTS)),
        promptVersion=_prompt_version(request, endpoint, seed=seed),
        tenantId=pl.format("tenant_{}", tenant),
        userId=pl.format("u_{}", user.hash(seed + 6)),
        inputTokens=input_tokens,
        outputTokens=output_tokens,
        cacheReadTokens=pl.when(is_cached).then(cached).otherwise(0),
        latencyMs=latency.cast(pl.Int64),
        status=_status(attempt, seed),
        dataMode=_rarely("test", "real", _uniform(request, seed + 7) < 0.015),
        environment=_rarely("staging", "prod", _uniform(request, seed + 8) < 0.015),
        timestamp=_timestamp(pl.col("row"), lines=lines, day=day),
    )


def _model_index(request: pl.Expr, endpoint: pl.Expr, *, seed: int) -> pl.Expr:
    """An endpoint's own model for most requests, its second for some, the unknown one for 0.5 %."""
    draw = _uniform(request, seed + 9)
    second = (endpoint + 1) % len(MODELS)
    return (
        pl.when(draw < 0.005)
        .then(len(MODELS))
        .when(draw < 0.15)
        .then(second)
        .otherwise(endpoint % len(MODELS))
        .cast(pl.UInt32)
    )


def _prompt_version(request: pl.Expr, endpoint: pl.Expr, *, seed: int) -> pl.Expr:
    """One of four versions for each endpoint, the newest the most used."""
    back = pl.lit(5.0).pow(1 - _uniform(request, seed + 18).sqrt()).cast(pl.UInt32)
    return pl.format("v{}", endpoint + 5 - back)


def _status(attempt: pl.Expr, seed: int) -> pl.Expr:
    """Success for 95 % of the attempts."""
    names = ["error", "timeout", "cancelled", "rate_limited", "500"]
    draw = attempt.hash(seed + 19) % 100
    return pl.when(draw < len(names)).then(_pick(draw, names)).otherwise(pl.lit("success"))


def _timestamp(row: pl.Expr, *, lines: int, day: dt.date) -> pl.Expr:
    """RFC 3339 in UTC with milliseconds, rising with the line number."""
    offset_ms = (row.cast(pl.Int64) * _MS_PER_DAY) // lines
    moment = (
        pl.lit(dt.datetime.combine(day, dt.time())) + pl.duration(milliseconds=offset_ms)
    ).cast(pl.Datetime("ms"))
    return moment.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")


def _with_bad_lines(
    text: pl.DataFrame, rows: pl.Series, *, seed: int, bad_share: float
) -> pl.DataFrame:
    """The lines, some of them broken in one of six ways."""
    row, line = pl.lit(rows), pl.col("line")
    kind = (_uniform(row, seed + 31) / bad_share * _BAD_KINDS).floor()
    return text.select(
        pl.when(kind == 0)
        .then(line.str.head(200))
        .when(kind == 1)
        .then(line.str.replace(r'"inputTokens":\d+', '"inputTokens":"12"'))
        .when(kind == 2)
        .then(line.str.replace(r'"outputTokens":', '"outputTokens":-1'))
        .when(kind == 3)
        .then(line.str.replace(r'"status":"\w+"', '"status":"melted"'))
        .when(kind == 4)
        .then(line.str.replace(r'Z"\}$', '"}'))
        .when(kind == 5)
        .then(line.str.replace(r'"provider":"\w+",', ""))
        .otherwise(line)
        .alias("line")
    )


def _uniform(key: pl.Expr, seed: int) -> pl.Expr:
    """A number in [0, 1) that depends on the key and the seed only."""
    return (key.cast(pl.UInt64).hash(seed) // 2048).cast(pl.Float64) / 2.0**53


def _heavy_tail(key: pl.Expr, seed: int, *, median: int, sigma: float) -> pl.Expr:
    """Log-normal whole number from 1 up, cut at a size every model takes (Box-Muller)."""
    radius = (-2 * (1 - _uniform(key, seed)).log()).sqrt()
    normal = radius * (2 * math.pi * _uniform(key, seed + 1)).cos()
    return (median * (sigma * normal).exp()).clip(1, _MAX_TOKENS).cast(pl.Int64)


def _pick(index: pl.Expr, names: list[str]) -> pl.Expr:
    """The name at each index."""
    return index.replace_strict(dict(enumerate(names)), default=None, return_dtype=pl.String)


def _rarely(rare: str, usual: str, is_rare: pl.Expr) -> pl.Expr:
    """The rare word where it applies, the usual one elsewhere."""
    return pl.when(is_rare).then(pl.lit(rare)).otherwise(pl.lit(usual))


def main() -> None:
    """Writes the lines that the command line asks for."""
    parser = argparse.ArgumentParser(prog="benchmarks.job.make_lines", description=main.__doc__)
    parser.add_argument("--lines", type=int, default=6_000_000)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--bad-share", type=float, default=0.0)
    parser.add_argument("--day", type=dt.date.fromisoformat, default=dt.date(2026, 11, 20))
    args = parser.parse_args()
    paths = write_lines(
        args.out, args.lines, day=args.day, seed=args.seed, bad_share=args.bad_share
    )
    size_mb = sum(path.stat().st_size for path in paths) / 1e6
    print(f"{args.lines} lines in {len(paths)} files, {size_mb:.0f} MB, in {args.out}")


if __name__ == "__main__":
    main()
