"""`opsmeter up`: the Dagster UI and daemon on loopback, until stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.markup import escape

from opsmeter_pipeline.cli.app import err
from opsmeter_pipeline.cli.port import require_free_port
from opsmeter_pipeline.model.errors import DagsterEndedError
from opsmeter_pipeline.orchestration.instance import open_instance
from opsmeter_pipeline.settings import Settings, claim_landing, load_settings
from opsmeter_pipeline.storage.data_docs import INDEX

LOOPBACK = "127.0.0.1"
# `dg dev`, which Dagster points to, needs a project folder; an installed package has none.
_NO_NOTICE = "ignore:Function `dev_command` is superseded:FutureWarning"
_STARTED = """\
Dagster UI  http://{host}:{port}  (answers in some seconds)
landing     {landing}
home        {home}"""
_DATA_DOCS = "data docs   {index}"
_STOPS = "Ctrl+C stops it."


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
    err.print(escape("\n".join(_describe(settings))), soft_wrap=True)
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


def _describe(settings: Settings) -> Iterator[str]:
    """Yield the lines that say what is served, and what else there is to look at."""
    yield _STARTED.format(
        host=LOOPBACK, port=settings.port, landing=settings.landing_root, home=settings.home
    )
    index = settings.data_docs / INDEX
    if index.exists():
        yield _DATA_DOCS.format(index=index.as_uri())
    yield _STOPS


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
