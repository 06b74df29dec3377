"""The ground of a drill: a scratch home, and real processes on it that are always stopped.

Nothing of the user's home or settings is read: the scratch folder has an `opsmeter.toml` of its
own, and no variable of ours or Dagster's is handed on. Add here how a process of the home is
driven; what a person would see of it is read in `drills.watch`.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import dagster as dg

from opsmeter_pipeline.model.drill_errors import DrillProcessError, DrillStuckError
from opsmeter_pipeline.orchestration.instance import open_kept_instance
from opsmeter_pipeline.settings import TOML_FILE, Settings
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.views import VIEWS

PATIENCE_SECONDS = 180.0
"""How long processes may take to start, at least; no drill measures it."""
_WATCH_SECONDS = 0.05
_POLL_SECONDS = 0.5
_PROC = Path("/proc")
_LOG = "up.log"
_FOREIGN = ("OPSMETER_", "DAGSTER_")
_Found = TypeVar("_Found")


class Ground:
    """A scratch home and the processes on it.

    Args:
        command: how `opsmeter` is called.
        keep: whether the folder stays when all is over.
        patience: how many seconds processes may take to start, and commands to end.
        settings: what its `opsmeter.toml` says.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        keep: bool,
        settings: Mapping[str, object],
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Make the folder; nothing runs yet."""
        self._command = [*command]
        self._keep = keep
        self.patience = max(patience, PATIENCE_SECONDS)
        self._up: subprocess.Popen[bytes] | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="opsmeter-drill-"))
        self.home = self.folder / ".opsmeter"
        self._temporary = self.folder / "t"  # short: sockets in it have a path of 107 bytes at most
        self._temporary.mkdir()
        self.landing = self.home / "landing"
        self.paths = Settings.model_construct(home=self.home)  # reads no source
        self.lake = Lake(self.paths.warehouse)
        self._instance: dg.DagsterInstance | None = None
        port, self.page_port = _find_free_ports()
        self.settings: dict[str, object] = {"port": port, "dashboard_port": self.page_port}
        self.configure(**settings)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what runs on it, and remove it unless it is to be kept."""
        with _uninterrupted():  # a second interrupt must not leave anything behind
            if self._instance:
                self._instance.dispose()
            self.kill_all()
            if not self._keep:
                shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def instance(self) -> dg.DagsterInstance:
        """The home's Dagster instance, to read from."""
        if self._instance is None:
            self._instance = open_kept_instance(self.paths)
        return self._instance

    def configure(self, **settings: object) -> None:
        """Set settings of the home; runs, ticks and commands that begin later read them."""
        self.settings |= settings
        text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in self.settings.items())
        written = self.folder / f"{TOML_FILE}.tmp"
        written.write_text(text)
        written.replace(self.folder / TOML_FILE)  # whoever reads meanwhile finds all of it

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run a command on the home to its end; return its exit code and what it printed as JSON.

        Raises:
            DrillProcessError: it printed none.
            DrillStuckError: it did not end.
        """
        called = " ".join(arguments)
        try:
            done = subprocess.run(  # noqa: S603 - our own command
                [*self._command, *arguments, "--json"], cwd=self.folder, env=self._environment(),
                capture_output=True, check=False, timeout=self.patience,
            )  # fmt: skip
        except subprocess.TimeoutExpired as exc:
            until = f"`opsmeter {called}` ended"
            raise DrillStuckError(until, self.patience) from exc
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError as exc:
            said = done.stderr.decode(errors="replace").strip()
            raise DrillProcessError(called, said) from exc

    def start(self) -> None:
        """Start `opsmeter up` and wait until its page answers.

        The warehouse is made before, so that whoever looks meanwhile finds all of its tables.

        Raises:
            DrillStuckError: it did not.
        """
        self.lake.create({view.name: view.sql for view in VIEWS})
        with (self.folder / _LOG).open("ab") as log:
            self._up = subprocess.Popen(  # noqa: S603 - our own command
                [*self._command, "up"], cwd=self.folder, env=self._environment(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.wait(self._answers, "the page answered", seconds=self.patience)

    def kill_all(self) -> int:
        """SIGKILL every process of the home, also those that they start meanwhile; count them."""
        killed: set[int] = set()
        while pids := self.find_processes():
            killed.update(pids)
            for pid in pids:
                kill(pid)
            if self._up:
                self._up.wait()
            time.sleep(_WATCH_SECONDS)
        self._up = None
        return len(killed)

    def find_processes(self) -> list[int]:
        """Return the processes that have this home in their environment, as `/proc` tells."""
        wanted = f"OPSMETER_HOME={self.home}\0".encode()
        found: list[int] = []
        for process in _PROC.glob("[0-9]*"):
            with suppress(OSError):  # gone meanwhile, or somebody else's
                if wanted in (process / "environ").read_bytes():
                    found.append(int(process.name))
        return found

    def wait(self, find: Callable[[], _Found | None], until: str, *, seconds: float) -> _Found:
        """Return what is found once it is.

        Raises:
            DrillStuckError: it was not in time.
            DrillProcessError: `opsmeter up` ended meanwhile.
        """
        deadline = time.monotonic() + seconds
        while not (found := find()):
            if self._up and self._up.poll() is not None:
                raise DrillProcessError("up", (self.folder / _LOG).read_text(errors="replace"))
            if time.monotonic() > deadline:
                raise DrillStuckError(until, seconds)
            time.sleep(_POLL_SECONDS)
        return found

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.page_port}/healthz", timeout=5):
                return True
        except OSError:
            return False

    def _environment(self) -> dict[str, str]:
        own = {name: text for name, text in os.environ.items() if not name.startswith(_FOREIGN)}
        return own | {"OPSMETER_HOME": str(self.home), "TMPDIR": str(self._temporary)}


def kill(pid: int) -> None:
    """SIGKILL a process; nothing if it is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@contextmanager
def _uninterrupted() -> Generator[None]:
    """Take no notice of an interrupt or a termination until the block ends."""
    before = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def can_find_processes() -> bool:
    """Return whether this system tells which processes a home has."""
    return (_PROC / "self" / "environ").exists()


def _find_free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
