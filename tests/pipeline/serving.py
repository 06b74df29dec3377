"""Serves a home's page to a test, and asks it as a client does."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from opsmeter_pipeline.dashboard.app import build_app
from opsmeter_pipeline.dashboard.server import configure
from opsmeter_pipeline.settings import Settings


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Client:
    port: int

    def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method, headers=named
        )
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read().decode())
        except urllib.error.HTTPError as exc:
            with exc:
                return Answer(exc.code, dict(exc.headers), exc.read().decode())


@contextmanager
def serving(settings: Settings, **options: Any) -> Iterator[Client]:
    """Serve a home on a free loopback port, by a thread of this process."""
    app = build_app(settings, host="127.0.0.1", **options)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(configure(app, host="127.0.0.1", port=0))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield Client(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()
