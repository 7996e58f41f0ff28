"""The client is tested against the real front end of tests/service."""

from __future__ import annotations

from tests.service.conftest import announce, client, form, settings, shared_client, shared_settings, worker_side

__all__ = ["announce", "client", "form", "settings", "shared_client", "shared_settings", "worker_side"]
