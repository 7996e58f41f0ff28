"""A service without keys answers nobody's web page but its own, and only by the names of its machine."""

from __future__ import annotations

import socket

import httpx
import pytest

from jobs.connection import connect
from jobs.settings import Settings
from jobs.tenants.api_keys import ApiKeys
from tests.service.conftest import Announce, Form, assert_problem, serving

FOREIGN = ["example.com", "127.0.0.1.example.com", "example.com:80", "169.254.1.1", "[2001:db8::1]", "a[b", "x", ""]
OWN = ["127.0.0.1", "127.0.0.1:8000", "localhost", "LOCALHOST:80", "a.localhost", "[::1]", "[::1]:8000", "127.9.9.9"]


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("path", ["/", "/v1/edits", "/livez", "/openapi.json"])
def test_dns_rebinding_is_rejected(host: str, path: str, client: httpx.Client) -> None:
    problem = assert_problem(client.get(path, headers={"Host": host}), 421, "foreign_host")
    assert "MAGEDIT_AUTH=keys" in problem["detail"]


@pytest.mark.parametrize("host", OWN)
def test_local_host_names_are_accepted(host: str, client: httpx.Client) -> None:
    assert client.get("/v1/edits", headers={"Host": host}).status_code == 200


def test_a_request_without_host_is_not_from_a_browser(client: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as raw:
        raw.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.com"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_cross_origin_writes_are_rejected(headers: dict[str, str], client: httpx.Client, form: Form) -> None:
    edit_id = form.send(client).json()["id"]
    assert_problem(form.send(client, headers), 403, "foreign_origin")
    assert_problem(client.put(f"/v1/edits/{edit_id}/cancel", headers=headers), 403, "foreign_origin")
    assert_problem(client.delete(f"/v1/edits/{edit_id}", headers=headers), 403, "foreign_origin")
    # A link from there is no harm.
    edits = client.get("/v1/edits", headers=headers).json()["edits"]
    assert [(edit["id"], edit["state"]) for edit in edits] == [(edit_id, "queued")]


def test_same_origin_writes_are_accepted(client: httpx.Client, form: Form) -> None:
    own = {"Origin": str(client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    assert form.send(client, own).status_code == 202


def test_with_keys_required_any_host_is_accepted(settings: Settings, announce: Announce, form: Form) -> None:
    announce()
    with connect(settings) as redis, serving(settings.model_copy(update={"auth": "keys"})) as client:
        _, key = ApiKeys(redis).create("acme")
        asked = {"Authorization": f"Bearer {key}", "Host": "example.com", "Origin": "https://example.org"}
        assert form.send(client, asked).status_code == 202


def test_anonymous_access_can_be_allowed(settings: Settings, announce: Announce, form: Form) -> None:
    announce()
    with serving(settings.model_copy(update={"allow_anonymous": True})) as client:
        assert form.send(client, {"Host": "example.com", "Origin": "https://example.org"}).status_code == 202
