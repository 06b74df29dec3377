"""What the digest says, and in which order: the sum, what to do first, why, and what to trust.

A section that has nothing to say is left out, but for the one on trust: that nothing is wrong is
said there. Numbers are put in words by `digest.figures`, the page is written by `digest.page`.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from opsmeter_pipeline.digest.facts import Budget, Deploy, Facts, Part, Sums, Trust
from opsmeter_pipeline.digest.figures import (
    growth,
    per_request,
    share,
    signed_usd,
    usd,
    usd_or_none,
)
from opsmeter_pipeline.digest.page import Grid, Page, Section, Step
from opsmeter_pipeline.model.sql import spell_query

_STEPS, _ROWS = 5, 8
_UNPRICED_SHARE = Decimal("0.02")
"""Part of attempts without a price from which on pricing them is a step (the field: 2 %)."""
_QUARANTINE_SHARE = Decimal("0.01")
_TOP_SHARE = Decimal("0.5")
_BAD = ("exceeded", "warning", "unknown")


def compose(facts: Facts) -> Page:
    """Return the page of a week."""
    week = facts.week
    sections = (
        Section("In all", [*_tell_totals(facts)]),
        Section("Do first", steps=[*_find_steps(facts)][:_STEPS]),
        Section("What drove it", [*_tell_drivers(facts)], _lay_parts("endpoint", facts.endpoints)),
        Section("Tenants", [*_tell_unknown(facts)], _lay_parts("tenant", facts.tenants)),
        Section("Budgets", [], _lay_budgets(facts)),
        Section("Prompt deploys", [*_tell_deploys(facts)], _lay_deploys(facts)),
        Section("Spikes", [one.what for one in facts.bursts[:_ROWS]]),
        Section("Prices", [*_tell_prices(facts)]),
        Section("Can it be trusted?", [*_tell_trust(facts)]),
    )
    return Page(
        f"LLM cost, {week.first_day} to {week.last_day} (UTC)",
        _tell_lead(facts),
        [one for one in sections if one.lines or one.grid or one.steps],
        f"Production only (real, prod), against the 7 days before. Read "
        f"{facts.read_at:%Y-%m-%d %H:%M}Z; again: opsmeter digest --week {week.first_day}",
    )


def _tell_lead(facts: Facts) -> str:
    now, before = facts.now, facts.before
    if not now.attempts:
        was = f" The week before cost {usd(before.cost_usd)}." if before.attempts else ""
        return f"No production traffic in this week.{was}"
    cost = f"{usd(now.cost_usd)} of known cost"
    if now.unpriced_attempts == now.attempts:
        cost = "No event of the week has a price: its cost is unknown"
    if not before.attempts:
        return f"{cost}; there is no week before to compare with."
    change = now.cost_usd - before.cost_usd
    return (f"{cost}, {signed_usd(change)} ({growth(before.cost_usd, now.cost_usd)}) against the "
            f"week before.")  # fmt: skip


def _tell_totals(facts: Facts) -> Iterator[str]:
    now, before = facts.now, facts.before
    if not now.attempts:
        return
    yield f"{now.requests:,} requests ({growth(before.requests, now.requests)})."
    each, was = (per_request(one.cost_usd, one.requests) for one in (now, before))
    if each is not None and now.cost_usd:
        told = f", {growth(was, each)}" if was else ""
        yield f"{usd(each)} known cost per request{told}."
    if now.unpriced_attempts:
        yield (f"{now.unpriced_attempts:,} attempts ({share(now.unpriced_attempts, now.attempts)}) "
               f"have no price and are in no cost: they add {_bounds(now)}.")  # fmt: skip
    if now.failures:
        yield (f"{share(now.failures, now.attempts)} of attempts failed, "
               f"{share(before.failures, before.attempts)} the week before.")  # fmt: skip
    days = facts.trust.provisional_days
    yield (f"{days} of 7 days are provisional: late files may still change them." if days else
           "All days are final; what changes them later is told in a later digest.")  # fmt: skip


def _bounds(sums: Sums) -> str:
    low, high = usd(sums.unpriced_low_usd), sums.unpriced_high_usd
    if high is None:
        return f"{low} or more, nobody can tell how much"
    return f"{low} to {usd(high)}"


def _find_steps(facts: Facts) -> Iterator[Step]:
    for one in facts.budgets or ():
        if one.state in _BAD and not one.is_over:
            sql = f"FROM budget_status WHERE budget = '{_quote(one.budget)}'"
            yield Step(f"Budget {one.budget} ({one.period_name}) is {one.state}: "
                       f"{usd(one.spent_low_usd)} of {usd(one.limit_usd)}.", spell_query(sql)
                       )  # fmt: skip
    for one in facts.drivers[:2]:
        yield Step(f"{one.control} ({signed_usd(one.change_usd)})", spell_query(one.verify_sql))
    for one in facts.deploys:
        if one.verdict == "regressed":
            yield Step(f"Roll {one.endpoint_tag} back from {one.prompt_version}"
                       f"{f' to {one.previous_version}' if one.previous_version else ''}: it is a "
                       f"confident regression.",
                       f'opsmeter query "FROM prompt_version_drift WHERE endpoint_tag = '
                       f"'{_quote(one.endpoint_tag)}'\"")  # fmt: skip
    for one in facts.bursts[:1]:
        if one.control and one.verify_sql:
            yield Step(one.control, spell_query(one.verify_sql))
    yield from _find_trust_steps(facts)


def _find_trust_steps(facts: Facts) -> Iterator[Step]:
    now, trust = facts.now, facts.trust
    if now.unpriced_attempts > _UNPRICED_SHARE * now.attempts:
        yield Step("Price the models that have no price.", spell_query("FROM unpriced_models"))
    if trust.quarantined > _QUARANTINE_SHARE * trust.lines:
        yield Step("Work off the quarantine.", "opsmeter quarantine")
    if trust.open_incidents:
        yield Step(f"{trust.open_incidents} incidents of the week are open.",
                   "opsmeter incident list")  # fmt: skip


def _tell_drivers(facts: Facts) -> Iterator[str]:
    for one in facts.drivers[:_STEPS]:
        yield f"{signed_usd(one.change_usd)} {one.what}"
    costs = sorted((one.cost_usd for one in facts.endpoints), reverse=True)
    if len(costs) > 1 and costs[0] > _TOP_SHARE * facts.now.cost_usd:
        top = max(facts.endpoints, key=lambda one: one.cost_usd)
        yield f"{top.value} makes {share(top.cost_usd, facts.now.cost_usd)} of the cost."


def _tell_unknown(facts: Facts) -> Iterator[str]:
    now = facts.now
    if now.unknown_requests:
        yield (f"No tenant is told of {share(now.unknown_cost_usd, now.cost_usd)} of the cost and "
               f"{share(now.unknown_requests, now.requests)} of the requests.")  # fmt: skip


def _lay_parts(name: str, parts: Sequence[Part]) -> Grid | None:
    rows = [
        (one.value, usd(one.cost_usd), signed_usd(one.change_usd),
         growth(one.previous_cost_usd, one.cost_usd), f"{one.requests:,}",
         growth(one.previous_requests, one.requests),
         usd_or_none(per_request(one.cost_usd, one.requests)))
        for one in parts[:_ROWS]
    ]  # fmt: skip
    heads = (name, "cost", "change", "change %", "requests", "change of requests", "per request")
    return Grid(heads, rows) if rows else None


def _lay_budgets(facts: Facts) -> Grid | None:
    if not facts.budgets:
        return None
    rows = [_budget_row(one) for one in facts.budgets]
    return Grid(("budget", "period", "state", "spent", "limit", "share", "forecast"), rows,
                frozenset({"period", "state"}))  # fmt: skip


def _budget_row(one: Budget) -> tuple[str, ...]:
    low, high = one.spent_low_usd, one.spent_high_usd
    spent = f"at least {usd(low)}" if high is None else usd(low) if high == low else (
        f"{usd(low)} to {usd(high)}")  # fmt: skip
    forecast = "over" if one.is_over else usd_or_none(one.forecast_usd)
    return (one.budget, one.period_name, one.state, spent, usd(one.limit_usd),
            share(low, one.limit_usd), forecast)  # fmt: skip


def _tell_deploys(facts: Facts) -> Iterator[str]:
    if any(one.verdict is None for one in facts.deploys):
        yield "Cost per request is for reading: it is not adjusted for who called."
    if len(facts.deploys) > _ROWS:
        yield f"{len(facts.deploys)} new versions; those that cost most are shown."


def _lay_deploys(facts: Facts) -> Grid | None:
    rows = [_deploy_row(one) for one in facts.deploys[:_ROWS]]
    heads = ("endpoint", "version", "since", "requests", "per request", "before", "change",
             "verdict")  # fmt: skip
    texts = frozenset({"version", "since", "verdict"})
    return Grid(heads, rows, texts) if rows else None


def _deploy_row(one: Deploy) -> tuple[str, ...]:
    each = None if one.unpriced_attempts and not one.cost_usd else per_request(
        one.cost_usd, one.requests)  # fmt: skip
    was = per_request(one.previous_cost_usd, one.previous_requests)
    change = growth(was, each) if was and each is not None else "unknown"
    verdict = one.verdict or "not judged"
    if one.monthly_usd is not None:
        verdict += f", {signed_usd(one.monthly_usd)} a month"
    return (one.endpoint_tag, one.prompt_version, f"{one.first_at:%a %d, %H:%M}",
            f"{one.requests:,}", "unpriced" if each is None else usd(each), usd_or_none(was),
            change, verdict)  # fmt: skip


def _tell_prices(facts: Facts) -> Iterator[str]:
    for one in facts.prices[:_ROWS]:
        money = f": {signed_usd(one.change_usd)}" if one.change_usd is not None else "."
        yield f"{one.what}{money}"


def _tell_trust(facts: Facts) -> Iterator[str]:
    trust = facts.trust
    yield (f"Complete through {trust.complete_through:%Y-%m-%d %H:%M}Z: nothing that landed before "
           f"waits." if trust.complete_through else "Nothing says yet whether anything waits."
           )  # fmt: skip
    if trust.limit_seconds is None:
        yield "Freshness: nothing became visible in this week, so nothing was measured."
    else:
        measured = trust.fresh_events + trust.stale_events
        yield (f"Freshness: {share(trust.fresh_events, measured)} of {measured:,} events were "
               f"visible within {trust.limit_seconds} s.")  # fmt: skip
    yield from _tell_quality(trust)
    if trust.late_changes:
        yield (f"{trust.late_changes} late changes to days before this week: "
               f"{signed_usd(trust.late_change_usd)}, see late_changes.")  # fmt: skip
    if trust.incidents:
        yield f"{trust.incidents} incidents, {trust.open_incidents} of them open."


def _tell_quality(trust: Trust) -> Iterator[str]:
    if not trust.quarantined:
        yield f"{trust.lines:,} lines taken since it began, none in quarantine."
        return
    unknown = f"of {trust.unestimated_lines:,} nobody can tell what they cost"
    known = f"they may have cost {usd(trust.held_back_usd)}, which is in no total"
    parts = [known] if trust.held_back_usd or not trust.unestimated_lines else []
    parts += [unknown] if trust.unestimated_lines else []
    yield (
        f"{trust.quarantined:,} of {trust.lines:,} lines taken since it began "
        f"({share(trust.quarantined, trust.lines)}) are in quarantine: {'; '.join(parts)}."
    )


def _quote(text: str) -> str:
    return text.replace("'", "''")
