"""Who may ask: the secret, the host, and what every answer says to browsers.

The outermost part of the server, so that no answer leaves without its headers, refusals and
failures included. What is asked for is none of its business.
"""

import ipaddress
import secrets
from collections.abc import Callable

from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from opsmeter_pipeline.model.dashboard_errors import DashboardTokenError

MIN_TOKEN_CHARACTERS = 32
OPEN_PATHS = ("/healthz",)
"""Paths that need no token: whether the process is alive is no secret."""
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1", "[::1]")
"""Names by which a browser on this machine may ask. Any other is a page of somebody else that lets
its own name point here (DNS rebinding)."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_UNAUTHORISED = (
    "This needs the header `Authorization: Bearer TOKEN`, with the token of "
    "OPSMETER_DASHBOARD_TOKEN on the server.\n"
)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server that listens there.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "db.internal")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_token(token: SecretStr | None, *, host: str) -> str | None:
    """Return the token that requests must bear, or None if none is set and none is needed.

    Raises:
        DashboardTokenError: one is needed and not set, or it is too weak.
    """
    if token is None:
        if is_loopback(host):
            return None
        why = f"Serving on {host!r}, which others can reach, needs a token."
        raise DashboardTokenError(why, needed=MIN_TOKEN_CHARACTERS)
    text = token.get_secret_value()
    if len(text) < MIN_TOKEN_CHARACTERS:
        why = f"The token has {len(text)} characters."
        raise DashboardTokenError(why, needed=MIN_TOKEN_CHARACTERS)
    if not (text.isascii() and text.isprintable()) or " " in text:
        why = "The token has characters that no header carries."
        raise DashboardTokenError(why, needed=MIN_TOKEN_CHARACTERS)
    return text


class Guard:
    """An application whose requests are checked and whose answers carry the headers.

    Args:
        app: what answers.
        host: where it is served; on loopback only names of this machine may be asked for.
        token: what requests must bear; None if nothing.
        count: is told the status of each answer.
    """

    def __init__(
        self, app: ASGIApp, *, host: str, token: str | None, count: Callable[[Scope, int], None]
    ) -> None:
        """Put the checks before the application."""
        hosts = [*LOOPBACK_HOSTS, host.lower()] if is_loopback(host) else ["*"]
        self._app = TrustedHostMiddleware(app, allowed_hosts=hosts, www_redirect=False)
        self._token, self._count = token, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
                self._count(scope, message["status"])
            await send(message)

        allowed = scope["path"] in OPEN_PATHS or self._is_borne(Headers(scope=scope))
        refusal = PlainTextResponse(_UNAUTHORISED, 401, {"WWW-Authenticate": "Bearer"})
        await (self._app if allowed else refusal)(scope, receive, send_with_headers)

    def _is_borne(self, headers: Headers) -> bool:
        """Return whether the request has the token, in a time that tells nothing of it."""
        if self._token is None:
            return True
        scheme, _, borne = headers.get("authorization", "").partition(" ")
        is_same = secrets.compare_digest(borne.strip().encode(), self._token.encode())
        return scheme.lower() == "bearer" and is_same
