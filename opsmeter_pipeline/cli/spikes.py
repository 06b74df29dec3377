"""`opsmeter spikes`: hours and days far above their own past, what drove them, and what to do."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape

from opsmeter_pipeline.cli.app import err, out, print_json, print_table, spell_command
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.sql import spell_query
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.spikes import Spike, plan_search
from opsmeter_pipeline.spikes.rows import Advice, describe_spike
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.lateness import read_watermark
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.spikes import Looked, look_for_spikes, read_rules

_MINUTES = "%Y-%m-%d %H:%M"
_TELL = 10


def spikes_command(*, window: str | None, home: Path | None, as_json: bool) -> None:
    """Print the spikes of the hours of a window below the watermark, and of its full days.

    Raises:
        UsageError: there is no such window, or no warehouse.
    """
    settings, now = load_settings(home=home), utc_now()
    lake = Lake(settings.warehouse)
    watermark = read_watermark(lake)
    through = watermark.complete_through if watermark else now
    search = plan_search(through=through, now=now, window=window)
    looked = look_for_spikes(lake, PriceBook(), search, rules=read_rules(settings))
    if as_json:
        print_json(_to_document(looked))
    else:
        _print(looked, spell_command(home))


def _to_document(looked: Looked) -> dict[str, Any]:
    search = looked.search
    return {
        "judged": {"from": search.start_at, "to": search.end_at},
        "spikes": [
            {**asdict(one), "extra_usd": one.extra_usd, "times": one.times,
             "what": describe_spike(one),
             **(advice._asdict() if advice else dict.fromkeys(Advice._fields))}
            for one, advice in looked.spikes
        ],
        "late_additions": [asdict(one) for one in looked.late],
        "caveats": looked.caveats,
    }  # fmt: skip


def _print(looked: Looked, command: str) -> None:
    search = looked.search
    out.print(f"Judged: {search.start_at:{_MINUTES}} to {search.end_at:{_MINUTES}} UTC, production")
    leads = [(one, advice) for one, advice in looked.spikes if advice]
    if not leads:
        out.print("No spike.")
    for one, advice in leads[:_TELL]:
        _print_spike(one, advice, looked, command)
    if len(leads) > _TELL:
        out.print(f"{len(leads) - _TELL} more: --json tells them.")
    if looked.late:
        print_table(
            [asdict(one) for one in looked.late], title="landed late, of old days: no spike"
        )
    for caveat in looked.caveats:
        err.print(f"[yellow]note:[/yellow] {escape(caveat)}", soft_wrap=True)


def _print_spike(one: Spike, advice: Advice, looked: Looked, command: str) -> None:
    out.print(f"\n[bold]{one.kind}[/bold] {escape(describe_spike(one))}", soft_wrap=True)
    covered = [
        other for other, _ in looked.spikes
        if (other.window_start_at, other.rule_window) == (one.window_start_at, one.rule_window)
        and other.covered_by is not None
    ]  # fmt: skip
    if covered:
        names = sorted({f"{o.dimension} {o.value}" for o in covered})
        out.print(escape(f"  seen too at: {', '.join(names)}"), soft_wrap=True)
    if advice.driver:
        out.print(escape(f"  driver: {advice.driver}"), soft_wrap=True)
    out.print(escape(f"  do: {advice.control}"), soft_wrap=True)
    query = spell_query(advice.verify_sql, command=command)
    out.print(escape(f"  verify: {query}"), soft_wrap=True)
