"""`opsmeter demo`: a day of lively telemetry through the real job, and the answers it gives."""

from dataclasses import asdict
from pathlib import Path

from rich.markup import escape

from opsmeter_pipeline.cli.app import err, out, print_json, print_table, spell_command
from opsmeter_pipeline.cli.ingest import open_home, run_job, take_all_waiting
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.errors import DemoLandingError
from opsmeter_pipeline.orchestration.instance import open_instance
from opsmeter_pipeline.orchestration.jobs import DRIFT_JOB_NAME, run_as_is
from opsmeter_pipeline.producers.demo import write_demo_day
from opsmeter_pipeline.settings import Settings, load_settings

FOLDER = "demo"
_SHOWN = """
    requests, cost_usd::DECIMAL(18,4) AS cost_usd,
    (1000 * cost_per_request_usd)::DECIMAL(18,4) AS cost_usd_per_1k_requests,
    (100 * error_share)::DECIMAL(5,1) AS error_pct, latency_p95_ms::BIGINT AS latency_p95_ms
"""
_ANSWERS = {
    "ledger": """
        SELECT sum(lines)::BIGINT AS lines, sum(accepted)::BIGINT AS accepted,
            sum(duplicates)::BIGINT AS duplicates, sum(quarantined)::BIGINT AS quarantined,
            sum(blank)::BIGINT AS blank, sum(unpriced_events)::BIGINT AS unpriced_events,
            sum(cost_usd)::DECIMAL(18,4) AS cost_usd
        FROM ingest_batches
    """,
    "assumed": """
        SELECT sum(data_mode_defaulted)::BIGINT AS data_mode_defaulted,
            sum(environment_defaulted)::BIGINT AS environment_defaulted,
            sum(attempts_inferred)::BIGINT AS attempts_inferred
        FROM ingest_batches
    """,
    "top_endpoints": f"""
        SELECT endpoint_tag, (100 * share_of_cost)::DECIMAL(5,1) AS cost_share_pct, {_SHOWN}
        FROM top_endpoints LIMIT 8
    """,
    "top_users": f"SELECT tenant_id, user_id, {_SHOWN} FROM top_users LIMIT 5",
    "prompt_versions": f"""
        SELECT endpoint_tag, prompt_version, {_SHOWN} FROM prompt_versions LIMIT 8
    """,
    "drift": """
        SELECT endpoint_tag, prompt_version, baseline_version, verdict, regression_type,
            (100 * output_change)::DECIMAL(5,1) AS output_change_pct,
            (100 * cost_change)::DECIMAL(5,1) AS cost_change_pct,
            monthly_usd::DECIMAL(18,2) AS usd_in_30_days
        FROM prompt_version_drift WHERE verdict IN ('regressed', 'improved', 'mix')
        ORDER BY monthly_usd DESC LIMIT 5
    """,
    "refused": """
        SELECT rule, count(*) AS lines, min(detail) AS for_example
        FROM quarantine GROUP BY rule ORDER BY lines DESC, rule
    """,
}
_TITLES = {
    "ledger": "ledger: lines = accepted + duplicates + quarantined + blank",
    "assumed": "events for which a field was assumed: real, prod, the attempt",
    "top_endpoints": "top endpoints",
    "top_users": "top users",
    "prompt_versions": "prompt versions",
    "drift": "prompt versions that moved against the one they replaced",
    "refused": "quarantined, and why",
}
_NEXT = """\
Try next:
  {opsmeter} query "FROM overview"     what each day cost, and what was left out
  {opsmeter} query "FROM quarantine"   each quarantined line, redacted, with file and line number
  {opsmeter} compare checkout.ai_summary summary_v3 summary_v4
                        what a prompt deploy changed, and how sure it is
  {opsmeter} up                        the Dagster UI, and a sensor that takes what lands
"""


def demo_command(*, home: Path | None, as_json: bool) -> None:
    """Land a demo day unless it is there, run the job, and print what it found.

    Raises:
        DemoLandingError: the landing is no folder of this machine.
    """
    settings = load_settings(home=home)
    if "://" in settings.landing_root:
        raise DemoLandingError(settings.landing_root)
    lake = open_home(settings).lake
    folder = Path(settings.landing_root) / FOLDER
    seeded = None
    if folder.exists():
        known = f"The demo day is in {folder} already; another --home makes a fresh one."
        err.print(escape(known), soft_wrap=True)
    else:
        with err.status("making a day of telemetry ..."):
            seeded = write_demo_day(folder, now=utc_now())
        landed = f"landed {seeded.files} files with {seeded.lines} lines in {folder}"
        err.print(escape(landed), soft_wrap=True)
    take_all_waiting(settings)
    _compare_versions(settings)
    answers = {name: lake.query(sql).to_dicts() for name, sql in _ANSWERS.items()}
    if as_json:
        print_json({"seeded": asdict(seeded) if seeded else None, **answers})
        return
    for name, rows in answers.items():
        print_table(rows, title=_TITLES[name])
    out.print(escape(_NEXT.format(opsmeter=spell_command(home))), soft_wrap=True)


def _compare_versions(settings: Settings) -> None:
    """Run the job that a schedule starts hourly, so that a first look shows what it finds."""
    with open_instance(settings) as instance, err.status("comparing prompt versions ..."):
        run_job(instance, open_home(settings), DRIFT_JOB_NAME, run_as_is(log_level="CRITICAL"))
