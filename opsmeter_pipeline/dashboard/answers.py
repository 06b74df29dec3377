"""What each path tells, as plain values; the API's documents and the page are made of them.

Each answer is read in one transaction and says of which snapshot it is. The landing is looked at
before the snapshot is chosen, so what a look calls visible is in it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Context, Decimal, localcontext
from typing import Any

import duckdb

from opsmeter_pipeline.dashboard.badge import Freshness, judge_freshness
from opsmeter_pipeline.dashboard.reader import LandingWatch, Reader
from opsmeter_pipeline.model.hours import HourRange
from opsmeter_pipeline.model.watermark import Watermark
from opsmeter_pipeline.storage.summaries import (
    EndpointQuestion,
    Published,
    count_quarantined,
    read_published,
    read_range,
    sum_prompt_versions,
)
from opsmeter_pipeline.views.ranges import BY_DAY, RANGES

ALL_DAYS = 3_660_000
"""More days than there are: the totals of a range are of all its days."""
_SUMMED = ("requests", "attempts", "redeliveries", "unpriced_attempts", "failures",
           "input_tokens", "cache_read_tokens", "output_tokens", "left_out_attempts",
           "left_out_cost_usd")  # fmt: skip
_EXACT = Context(prec=76)


@dataclass(frozen=True)
class Answer:
    """What was read for one request.

    Attributes:
        published: what the snapshot holds.
        generated_at: when it was read (UTC).
        freshness: what the badge says.
        objective_seconds: by which limit.
        look: the look at the landing it is judged by; None if there is none.
        hours: the range that was asked for.
        rows: rows of each view that was asked for, as many as the limit at most.
        more: views of which there are more rows.
        quarantined_lines: lines in quarantine that landed on the days of the range.
    """

    published: Published
    generated_at: datetime
    freshness: Freshness
    objective_seconds: int
    look: Watermark | None
    hours: HourRange
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    more: frozenset[str]
    quarantined_lines: int

    @property
    def totals(self) -> dict[str, Any]:
        """The sums of the overview's days in the range; cost is null if no attempt has a price."""
        days = self.rows["overview"]
        with localcontext(_EXACT):
            sums = {name: sum((day[name] for day in days), Decimal(0) if "_usd" in name else 0)
                    for name in _SUMMED}  # fmt: skip
            costs = [day["cost_usd"] for day in days if day["cost_usd"] is not None]
            is_unpriced = sums["attempts"] > 0 and sums["unpriced_attempts"] == sums["attempts"]
            return {"cost_usd": None if is_unpriced else sum(costs, Decimal(0)), **sums}

    @property
    def state(self) -> str:
        """Whether every day of the range is final."""
        states = {day["state"] for day in self.rows["overview"]}
        return "final" if states == {"final"} else "provisional"

    def tell_as_of(self) -> dict[str, object]:
        """Return what every document of the API begins with."""
        return {
            "snapshot_id": self.published.snapshot_id,
            "complete_through": self.published.complete_through,
            "generated_at": self.generated_at,
        }

    def tell_freshness(self) -> dict[str, object]:
        """Return what the API says of the badge."""
        look = self.look
        return {
            **asdict(self.freshness),
            "objective_seconds": self.objective_seconds,
            "complete_through": look and look.complete_through,
            "looked_at": look and look.looked_at,
            "waiting_files": look and look.waiting_files,
            "refused_files": look and look.refused_files,
            "last_visible_at": self.published.last_visible_at,
            "last_probe_at": self.published.last_probe_at,
        }


class Answers:
    """Reads answers.

    Args:
        reader: the warehouse.
        watch: the landing.
        now: the clock.
    """

    def __init__(self, reader: Reader, watch: LandingWatch, *, now: Callable[[], datetime]) -> None:
        """Keep what is read from."""
        self._reader, self._watch, self._now = reader, watch, now

    def read(self, views: Sequence[str], hours: HourRange, *, limit: int) -> Answer:
        """Return rows of these views in a range; none if only the state is wanted.

        Raises:
            OpsmeterError: it cannot be read, or not now.
        """

        def ask(con: duckdb.DuckDBPyConnection) -> dict[str, list[dict[str, Any]]]:
            of_days = {"overview": ALL_DAYS}
            return {view: read_range(con, view, hours, limit=of_days.get(view, limit))
                    for view in views}  # fmt: skip

        return self._read(ask, hours, limit)

    def read_endpoint(self, asked: EndpointQuestion, *, limit: int) -> Answer:
        """Return a row per prompt version of an endpoint, as `prompt_versions`.

        Raises:
            OpsmeterError: it cannot be read, or not now.
        """
        return self._read(
            lambda con: {"prompt_versions": sum_prompt_versions(con, asked, limit=limit)},
            asked.hours,
            limit,
        )

    def _read(
        self,
        ask: Callable[[duckdb.DuckDBPyConnection], dict[str, list[dict[str, Any]]]],
        hours: HourRange,
        limit: int,
    ) -> Answer:
        look = self._watch.look(self._now())
        with self._reader.open_snapshot() as con:
            published = read_published(con)
            found = ask(con)
            quarantined = count_quarantined(con, hours)
        now, slo = self._now(), self._reader.settings.slo
        of_days = found.get("overview")
        cut = {view: rows[:limit] for view, rows in found.items() if view != "overview"}
        return Answer(
            published=published,
            generated_at=now,
            freshness=judge_freshness(
                look,
                last_visible_at=published.last_visible_at,
                last_probe_at=published.last_probe_at,
                now=now,
                slo=slo,
            ),
            objective_seconds=slo.limit_seconds,
            look=look,
            hours=hours,
            rows=cut if of_days is None else {"overview": of_days, **cut},
            more=frozenset(view for view, rows in found.items() if len(rows) > limit),
            quarantined_lines=quarantined,
        )


def tell_view(answer: Answer, view: str, *, limit: int) -> dict[str, object]:
    """Return the API's document of one view: rows as in the warehouse, the newest days if cut."""
    rows = answer.rows[view]
    hours = answer.hours.widen_to_days() if view in BY_DAY else answer.hours
    document: dict[str, object] = {
        "as_of": answer.tell_as_of(),
        "range": {"start_at": hours.start_at, "end_at": hours.end_at},
    }
    if view == "overview":
        document |= {
            "state": answer.state,
            "freshness": answer.tell_freshness(),
            "totals": answer.totals,
            "quarantined_lines": answer.quarantined_lines,
        }
    return document | {"rows": list(rows)[-limit:] if view == "overview" else list(rows),
                       "more": view in answer.more}  # fmt: skip


VIEW_NAMES = tuple(RANGES)
"""The four views, in the order of the page."""
