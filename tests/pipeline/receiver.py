"""A webhook on loopback that keeps what it is sent, and can refuse, hang, or count beats."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """What arrived.

    Attributes:
        port: where it listens.
        letters: the JSON documents that were posted, each with its headers.
        beats: paths of the GET requests.
        status: what it answers.
        answers: cleared, it takes letters and never answers.
    """

    port: int = 0
    letters: list[dict] = field(default_factory=list)
    headers: list[dict] = field(default_factory=list)
    beats: list[str] = field(default_factory=list)
    status: int = 200
    answers: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/t0ps3cret?cto=2&rto=60"

    def told(self) -> list[tuple[str, str]]:
        """Return kind and message id of each letter, in the order of arrival."""
        return [(one["kind"], one["message_id"]) for one in self.letters]


@contextmanager
def receive() -> Iterator[Receiver]:
    """Serve a webhook until the block ends."""
    receiver = Receiver()
    receiver.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.letters.append(json.loads(body))
            receiver.headers.append(dict(self.headers))
            receiver.arrived.set()
            receiver.answers.wait(30)
            self._answer()

        def do_GET(self) -> None:
            receiver.beats.append(self.path)
            self._answer()

        def _answer(self) -> None:
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.answers.set()
        server.shutdown()
        server.server_close()
        thread.join()
