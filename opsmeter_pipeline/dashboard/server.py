"""Serves the page with uvicorn until it is told to stop."""

import uvicorn
from starlette.types import ASGIApp

_MAX_CONNECTIONS = 64
_STOP_SECONDS = 10


def serve(app: ASGIApp, *, host: str, port: int) -> None:
    """Serve until an interrupt; what is under way is finished first.

    One process with threads: DuckDB works on several cores by itself.
    """
    uvicorn.Server(configure(app, host=host, port=port)).run()


def configure(app: ASGIApp, *, host: str, port: int) -> uvicorn.Config:
    """Return how an application is served."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing is decided by where a request says it is from
        ws="none",
        limit_concurrency=_MAX_CONNECTIONS,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
