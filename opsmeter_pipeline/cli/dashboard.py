"""`opsmeter dashboard`: the page and its API, until stopped."""

import signal
from pathlib import Path

from rich.markup import escape

from opsmeter_pipeline.cli.app import err
from opsmeter_pipeline.cli.port import require_free_port
from opsmeter_pipeline.model.errors import WarehouseMissingError
from opsmeter_pipeline.settings import CLAIM, load_settings, read_claim
from opsmeter_pipeline.storage.lake import Lake

PORT_OPTIONS = "--port or OPSMETER_DASHBOARD_PORT"
LOOPBACK = "127.0.0.1"


def dashboard_command(
    *, home: Path | None, landing: str | None, host: str, port: int | None, quiet: bool
) -> None:
    """Serve the page of a home, which is only read but for when a batch was first served.

    Raises:
        DashboardTokenError: others can reach the host, and there is no token or a weak one.
        PortError: something else listens on the port.
        WarehouseMissingError: the folder is no home.
    """
    from opsmeter_pipeline.dashboard.app import build_app
    from opsmeter_pipeline.dashboard.server import serve

    asked = load_settings(home=home, landing=landing, dashboard_port=port)
    settings = read_claim(asked)
    app = build_app(settings, host=host)
    if not (settings.home / CLAIM).exists() and not Lake(settings.warehouse).exists:
        raise WarehouseMissingError(settings.home)
    require_free_port(host, settings.dashboard_port, options=PORT_OPTIONS)
    if not quiet:
        _announce(host, settings.dashboard_port)
    # Started in the background by a script, we would inherit an ignored interrupt.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        serve(app, host=host, port=settings.dashboard_port)
    except KeyboardInterrupt:
        return


def _announce(host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    err.print(escape(f"page  http://{shown}:{port}\nCtrl+C stops it."), soft_wrap=True)
