"""Which commands there are.

Each imports what it needs when it is called, so that `query` does not wait for the orchestrator.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer

from opsmeter_pipeline.cli.alert_commands import alerts_app, incident_app
from opsmeter_pipeline.cli.app import AsJson, Home, Landing
from opsmeter_pipeline.cli.price_commands import prices_app

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="What LLM calls cost, who and what drove it, and whether the number is fresh.",
)
app.add_typer(prices_app, name="prices")
app.add_typer(incident_app, name="incident")
app.add_typer(alerts_app, name="alerts")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it
    if wanted:
        typer.echo(version("opsmeter-pipeline"))
        raise typer.Exit


ShowVersion = Annotated[
    bool,
    typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
]

Rule = Annotated[str | None, typer.Option("--rule", help="Only lines that broke this rule.")]
File = Annotated[
    str | None, typer.Option("--file", help="Only lines of this file, by its path in the landing.")
]


@app.callback()
def root(
    context: typer.Context,
    home: Home = None,
    show_version: ShowVersion = False,  # noqa: ARG001, FBT002 - its callback answers
) -> None:
    """Keep the home for the command that follows."""
    context.obj = home


@app.command()
def run(
    context: typer.Context,
    landing: Landing = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer reads the default
) -> None:
    """Take all that is new in the landing and print the ledger."""
    from opsmeter_pipeline.cli.ingest import run_command

    run_command(home=home or context.obj, landing=landing, as_json=as_json)


@app.command()
def demo(context: typer.Context, home: Home = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Run the pipeline on a made-up day and show what it answers."""
    from opsmeter_pipeline.cli.demo import demo_command

    demo_command(home=home or context.obj, as_json=as_json)


