"""The digest stage's asset: the week on one page, in files of the home and to whoever is told."""

from typing import Any

import dagster as dg

from opsmeter_pipeline.digest import compose, plan_week, to_html, to_markdown
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.orchestration.jobs import WEEKLY_DIGEST, WeekConfig
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.storage.digest import queue_message, read_facts, write_files
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.sinks import build_sinks

_READS = (
    *("attribution_hourly", "users_daily", "events", "ingest_batches", "quarantine", "watermarks"),
    *("overview", "late_changes", "freshness_daily", "restatements", "price_versions", "spikes"),
    *("incidents", "budget_status", "prompt_version_drift"),
)


@dg.asset(
    name=WEEKLY_DIGEST,
    group_name="digest",
    deps=_READS,
    kinds={"markdown"},
)
def weekly_digest(home: HomeResource, config: WeekConfig) -> dg.MaterializeResult[Any]:
    """One page about seven full UTC days against the seven before: cost, drivers, deploys, trust.

    Written as Markdown and HTML to `digests/` in the home, and once per week to each sink of the
    alerts. A later run for the same week writes the files again and sends nothing.
    """
    now, lake, settings = utc_now(), home.lake, home.settings
    week = plan_week(now=now, first_day=config.first_day)
    page = compose(read_facts(lake, PriceBook(), week, now=now))
    markdown = to_markdown(page)
    files = write_files(settings.digests, week, markdown=markdown, html=to_html(page))
    sinks = [one.name for one in build_sinks(settings.alert_urls)]
    subject = f"[opsmeter] {page.title}: {page.lead}"
    added = queue_message(lake, week, sinks=sinks, subject=subject, body=markdown, now=now)
    return dg.MaterializeResult(
        metadata={
            "digest": dg.MetadataValue.md(markdown),
            "markdown_file": dg.MetadataValue.path(files[0]),
            "html_file": dg.MetadataValue.path(files[1]),
            "messages_queued": added,
        }
    )
