"""Which commands `opsmeter prices` has; each imports what it needs when it is called."""

from pathlib import Path
from typing import Annotated

import typer

from opsmeter_pipeline.cli.app import AsJson, Home

prices_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Explain prices, check your own, and accept versions that move prices far.",
)


@prices_app.command()
def show(  # noqa: PLR0913, PLR0917 - an option each
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The model as callers name it.")],
    provider: Annotated[str | None, typer.Option("--provider", help="Whose; else all.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="Time of the request; else now.")] = None,
    tier: Annotated[
        str, typer.Option("--tier", help="default, batch, flex, priority or fast.")
    ] = "default",
    tenant: Annotated[str, typer.Option("--tenant", help="Its tenant_id in `events`.")] = "unknown",
    environment: Annotated[str, typer.Option("--environment", help="prod, staging, dev.")] = "prod",
    input_tokens: Annotated[
        int, typer.Option("--input-tokens", min=0, help="Size of the request.")
    ] = 1,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="By the prices in force at this time; else now.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer reads the default
) -> None:
    """Explain a price: what is charged, by which row, since when, and how the name matched."""
    from opsmeter_pipeline.cli.price_show import Asked, show_command

    asked = Asked(model, provider, at, tier, tenant, environment, input_tokens, as_of)
    show_command(asked, home=home or context.obj, as_json=as_json)


@prices_app.command()
def pending(context: typer.Context, home: Home = None, as_json: AsJson = False) -> None:  # noqa: FBT002
    """List the versions that wait for a person, and the prices they move."""
    from opsmeter_pipeline.cli.prices import pending_command

    pending_command(home=home or context.obj, as_json=as_json)


@prices_app.command()
def accept(
    context: typer.Context,
    version: Annotated[
        str | None, typer.Option("--version", help="Accept this version and no other.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who accepts; else the user.")] = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer reads the default
) -> None:
    """Let the versions that wait price from now on; what is priced already stays as it is."""
    from opsmeter_pipeline.cli.prices import accept_command

    accept_command(version, by=by, home=home or context.obj, as_json=as_json)


@prices_app.command()
def check(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="A prices.toml.", show_default="the home's")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,  # noqa: FBT002 - typer reads the default
) -> None:
    """Validate a file of your own prices, and compare it with the package's."""
    from opsmeter_pipeline.cli.prices import check_command

    check_command(file, home=home or context.obj, as_json=as_json)