@app.command()
def query(
    context: typer.Context,
    sql: Annotated[str, typer.Argument(help="One SELECT on the warehouse's tables and views.")],
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,  # noqa: FBT002
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Read the warehouse with SQL while the pipeline keeps writing."""
    from opsmeter_pipeline.cli.query import query_command

    query_command(sql, home=home or context.obj, as_json=as_json, as_csv=as_csv)


@app.command()
def days(
    context: typer.Context,
    zone: Annotated[str, typer.Option("--zone", help="IANA name, such as Asia/Kolkata.")] = "UTC",
    first: Annotated[
        str | None, typer.Option("--from", help="First day; else 30 days up to the last.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last day; else the last with traffic.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer reads the default
) -> None:
    """Show exact production totals by the days of a time zone."""
    from opsmeter_pipeline.cli.days import days_command

    days_command(zone, first=first, last=last, home=home or context.obj, as_json=as_json)


@app.command()
def quarantine(
    context: typer.Context,
    rule: Rule = None,
    file: File = None,
    limit: Annotated[int, typer.Option(min=0, help="Samples shown for each rule.")] = 3,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Show the lines that broke a rule: how many, where, and what to do."""
    from opsmeter_pipeline.cli.quarantine import quarantine_command
    from opsmeter_pipeline.storage.quarantined import Choice

    choice = Choice(rule, file)
    quarantine_command(choice, limit=limit, home=home or context.obj, as_json=as_json)


@app.command()
def why(  # noqa: PLR0913, PLR0917 - an argument for each option
    context: typer.Context,
    start: Annotated[
        str | None, typer.Option("--from", help="Window's first instant: 2026-11-22T00:00:00Z.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="First instant after it.")] = None,
    window: Annotated[
        str | None, typer.Option("--window", help="Its length: 7d (the default), 24h, 2w.")
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Only these dimensions: endpoint_tag,user_id.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Values shown of each dimension.")] = 8,
    environment: Annotated[
        Literal["prod", "staging", "dev"], typer.Option("--environment", help="Of these events.")
    ] = "prod",
    data_mode: Annotated[
        Literal["real", "test", "demo"], typer.Option("--data-mode", help="Of these events.")
    ] = "real",
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Explain a cost change against the window before: what drove it, and what to do."""
    from opsmeter_pipeline.cli.why import Question, why_command

    question = Question(start, end, window, by, limit, environment, data_mode)
    why_command(question, home=home or context.obj, as_json=as_json)


@app.command()
def compare(  # noqa: PLR0913, PLR0917 - an argument for each option
    context: typer.Context,
    endpoint: Annotated[str, typer.Argument(help="The endpoint, such as checkout.ai_summary.")],
    baseline: Annotated[str, typer.Argument(help="The version that is compared with.")],
    version: Annotated[str, typer.Argument(help="The version in question.")],
    start: Annotated[
        str | None, typer.Option("--from", help="First instant: 2026-11-22T00:00:00Z.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="First instant after it; else now.")
    ] = None,
    window: Annotated[
        str | None, typer.Option("--window", help="Its length: 30d (the default), 24h, 2w.")
    ] = None,
    environment: Annotated[
        Literal["prod", "staging", "dev"], typer.Option("--environment", help="Where both ran.")
    ] = "prod",
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Compare two prompt versions of an endpoint: what moved, by how much, and how sure it is."""
    from opsmeter_pipeline.cli.compare import Question, compare_command

    question = Question(endpoint, baseline, version, environment, start, end, window)
    compare_command(question, home=home or context.obj, as_json=as_json)


@app.command()
def spikes(
    context: typer.Context,
    window: Annotated[
        str | None,
        typer.Option(
            "--window", help="How much is judged, up to the watermark: 24h, 3d, up to 7d."
        ),
    ] = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer reads the default
) -> None:
    """Show hours and days far above their own past, what drove them, and what to do."""
    from opsmeter_pipeline.cli.spikes import spikes_command

    spikes_command(window=window, home=home or context.obj, as_json=as_json)


@app.command()
def digest(
    context: typer.Context,
    week: Annotated[
        str | None,
        typer.Option("--week", help="First of its 7 UTC days; else the last 7 full days."),
    ] = None,
    form: Annotated[
        Literal["md", "html"], typer.Option("--format", help="Markdown or one HTML document.")
    ] = "md",
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer reads the default
) -> None:
    """Print a week on one page: what it cost against the one before, why, and what to do."""
    from opsmeter_pipeline.cli.digest import digest_command

    digest_command(week=week, form=form, home=home or context.obj, as_json=as_json)


@app.command()
def doubles(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, help="Newest UTC days of events to look at.")] = 2,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Look for calls that two layers reported under two ids; nothing is removed."""
    from opsmeter_pipeline.cli.doubles import doubles_command

    doubles_command(days=days, home=home or context.obj, as_json=as_json)


@app.command()
def budget(
    context: typer.Context,
    closed: Annotated[
        int, typer.Option("--closed", min=0, help="Also the newest periods that are over.")
    ] = 0,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Show what is spent of each budget and what will be; exit 1 if one is exceeded now."""
    from opsmeter_pipeline.cli.budget import budget_command

    budget_command(closed=closed, home=home or context.obj, as_json=as_json)


@app.command()
def reconcile(  # noqa: PLR0913, PLR0917 - an argument for each option
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The provider's usage or cost export.")],
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="openai-usage, openai-costs, anthropic-usage, anthropic-costs or csv; else found.",
        ),
    ] = None,
    tolerance: Annotated[
        str, typer.Option("--tolerance", help="What a day and model may differ by.")
    ] = "0.5%",
    start: Annotated[
        str | None, typer.Option("--from", help="First UTC day: 2026-11-01; else the export's.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="First UTC day after it.")] = None,
    exported_at: Annotated[
        str | None, typer.Option("--exported-at", help="When it was made: 2026-11-22T09:30:00Z.")
    ] = None,
    provider: Annotated[
        str | None, typer.Option("--provider", help="Whose a CSV is that does not say it.")
    ] = None,
    environment: Annotated[
        Literal["prod", "staging", "dev"] | None,
        typer.Option("--environment", help="Only these events; else all, as the provider bills."),
    ] = None,
    data_mode: Annotated[
        Literal["real", "test", "demo"] | None,
        typer.Option("--data-mode", help="Only these events; else all."),
    ] = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Compare the warehouse with a provider's usage or cost export, by day and model."""
    from opsmeter_pipeline.cli.reconcile import Asked, reconcile_command

    asked = Asked(file, form, tolerance, start, end, exported_at, provider, environment, data_mode)
    reconcile_command(asked, home=home or context.obj, as_json=as_json)


@app.command()
def replay(
    context: typer.Context,
    rule: Rule = None,
    file: File = None,
    replay_all: Annotated[bool, typer.Option("--all", help="All quarantined lines.")] = False,  # noqa: FBT002
    landing: Landing = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Run quarantined lines again through today's contract, from their files."""
    from opsmeter_pipeline.cli.replay import replay_command
    from opsmeter_pipeline.model.errors import ReplayChoiceError
    from opsmeter_pipeline.storage.quarantined import Choice

    if replay_all == bool(rule or file):
        raise ReplayChoiceError
    choice = Choice(rule, file)
    replay_command(choice, home=home or context.obj, landing=landing, as_json=as_json)


@app.command()
def reprice(  # noqa: PLR0913, PLR0917 - an option each
    context: typer.Context,
    first: Annotated[
        str | None, typer.Option("--from", help="First UTC day of event time; else since ever.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last UTC day; else until now.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Only this one, as callers name it.")
    ] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="Likewise.")] = None,
    priced_too: Annotated[  # noqa: FBT002 - typer reads the default
        bool, typer.Option("--all", help="Also events that have a price; needs --reason.")
    ] = False,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it is kept.")] = None,
    dry_run: Annotated[  # noqa: FBT002
        bool, typer.Option("--dry-run", help="Only show what would change.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Price events without a price again, by the prices in force now, and list what changed."""
    from opsmeter_pipeline.cli.reprice import Asked, reprice_command

    asked = Asked(first, last, provider, model, priced_too, reason, dry_run)
    reprice_command(asked, home=home or context.obj, as_json=as_json)


@app.command()
def status(
    context: typer.Context,
    landing: Landing = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Show how far all that landed is visible, and which files are refused."""
    from opsmeter_pipeline.cli.status import status_command

    status_command(home=home or context.obj, landing=landing, as_json=as_json)


@app.command()
def gate(  # noqa: PLR0913, PLR0917 - an option each
    context: typer.Context,
    environment: Annotated[
        Literal["prod", "staging", "dev"], typer.Option("--env", help="Whose release.")
    ] = "prod",
    p95: Annotated[
        str | None,
        typer.Option("--p95", help="95 % of events within this: 5m; else as [slo] promises."),
    ] = None,
    window: Annotated[str, typer.Option("--window", help="How far back is looked.")] = "24h",
    waived: Annotated[
        list[str] | None, typer.Option("--waive", help="A reason that does not count this time.")
    ] = None,
    junit: Annotated[
        str | None, typer.Option("--junit", help="File for JUnit XML; - is standard output.")
    ] = None,
    prompt: Annotated[  # noqa: FBT002 - typer reads the default
        bool, typer.Option("--prompt", help="Also closed if a prompt version regressed.")
    ] = False,
    landing: Landing = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Say whether a release may go on: exit 0 open, 1 closed; what is unknown closes it."""
    from opsmeter_pipeline.cli.gate import Asked, gate_command

    asked = Asked(environment, p95, window, waived or [], junit, prompt)
    gate_command(asked, home=home or context.obj, landing=landing, as_json=as_json)


@app.command()
def probe(
    context: typer.Context,
    timeout: Annotated[
        str, typer.Option("--timeout", help="How long until it counts as lost: 90s, 5m.")
    ] = "5m",
    landing: Landing = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Send a made-up event and wait until the page shows it; exit 1 if it does not."""
    from opsmeter_pipeline.cli.probe import probe_command

    probe_command(timeout, home=home or context.obj, landing=landing, as_json=as_json)


@app.command()
def doctor(
    context: typer.Context,
    landing: Landing = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Look at each part of a home: green, amber or red, and the next step; exit 1 if red."""
    from opsmeter_pipeline.cli.doctor import doctor_command

    doctor_command(home=home or context.obj, landing=landing, as_json=as_json)


@app.command()
def drill(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Drills to run, or all.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Show the drills and run none.")] = False,  # noqa: FBT002
    timeout: Annotated[
        float, typer.Option(min=1, help="Seconds that detection may take, and recovery.")
    ] = 300,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the scratch homes.")] = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Break a scratch home on purpose, and report what noticed it and what was lost."""
    from opsmeter_pipeline.cli.drill import drill_command, list_command

    if show:
        list_command(as_json=as_json)
        return
    drill_command(names or [], timeout_seconds=timeout, keep=keep, as_json=as_json)


By = Annotated[str | None, typer.Option("--by", help="Who does it; else the user.")]


@app.command()
def pause(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why; the page shows it.")],
    by: By = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Contain: stop the views that can wait; overview, freshness, ingest and alerts go on."""
    from opsmeter_pipeline.cli.pause import pause_command

    pause_command(reason, by=by, home=home or context.obj, as_json=as_json)


@app.command()
def resume(
    context: typer.Context,
    by: By = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Recover: let all views be read again."""
    from opsmeter_pipeline.cli.pause import resume_command

    resume_command(by=by, home=home or context.obj, as_json=as_json)


@app.command()
def maintain(
    context: typer.Context,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Merge small files, expire old snapshots, delete what nobody needs."""
    from opsmeter_pipeline.cli.maintain import maintain_command

    maintain_command(home=home or context.obj, as_json=as_json)


@app.command()
def dashboard(
    context: typer.Context,
    host: Annotated[
        str,
        typer.Option("--host", help="Address to serve on; other than loopback needs a token."),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option("--port", help="Port of the page; else OPSMETER_DASHBOARD_PORT, else 3001."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing while all is well.")] = False,  # noqa: FBT002
    landing: Landing = None,
    home: Home = None,
) -> None:
    """Serve the page and its API, until stopped."""
    from opsmeter_pipeline.cli.dashboard import dashboard_command

    at = home or context.obj
    dashboard_command(home=at, landing=landing, host=host, port=port, quiet=quiet)


@app.command()
def up(
    context: typer.Context,
    port: Annotated[
        int | None, typer.Option("--port", help="Port of the UI; else OPSMETER_PORT, else 3000.")
    ] = None,
    dashboard_port: Annotated[
        int | None,
        typer.Option(
            "--dashboard-port", help="Port of the page; else OPSMETER_DASHBOARD_PORT, else 3001."
        ),
    ] = None,
    landing: Landing = None,
    home: Home = None,
) -> None:
    """Serve the Dagster UI and the page, and take what lands, until stopped."""
    from opsmeter_pipeline.cli.up import up_command

    ports = {"port": port, "dashboard_port": dashboard_port}
    up_command(home=home or context.obj, landing=landing, ports=ports)
