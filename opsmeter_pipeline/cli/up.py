"""`opsmeter up`: the Dagster UI and daemon on loopback, until stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from rich.markup import escape

from opsmeter_pipeline.cli.app import err
from opsmeter_pipeline.cli.port import require_free_port
from opsmeter_pipeline.model.errors import DagsterEndedError
from opsmeter_pipeline.orchestration.instance import open_instance
from opsmeter_pipeline.settings import Settings, claim_landing, load_settings

LOOPBACK = "127.0.0.1"
# `dg dev`, which Dagster points to, needs a project folder; an installed package has none.
_NO_NOTICE = "ignore:Function `dev_command` is superseded:FutureWarning"
_STARTED = """\
Dagster UI  http://{host}:{port}  (answers in some seconds)
landing     {landing}
home        {home}
Ctrl+C stops it."""


def up_command(*, home: Path | None, landing: str | None, port: int | None) -> None:
    """Start `dagster dev` on this home, and stop it when we are interrupted or terminated.

    Raises:
        PortError: something else listens on the port; nothing was started.
        DagsterEndedError: it ended by itself.
    """
    settings = load_settings(home=home, landing=landing, port=port)
    require_free_port(LOOPBACK, settings.port)
    claim_landing(settings)
    open_instance(settings).dispose()
    started = _STARTED.format(
        host=LOOPBACK, port=settings.port, landing=settings.landing_root, home=settings.home
    )
    err.print(escape(started), soft_wrap=True)
    # Set before the child starts: started in the background by a script, we and it would inherit
    # an ignored interrupt, and Dagster maps termination to interruption.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    process = _start_dagster(settings)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        return
    raise DagsterEndedError(code)


def _start_dagster(settings: Settings) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "OPSMETER_HOME": str(settings.home),
        "OPSMETER_LANDING": settings.landing_root,
        "DAGSTER_HOME": str(settings.dagster),
    }
    command = [sys.executable, "-W", _NO_NOTICE, "-m", "dagster", "dev", "--log-level", "warning",
               "-w", str(settings.dagster / "workspace.yaml"),
               "-h", LOOPBACK, "-p", str(settings.port)]  # fmt: skip
    return subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603 - our own command
