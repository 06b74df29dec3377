"""Which commands `opsmeter incident` and `opsmeter alerts` have; each imports what it needs."""

from typing import Annotated

import typer

from opsmeter_pipeline.cli.app import AsJson, Home, Landing

incident_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="What is and was wrong: list incidents, show a timeline, take one.",
)
alerts_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look for what is wrong and tell people, from cron; try who is told.",
)
IncidentId = Annotated[str, typer.Argument(help="As `opsmeter incident list` shows it.")]


@incident_app.command("list")
def list_incidents(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="The newest this many.")] = 20,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer reads the default
) -> None:
    """List incidents, the newest first, and messages that nobody has got yet."""
    from opsmeter_pipeline.cli.incidents import list_command

    list_command(limit=limit, home=home or context.obj, as_json=as_json)


@incident_app.command()
def show(
    context: typer.Context,
    incident_id: IncidentId,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Print an incident as Markdown for the post-mortem, its timeline included."""
    from opsmeter_pipeline.cli.incidents import show_command

    show_command(incident_id, home=home or context.obj, as_json=as_json)


@incident_app.command()
def ack(
    context: typer.Context,
    incident_id: IncidentId,
    by: Annotated[str | None, typer.Option("--by", help="Who takes it; else the user.")] = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Take an incident; a rise in its severity is still told."""
    from opsmeter_pipeline.cli.incidents import ack_command

    ack_command(incident_id, by=by, home=home or context.obj, as_json=as_json)


@alerts_app.command()
def check(
    context: typer.Context,
    landing: Landing = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Do what the sensor `alerting` does, once: for cron, when the daemon itself may be dead."""
    from opsmeter_pipeline.cli.alerts import check_command

    check_command(home=home or context.obj, landing=landing, as_json=as_json)


@alerts_app.command("test")
def try_sinks(context: typer.Context, home: Home = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """Send a test message to every sink now; nothing is written down."""
    from opsmeter_pipeline.cli.alerts import test_command

    test_command(home=home or context.obj, as_json=as_json)
