"""Live, ready, measured."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from jobs.settings import Settings
from service.readiness import Readiness
from tests.conftest import free_port
from tests.service.conftest import Announce, Form, assert_problem, serving


def test_live_and_ready_with_all_dependencies(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"status": "ok"}
    assert client.get("/readyz").json() == client.get("/readyz/workers").json() == {"status": "ok"}


def test_without_a_worker_the_service_is_ready_and_reports_it(settings: Settings, announce: Announce) -> None:
    announce(ttl_s=-1)
    with serving(settings) as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/readyz").status_code == 200
        response = client.get("/readyz/workers")
        assert_problem(response, 503, "service_not_ready", "worker")
        assert int(response.headers["retry-after"]) >= 1


def test_every_unavailable_dependency_is_named(settings: Settings) -> None:
    away = {
        "redis_url": f"redis://127.0.0.1:{free_port()}/0",
        "redis_retries": 0,
        "storage_url": "s3://bucket",
        "s3_endpoint": f"http://127.0.0.1:{free_port()}",
        "s3_access_key_id": "key",
        "s3_secret_access_key": SecretStr("secret"),
        "storage_retries": 0,
    }
    with serving(settings.model_copy(update=away)) as client:
        assert client.get("/livez").status_code == 200
        for address in ("/readyz", "/readyz/workers"):
            response = client.get(address)
            assert response.status_code == 503
            assert [error["field"] for error in response.json()["errors"]] == ["redis", "storage"]
        assert "magedit_redis_up 0.0" in client.get("/metrics").text


def hanging() -> socket.socket:
    """Takes connections and never says anything; breaks them off when it is closed."""
    return socket.create_server(("127.0.0.1", 0), backlog=512)


@pytest.fixture
def hanging_storage(settings: Settings) -> Iterator[tuple[socket.socket, Settings]]:
    """A storage that hangs, and the settings of a service with it."""
    with hanging() as listener:
        storage = {
            "storage_url": "s3://bucket",
            "s3_endpoint": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "s3_access_key_id": "key",
            "s3_secret_access_key": SecretStr("secret"),
            "storage_timeout_s": 600.0,
            "storage_retries": 0,
        }
        yield listener, settings.model_copy(update=storage)


def test_hanging_dependency_does_not_delay_others(
    hanging_storage: tuple[socket.socket, Settings], announce: Announce, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce()
    monkeypatch.setattr(Readiness.__init__, "__kwdefaults__", {"patience_s": 600.0})
    listener, settings = hanging_storage
    with serving(settings) as client, ThreadPoolExecutor(60) as pool:
        # More than there are threads for requests.
        asked = [pool.submit(client.get, "/readyz") for _ in range(60)]
        for path in ("/livez", "/v1/models"):
            assert client.get(path).status_code == 200
        assert not any(each.done() for each in asked)
        listener.close()
        for each in asked:
            assert_problem(each.result(), 503, "service_not_ready", "storage")


def test_hanging_storage_is_reported_before_its_own_timeout(
    hanging_storage: tuple[socket.socket, Settings], announce: Announce
) -> None:
    announce()
    with serving(hanging_storage[1]) as client:
        problem = client.get("/readyz").json()
        assert "no response within 2.5 s" in problem["detail"]
        assert "storage" in [error["field"] for error in problem["errors"]]


def test_hanging_redis_is_reported_before_its_own_timeout(settings: Settings) -> None:
    with hanging() as listener:
        away = {"redis_url": f"redis://127.0.0.1:{listener.getsockname()[1]}/0", "redis_timeout_s": 600.0}
        with serving(settings.model_copy(update=away)) as client:
            problem = client.get("/readyz").json()
            assert "no response within 2.5 s" in problem["detail"]
            assert "redis" in [error["field"] for error in problem["errors"]]
            # Else the end of the front end waits for it.
            listener.close()


def test_metrics_by_route(client: httpx.Client, form: Form) -> None:
    edit_id = form.send(client).json()["id"]
    for _ in range(2):
        client.get(f"/v1/edits/{edit_id}")
    client.get("/nowhere/at/all")
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }

    def requests(method: str, route: str, status: str) -> float:
        labels = (("method", method), ("route", route), ("status", status))
        return samples[("magedit_http_requests_total", labels)]

    assert requests("POST", "/v1/edits", "202") >= 1
    assert requests("GET", "/v1/edits/{edit_id}", "200") >= 2
    assert requests("GET", "unmatched", "404") >= 1
    assert samples[("magedit_queue_depth", (("model", "demo"), ("priority", "normal")))] == 1
    assert samples[("magedit_workers", (("model", "demo"),))] == 1
    assert samples[("magedit_redis_up", ())] == 1
    assert edit_id not in response.text
