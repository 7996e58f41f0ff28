"""Host and origin checks of a service that runs without API keys.

Without keys anyone who reaches the service may use it: on one machine, its users and their browsers.

A foreign page can make a browser send requests to loopback: through a host name that resolves there (DNS rebinding; the
request's Host is that name), or by a form or script that cannot read the response (cross-site request forgery; the
request's Origin is that page's, or `Sec-Fetch-Site` says so; Fetch Metadata Request Headers, 2.2; OWASP, "Cross-Site
Request Forgery Prevention"). Neither can send a key, so with keys required these checks are off.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from jobs.settings import Settings
from jobs.settings.front_end import is_loopback
from service.errors import ForeignHost, ForeignOrigin, RequestError
from service.problems.responses import error_response

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Safe methods (RFC 9110, 9.2.1)."""

CURE = "set MAGEDIT_AUTH=keys, or MAGEDIT_ALLOW_ANONYMOUS=true if anyone who reaches the service may have full access"


class LocalMiddleware:
    """Refuses requests that foreign pages make a local browser send."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self.app = app
        self.guards = settings.auth == "off" and not settings.allow_anonymous

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.guards and scope["type"] == "http":
            try:
                self._check(scope["method"], Headers(scope=scope))
            except RequestError as error:
                await error_response(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _check(self, method: str, headers: Headers) -> None:
        """Raises ForeignHost, ForeignOrigin."""
        host = headers.get("host")
        # Browsers always send one.
        if host is not None and not _is_here(_name(host)):
            raise ForeignHost(
                f"the request is for {host[:100]!r}, but this service is for its own machine only: {CURE}"
            )
        if method in SAFE:
            return
        origin = headers.get("origin")
        if origin is not None and _authority(origin) != (host or "").lower():
            raise ForeignOrigin(f"pages of {origin[:100]!r} may not change anything here: {CURE}")
        if headers.get("sec-fetch-site") == "cross-site":
            raise ForeignOrigin(f"foreign pages may not change anything here: {CURE}")


def _is_here(name: str) -> bool:
    # Browsers do not look up names below `localhost` (RFC 6761, 6.3). The address it listens on is loopback too.
    return is_loopback(name) or name.endswith(".localhost")


def _name(host: str) -> str:
    """The name or address in a Host, without its port; empty if unreadable."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _authority(origin: str) -> str:
    """Name and port of an Origin; empty for `null` and invalid ones."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
