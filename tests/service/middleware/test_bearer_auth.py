"""Keys over HTTP: who gets in. The matrices are made from the app's own routes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from redis import Redis

from jobs.errors import QueueUnavailable
from jobs.settings import Settings
from jobs.tenants.api_keys import CALLER_SCOPES, SCOPES, ApiKey, ApiKeys, Scope
from jobs.tenants.limits import Limits
from service.app import create_app
from service.errors import InvalidKey
from service.middleware.auth import GUARDED
from service.middleware.bearer_auth import Authenticator
from service.openai.form import PATH as IMAGES
from tests.conftest import free_port, wait_until
from tests.service.conftest import assert_problem, serving

OPEN = {"/livez", "/readyz", "/readyz/workers", "/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc", "/"}
OPEN_BELOW = "/page/"
"""What everybody may ask for. A route that is neither here nor below `GUARDED` fails a test."""


def is_open(path: str) -> bool:
    """Whether everybody may ask for it."""
    return path in OPEN or path.startswith(OPEN_BELOW)


UNKNOWN = "0" * 32
ROUTES = [
    (method, context.path or "")
    for context in iter_route_contexts(create_app(Settings()).routes)
    for method in sorted(context.methods or ())
]
GUARDED_ROUTES = [(method, path) for method, path in ROUTES if not is_open(path)]


def assert_refused(response: httpx.Response, path: str, status: int, code: str) -> str:
    """A problem document, or an error in the shape of the API that the path is of; its detail."""
    if path != IMAGES:
        return str(assert_problem(response, status, code)["detail"])
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    return str(error["message"])


def address(path: str, edit_id: str = UNKNOWN) -> str:
    """A path with its parameters filled in."""
    path = path.replace("{edit_id}", edit_id).replace("{mask_id}", edit_id)
    return path.replace("{number}", "0").replace("{name}", "attention-after-0.png")


@dataclass
class Keyring:
    """Makes keys of the service under test."""

    client: httpx.Client
    api_keys: ApiKeys

    def headers(self, tenant: str = "acme", scopes: tuple[Scope, ...] = CALLER_SCOPES) -> dict[str, str]:
        """What a caller with a key of its own sends."""
        return {"Authorization": f"Bearer {self.api_keys.create(tenant, scopes)[1]}"}


@pytest.fixture
def settings(locked_settings: Settings, redis_url: str) -> Settings:
    assert redis_url == locked_settings.redis_url
    return locked_settings


@pytest.fixture
def keyring(locked: httpx.Client, settings: Settings) -> Iterator[Keyring]:
    with Redis.from_url(settings.redis_url) as redis:
        yield Keyring(locked, ApiKeys(redis))


def test_every_route_is_guarded_or_open_on_purpose() -> None:
    for _, path in GUARDED_ROUTES:
        assert any(path == each or path.startswith(each + "/") for each in GUARDED), path


@pytest.mark.parametrize(("method", "path"), GUARDED_ROUTES)
def test_requests_without_a_key_are_rejected(method: str, path: str, keyring: Keyring) -> None:
    response = keyring.client.request(method, address(path))
    assert_refused(response, path, 401, "not_authenticated")
    assert response.headers["www-authenticate"] == 'Bearer realm="magedit"'
    wrong = {"Authorization": "Bearer mge_" + "0" * 16 + "_" + "0" * 64}
    response = keyring.client.request(method, address(path), headers=wrong)
    assert_refused(response, path, 401, "invalid_token")
    assert response.headers["www-authenticate"] == 'Bearer realm="magedit", error="invalid_token"'


@pytest.mark.parametrize(("method", "path"), GUARDED_ROUTES)
def test_a_key_grants_only_its_scopes(method: str, path: str, keyring: Keyring) -> None:
    response = keyring.client.request(method, address(path), headers=keyring.headers(scopes=()))
    detail = assert_refused(response, path, 403, "insufficient_scope")
    (needed,) = [scope for scope in SCOPES if scope in detail]
    assert f'error="insufficient_scope", scope="{needed}"' in response.headers["www-authenticate"]
    others = tuple(scope for scope in SCOPES if scope != needed)
    assert keyring.client.request(method, address(path), headers=keyring.headers(scopes=others)).status_code == 403
    granted = keyring.client.request(method, address(path), headers=keyring.headers(scopes=(needed,)))
    assert granted.status_code not in {401, 403}


@pytest.mark.parametrize("value", ["", "Bearer", "Basic dXNlcjpwYXNz", "Bearer  x", "Bearer mge_x_y", "Bearer \xff"])
def test_malformed_credentials_are_rejected(value: str, keyring: Keyring) -> None:
    response = keyring.client.get("/v1/edits", headers=[(b"authorization", value.encode("latin-1"))])
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"


def test_valid_id_with_wrong_secret_is_rejected(keyring: Keyring) -> None:
    _, token = keyring.api_keys.create("acme")
    forged = token[:-64] + "0" * 64
    assert_problem(keyring.client.get("/v1/edits", headers={"Authorization": f"Bearer {forged}"}), 401, "invalid_token")
    # The kind of credentials is spelled in any case (RFC 9110, 11.1).
    assert keyring.client.get("/v1/edits", headers={"Authorization": f"bEARER {token}"}).status_code == 200


def test_revoked_and_expired_keys_are_rejected(keyring: Keyring) -> None:
    key, token = keyring.api_keys.create("acme")
    headers = {"Authorization": f"Bearer {token}"}
    assert keyring.client.get("/v1/edits", headers=headers).status_code == 200
    keyring.api_keys.revoke(key.id)
    revoked = assert_problem(keyring.client.get("/v1/edits", headers=headers), 401, "invalid_token")
    _, late = keyring.api_keys.create("acme", expires_in_s=-1)
    expired = keyring.client.get("/v1/edits", headers={"Authorization": f"Bearer {late}"})
    assert assert_problem(expired, 401, "invalid_token") == revoked


def test_last_use_is_recorded(keyring: Keyring) -> None:
    keyring.client.get("/v1/edits", headers=keyring.headers())
    (key,) = keyring.api_keys.list()
    assert key.last_used_at is not None


def test_rejection_does_not_wait_for_the_body(keyring: Keyring) -> None:
    url = keyring.client.base_url
    with socket.create_connection((url.host, url.port or 80), 10) as raw:
        raw.sendall(b"POST /v1/edits HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 401")


def test_missing_scope_is_rejected_before_the_body_is_read(keyring: Keyring) -> None:
    url, headers = keyring.client.base_url, keyring.headers(scopes=("edits:read",))
    with socket.create_connection((url.host, url.port or 80), 10) as raw:
        head = f"POST /v1/edits HTTP/1.1\r\nHost: x\r\nAuthorization: {headers['Authorization']}\r\n"
        raw.sendall(f"{head}Content-Length: 1048576\r\n\r\n".encode())
        answer = raw.recv(10000)
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"insufficient_scope" in answer
    assert b"ratelimit: " in answer.lower()


@pytest.fixture
def api_keys(settings: Settings) -> Iterator[ApiKeys]:
    with Redis.from_url(settings.redis_url) as redis:
        yield ApiKeys(redis)


class Counting(ApiKeys):
    """Counts how often Redis is asked."""

    asked = 0

    def look_up(self, key_id: str) -> tuple[ApiKey | None, float]:
        self.asked += 1
        return super().look_up(key_id)


def test_cached_key_needs_no_redis_call(settings: Settings) -> None:
    with Redis.from_url(settings.redis_url) as redis:
        api_keys = Counting(redis)
        _, token = api_keys.create("acme")
        unknown = "mge_" + "0" * 16 + "_" + "0" * 64
        authenticator = Authenticator(api_keys, cache_s=60, default_limits=Limits())
        for _ in range(3):
            assert authenticator.caller(token).tenant == "acme"
            for wrong in (unknown, token[:-64] + "0" * 64):
                with pytest.raises(InvalidKey):
                    authenticator.caller(wrong)
        assert api_keys.asked == 2


def opens(authenticator: Authenticator, token: str) -> bool:
    """Whether the key lets somebody in."""
    try:
        authenticator.caller(token)
    except InvalidKey:
        return False
    return True


def test_revocation_takes_effect_when_the_cache_expires(api_keys: ApiKeys) -> None:
    authenticator = Authenticator(api_keys, cache_s=0.3, default_limits=Limits())
    key, token = api_keys.create("acme")
    authenticator.caller(token)
    api_keys.revoke(key.id)
    wait_until(lambda: not opens(authenticator, token))


def test_cached_key_still_expires(api_keys: ApiKeys) -> None:
    authenticator = Authenticator(api_keys, cache_s=300, default_limits=Limits())
    # Long enough for this machine to remember it before.
    for expires_in_s in (0.5, 5.0, 60.0):
        _, token = api_keys.create("acme", expires_in_s=expires_in_s)
        if opens(authenticator, token):
            break
    else:
        pytest.fail("it never opened")
    wait_until(lambda: not opens(authenticator, token))


def test_without_redis_every_request_is_rejected() -> None:
    with Redis.from_url(f"redis://127.0.0.1:{free_port()}") as redis:
        authenticator = Authenticator(ApiKeys(redis), cache_s=60, default_limits=Limits())
        with pytest.raises(QueueUnavailable):
            authenticator.caller("mge_" + "0" * 16 + "_" + "0" * 64)


def test_rejected_requests_count_under_their_route(keyring: Keyring) -> None:
    keyring.client.get("/v1/edits/0190/result")
    _, token = keyring.api_keys.create("acme", SCOPES, limits=Limits(requests_per_minute=1))
    headers = {"Authorization": f"Bearer {token}"}
    assert [keyring.client.get("/v1/methods", headers=headers).status_code for _ in range(2)] == [200, 429]
    text = keyring.client.get("/metrics", headers=keyring.headers("ops", SCOPES)).text
    for route, status in (("/v1/edits/{edit_id}/result", 401), ("/v1/methods", 429)):
        assert f'magedit_http_requests_total{{method="GET",route="{route}",status="{status}"}}' in text


def test_metrics_can_be_open(settings: Settings) -> None:
    with serving(settings.model_copy(update={"metrics_open": True})) as client:
        assert client.get("/metrics").status_code == 200
        assert client.get("/v1/edits").status_code == 401
