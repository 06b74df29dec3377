"""`opsmeter up`: the Dagster UI and daemon and the page on loopback, until stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout
from rich.markup import escape

from opsmeter_pipeline.cli.app import err
from opsmeter_pipeline.cli.port import require_free_port
from opsmeter_pipeline.model.errors import DagsterEndedError, PortError, UpRunningError
from opsmeter_pipeline.orchestration.instance import open_instance
from opsmeter_pipeline.settings import Settings, claim_landing, load_settings, read_claim
from opsmeter_pipeline.storage.data_docs import INDEX

LOOPBACK = "127.0.0.1"
# `dg dev`, which Dagster points to, needs a project folder; an installed package has none.
_NO_NOTICE = "ignore:Function `dev_command` is superseded:FutureWarning"
_STARTED = """\
page        http://{host}:{dashboard_port}
Dagster UI  http://{host}:{port}  (answers in some seconds)
landing     {landing}
home        {home}"""
_DATA_DOCS = "data docs   {index}"
_STOPS = "Ctrl+C stops it."
_PAGE_PORT = "--dashboard-port or OPSMETER_DASHBOARD_PORT"
_PAGE_ENDED = "[yellow]The page ended with exit code {code} and is started again.[/yellow]"
_WATCH_SECONDS = 5
"""How often it is looked whether the page still runs."""
OWN_PROCESS = (
    sys.executable,
    "-c",
    "import sys; from opsmeter_pipeline.__main__ import main; sys.argv[0] = 'opsmeter'; main()",
)
"""How a process of ours starts `opsmeter`, wherever its script is installed."""


def up_command(*, home: Path | None, landing: str | None, ports: Mapping[str, int | None]) -> None:
    """Start `dagster dev` and the page on this home, and stop both when we are told to stop.

    Args:
        home: the home; None for that of the settings.
        landing: its landing; likewise.
        ports: `port` and `dashboard_port`; likewise.

    Raises:
        PortError: a port is taken, or given twice; nothing was started.
        UpRunningError: another one serves this home; likewise.
        DashboardTokenError: a token is set that is too weak.
        DagsterEndedError: Dagster ended by itself. The page is started again instead.
    """
    from opsmeter_pipeline.dashboard.access import require_token

    settings = read_claim(load_settings(home=home, landing=landing, **ports))
    require_token(settings.dashboard_token, host=LOOPBACK)
    if settings.port == settings.dashboard_port:
        why = "is asked for twice, for the Dagster UI and for the page"
        raise PortError(LOOPBACK, settings.port, why=why, options=_PAGE_PORT)
    require_free_port(LOOPBACK, settings.port)
    require_free_port(LOOPBACK, settings.dashboard_port, options=_PAGE_PORT)
    claim_landing(settings)
    with _only_one(settings):
        _serve(settings)


def _serve(settings: Settings) -> None:
    open_instance(settings).dispose()
    err.print(escape("\n".join(_describe(settings))), soft_wrap=True)
    # Set before the child starts: started in the background by a script, we and it would inherit
    # an ignored interrupt, and Dagster maps termination to interruption.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with _Running(settings) as running, suppress(KeyboardInterrupt):
        raise DagsterEndedError(running.wait())
    # Who was told to stop is not missed: without a daemon on purpose nobody is to be alerted.
    with open_instance(settings) as instance:
        instance.wipe_daemon_heartbeats()


@contextmanager
def _only_one(settings: Settings) -> Generator[None]:
    """Hold the home's one `up`; the operating system lets go of it when this process is over."""
    lock = FileLock(settings.home / "up.lock", timeout=0, mode=0o600)
    holder = settings.home / "up.pid"
    try:
        with lock:
            holder.write_text(str(os.getpid()))
            yield
    except Timeout:
        raise UpRunningError(settings.home, holder.read_text()) from None


class _Running:
    """Dagster and the page; neither is left behind."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._dagster = _start_dagster(settings)
        self._page = _start_page(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._page, self._dagster):
            process.terminate()
        for process in (self._page, self._dagster):
            process.wait()

    def wait(self) -> int:
        """Return Dagster's exit code once it has ended; meanwhile keep the page running.

        A page that ended does not stop what takes the data.
        """
        while True:
            with suppress(subprocess.TimeoutExpired):
                return self._dagster.wait(_WATCH_SECONDS)
            code = self._page.poll()
            if code is not None:
                err.print(_PAGE_ENDED.format(code=code))
                self._page = _start_page(self._settings)


def _describe(settings: Settings) -> Iterator[str]:
    """Yield the lines that say what is served, and what else there is to look at."""
    yield _STARTED.format(
        host=LOOPBACK, port=settings.port, dashboard_port=settings.dashboard_port,
        landing=settings.landing_root, home=settings.home,
    )  # fmt: skip
    index = settings.data_docs / INDEX
    if index.exists():
        yield _DATA_DOCS.format(index=index.as_uri())
    yield _STOPS


def _start_page(settings: Settings) -> subprocess.Popen[bytes]:
    options = ["--quiet", "--host", LOOPBACK, "--port", str(settings.dashboard_port)]
    command = [*OWN_PROCESS, "dashboard", *options]
    return subprocess.Popen(  # noqa: S603 - our own command
        command, env=_environment(settings), start_new_session=True
    )


def _environment(settings: Settings) -> dict[str, str]:
    return os.environ | {
        "OPSMETER_HOME": str(settings.home),
        "OPSMETER_LANDING": settings.landing_root,
        "OPSMETER_PORT": str(settings.port),
        "OPSMETER_DASHBOARD_PORT": str(settings.dashboard_port),  # where probes are looked for
        "DAGSTER_HOME": str(settings.dagster),
    }


def _start_dagster(settings: Settings) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", _NO_NOTICE, "-m", "dagster", "dev", "--log-level", "warning",
               "-w", str(settings.dagster / "workspace.yaml"),
               "-h", LOOPBACK, "-p", str(settings.port)]  # fmt: skip
    return subprocess.Popen(command, env=_environment(settings), start_new_session=True)  # noqa: S603 - our own command
