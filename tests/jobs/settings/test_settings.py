from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from jobs.settings import Settings, unknown_variables


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGEDIT_LEASE_S", "7.5")
    monkeypatch.setenv("MAGEDIT_STATE_DIR", "/var/lib/magedit")
    settings = Settings()
    assert settings.lease_s == 7.5
    assert settings.state_dir == Path("/var/lib/magedit")


@pytest.mark.parametrize(
    ("name", "value"), [("device", "gpu"), ("model", "a b"), ("threads", "0"), ("dtype", "int8"), ("lease_s", "0")]
)
def test_invalid_combinations_are_rejected(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"MAGEDIT_{name.upper()}", value)
    with pytest.raises(ValidationError, match=name):
        Settings()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    assert Settings(api_host=host).auth == "off"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", "localhost.example.org", ""])
def test_a_public_address_requires_keys(host: str) -> None:
    with pytest.raises(ValidationError, match="MAGEDIT_AUTH=keys"):
        Settings(api_host=host)
    assert Settings(api_host=host, auth="keys").api_host == host
    assert Settings(api_host=host, allow_anonymous=True).auth == "off"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().lease_s = 1.0


def test_every_field_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_repr_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGEDIT_REDIS_URL", "redis://:hidden@127.0.0.1/0")
    monkeypatch.setenv("MAGEDIT_S3_SECRET_ACCESS_KEY", "hidden")
    assert "hidden" not in repr(Settings())


def test_unknown_variables_are_named() -> None:
    environment = {
        "MAGEDIT_REDIS_ULR": "",
        "MAGEDIT_JJJJJJ": "",
        "MAGEDIT_API_KEY": "",
        "magedit_device": "",
        "HOME": "",
    }
    assert unknown_variables(environment) == [
        "the variable MAGEDIT_JJJJJJ is not a setting and has no effect",
        "the variable MAGEDIT_REDIS_ULR is not a setting and has no effect: did you mean MAGEDIT_REDIS_URL?",
    ]


def test_an_empty_language_model_address_means_none() -> None:
    assert not Settings(instruction_url="").instruction_url
    with pytest.raises(ValidationError, match="instruction_url"):
        Settings(instruction_url="localhost:11434")


def test_an_additional_model_needs_a_distinct_name() -> None:
    with pytest.raises(ValidationError, match="'demo' is the worker's own model"):
        Settings(further_models={"demo": "folder"})
    assert Settings(model="sd", further_models={"demo": "folder"}).further_models == {"demo": "folder"}
