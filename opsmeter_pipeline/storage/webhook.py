"""A webhook on loopback that keeps what it is sent: the person, or the service, that is told.

Drills listen with it, so that what they report as told has gone over the wire. It answers every
request with 200 and serves nothing.
"""

import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opsmeter_pipeline.model.clock import utc_now


@dataclass(frozen=True)
class Arrived:
    """A message that arrived.

    Attributes:
        at: when (UTC).
        message: the JSON document that was posted.
    """

    at: datetime
    message: Mapping[str, str]


@dataclass
class Webhook:
    """What arrived, oldest first.

    Attributes:
        port: where it listens.
        arrived: the messages.
        beats: when the heartbeat was called (UTC).
    """

    port: int
    arrived: list[Arrived] = field(default_factory=list[Arrived])
    beats: list[datetime] = field(default_factory=list[datetime])

    @property
    def url(self) -> str:
        """Its address as a setting of the alerts names it."""
        return f"json://127.0.0.1:{self.port}/alerts"

    @property
    def heartbeat_url(self) -> str:
        """Its address for the heartbeat."""
        return f"http://127.0.0.1:{self.port}/alive"


@contextmanager
def listen() -> Generator[Webhook]:
    """Serve a webhook on a free port until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    webhook = Webhook(server.server_port)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            webhook.arrived.append(Arrived(utc_now(), json.loads(body)))
            self._answer()

        def do_GET(self) -> None:
            webhook.beats.append(utc_now())
            self._answer()

        def _answer(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Say nothing."""

    server.RequestHandlerClass = Handler
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield webhook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
