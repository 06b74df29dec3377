"""The server's paths, and what is sent when one fails. A new path's method stands in `handlers`.

Only GET and HEAD are answered; nothing that is asked for changes anything but `first_served`.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from opsmeter_pipeline.dashboard.access import Guard, require_token
from opsmeter_pipeline.dashboard.answers import VIEW_NAMES
from opsmeter_pipeline.dashboard.handlers import Handlers
from opsmeter_pipeline.dashboard.reader import LIMIT_SECONDS
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.dashboard_errors import (
    ParameterError,
    PausedError,
    UnknownParameterError,
)
from opsmeter_pipeline.model.errors import OpsmeterError
from opsmeter_pipeline.settings import Settings

_ENDPOINT = "/api/v1/endpoints/"
_RETRY_SECONDS = 5


def build_app(
    settings: Settings,
    *,
    host: str,
    limit_seconds: float = LIMIT_SECONDS,
    now: Callable[[], datetime] = utc_now,
) -> ASGIApp:
    """Return the server's application for a home; nothing is opened before the first request.

    Args:
        settings: of the home; the landing it belongs to and the token are read from them.
        host: where it will be served; decides whether a token is needed.
        limit_seconds: how long one answer may read.
        now: the clock.

    Raises:
        DashboardTokenError: the token is missing where it is needed, or too weak.
    """
    token = require_token(settings.dashboard_token, host=host)
    handlers = Handlers(settings, limit_seconds=limit_seconds, now=now)
    routes = _list_routes(handlers)
    fixed = {route.path for route in routes}

    def count(scope: Scope, status: int) -> None:
        path = scope["path"]
        other = f"{_ENDPOINT}..." if path.startswith(_ENDPOINT) else "other"
        handlers.requests.add(path if path in fixed else other, status)

    @asynccontextmanager
    async def run(_: Starlette) -> AsyncGenerator[None]:
        yield
        handlers.close()

    app = Starlette(routes=routes, exception_handlers=_list_failures(handlers), lifespan=run)
    app.router.redirect_slashes = False  # a redirect would name the host of the request
    return Guard(app, host=host, token=token, count=count)


def _list_routes(handlers: Handlers) -> list[Route]:
    views = [f"/api/v1/{view.replace('_', '-')}" for view in VIEW_NAMES]
    return [
        Route("/", handlers.show_page, methods=["GET"]),
        *(Route(path, handlers.tell_view, methods=["GET"]) for path in views),
        Route(f"{_ENDPOINT}{{endpoint:path}}", handlers.tell_endpoint, methods=["GET"]),
        Route("/api/v1/freshness", handlers.tell_freshness, methods=["GET"]),
        Route("/healthz", handlers.tell_alive, methods=["GET"]),
        Route("/readyz", handlers.tell_ready, methods=["GET"]),
        Route("/diagnostics", handlers.tell_diagnostics, methods=["GET"]),
        Route("/metrics", handlers.tell_metrics, methods=["GET"]),
        Route("/static/page.css", handlers.send_styles, methods=["GET"]),
    ]


def _list_failures(
    handlers: Handlers,
) -> dict[type[Exception], Callable[[Request, Exception], Response]]:
    """Return what is sent for each kind of failure; the most special one counts."""

    def send(request: Request, status: int, text: str) -> Response:
        response = (
            JSONResponse({"error": text}, status)
            if _path_of(request).startswith("/api/")
            else handlers.render(
                "error.html", {"title": HTTPStatus(status).phrase, "text": text}, status=status
            )
        )
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            response.headers["Retry-After"] = str(_RETRY_SECONDS)
        return response

    def refuse(request: Request, exc: Exception) -> Response:
        return send(request, 400, str(exc))

    def miss(request: Request, exc: Exception) -> Response:
        status = exc.status_code if isinstance(exc, HTTPException) else 404
        response = send(request, status, f"{HTTPStatus(status).phrase}: {_path_of(request)[:200]}")
        response.headers.update(getattr(exc, "headers", None) or {})
        return response

    def postpone(request: Request, exc: Exception) -> Response:
        handlers.report(str(exc))
        return send(request, 503, str(exc))

    def pause(request: Request, exc: Exception) -> Response:
        return send(request, 503, str(exc))

    def fail(request: Request, exc: Exception) -> Response:
        handlers.report(f"{_path_of(request)[:200]}: {type(exc).__name__}: {exc}")
        return send(request, 500, "This is a bug; the server's own output says more.")

    return {
        ParameterError: refuse,
        UnknownParameterError: refuse,
        PausedError: pause,
        OpsmeterError: postpone,
        HTTPException: miss,
        Exception: fail,
    }


def _path_of(request: Request) -> str:
    """Return the path that was asked for; that of `request.url` depends on the Host header."""
    return request.scope["path"]
