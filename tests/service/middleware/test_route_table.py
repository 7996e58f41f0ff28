from __future__ import annotations

import pytest

from jobs.settings import Settings
from service.app import create_app
from service.middleware.route_table import Routes


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/edits", "/v1/edits"),
        ("/v1/edits/0190", "/v1/edits/{edit_id}"),
        ("/v1/edits/0190/result/3", "/v1/edits/{edit_id}/result/{number}"),
        ("/metrics", "/metrics"),
        ("/v1/edits/", "unmatched"),
        ("/v1/nothing", "unmatched"),
        ("/v1/edits/a/b/c/d", "unmatched"),
    ],
)
def test_paths_map_to_route_names(path: str, name: str) -> None:
    assert Routes(create_app(Settings())).name(path) == name
