"""Whether a port can be served on, and who has it if not.

Asked before anything is started: Dagster would say so in one line among its ticks, and go on
without the UI.
"""

import errno
import socket
from pathlib import Path

from opsmeter_pipeline.model.errors import PortError

_LISTENING = "0A"


UI_OPTIONS = "--port or OPSMETER_PORT"


def require_free_port(host: str, port: int, *, options: str = UI_OPTIONS) -> None:
    """Return if a server can listen there.

    Args:
        host: address or name to listen on.
        port: the port.
        options: how another port is chosen, for the error.

    Raises:
        PortError: it cannot; the text names the process that has the port, where the system tells.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as exc:
        why = f"cannot be used: {exc.strerror}"
        raise PortError(host, port, why=why, options=options) from exc
    with socket.socket(family, kind, protocol) as probe:
        # As servers do: connections of one that has just stopped are not in the way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as exc:
            is_taken = exc.errno == errno.EADDRINUSE
            why = (
                f"is taken by {_find_listener(port)}"
                if is_taken
                else f"cannot be used: {exc.strerror}"
            )
            raise PortError(host, port, why=why, options=options) from exc


def _find_listener(port: int) -> str:
    """Return the process that listens on a port as `/proc` knows it, which not every system has."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(file.readlink()) in sockets for file in (process / "fd").iterdir()):
                command = (process / "cmdline").read_text().replace("\0", " ").strip()
                return f"process {process.name} ({command[:80]})"
        except OSError:  # gone meanwhile, or somebody else's
            continue
    return "another process"


def _listening_inodes(port: int) -> set[str]:
    found: set[str] = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            rows = [line.split() for line in table.read_text().splitlines()[1:]]
            found |= {row[9] for row in rows
                      if row[1].endswith(f":{port:04X}") and row[3] == _LISTENING}  # fmt: skip
    return found
