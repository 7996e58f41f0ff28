"""Authentication and request rates, checked before the request body is read.

Every path below `GUARDED` needs a key; all others are open. A route's dependency (`service.deps`) names the scope that
the key must have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from redis import Redis
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobs.errors import JobError
from jobs.settings import Settings
from jobs.tenants.api_keys import ApiKeys
from jobs.tenants.api_keys import Scope as KeyScope
from jobs.tenants.limits import RateLimiter
from service.edits.views import EDITS
from service.errors import NoKey, RequestError, ScopeMissing
from service.masks.views import MASKS
from service.middleware.bearer_auth import LOCAL, SCRAPER, Authenticator, Caller
from service.middleware.rate_limits import acquire, default_limits, rates_of
from service.openai.form import PATH as IMAGES
from service.problems.responses import error_response

GUARDED = ("/v1", "/metrics")
"""First parts of the paths that need a key."""

BODY_SCOPES: Mapping[str, KeyScope] = MappingProxyType(
    {EDITS: "edits:write", f"{EDITS}/resolve": "edits:read", IMAGES: "edits:write", MASKS: "edits:write"}
)
"""Required scope of each route whose POST reads a body before its dependencies run."""


@dataclass(frozen=True, kw_only=True)
class Gatekeeper:
    """Authenticates and rate-limits requests. Safe to share between threads."""

    authenticator: Authenticator
    limiter: RateLimiter

    @classmethod
    def of(cls, redis: Redis, settings: Settings) -> Gatekeeper:
        """The gate of a front end."""
        authenticator = Authenticator(
            ApiKeys(redis), cache_s=settings.key_cache_s, default_limits=default_limits(settings)
        )
        return cls(authenticator=authenticator, limiter=RateLimiter(redis))

    def enter(self, token: str, *, submits: bool) -> tuple[Caller, Mapping[str, str]]:
        """The caller, and the headers of the response. Raises InvalidKey, RateLimited, QueueUnavailable."""
        caller = self.authenticator.caller(token)
        return caller, acquire(self.limiter, caller.tenant, rates_of(caller.limits, submits=submits))


class AuthMiddleware:
    """Puts the `Caller` into the request's state, or responds with 401 or 429."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self.app = app
        self.asks = settings.auth == "keys"
        self.metrics_open = settings.metrics_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        caller: Caller | None = LOCAL
        headers: Mapping[str, str] = {}
        app = self.app
        if self.asks:
            try:
                caller, headers = await self._enter(scope)
            except (RequestError, JobError) as error:
                await error_response(error)(scope, receive, send)
                return
            # Checked here as well as in the route, which has read the whole body by then.
            needed = BODY_SCOPES.get(scope["path"]) if scope["method"] == "POST" else None
            if caller is not None and needed is not None and needed not in caller.scopes:
                app = error_response(ScopeMissing(needed))
        scope.setdefault("state", {})["caller"] = caller

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await app(scope, receive, send_with_headers if headers else send)

    async def _enter(self, scope: Scope) -> tuple[Caller | None, Mapping[str, str]]:
        """The caller; None: the address is open."""
        path: str = scope["path"]
        if not any(path == each or path.startswith(each + "/") for each in GUARDED):
            return None, {}
        if path == "/metrics" and self.metrics_open:
            return SCRAPER, {}
        kind, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            raise NoKey
        gate: Gatekeeper = scope["app"].state.gate
        return await run_in_threadpool(gate.enter, token.strip(), submits=_submits(scope))


def _submits(scope: Scope) -> bool:
    return bool(scope["method"] == "POST" and scope["path"] in {EDITS, IMAGES})
