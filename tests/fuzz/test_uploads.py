"""Mutated uploads: no fault of the service, no growing memory. `make fuzz` sends thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.uploads import Findings, run, serving

MIB = 2**20


def check(found: Findings, count: int) -> None:
    assert found.wrong == []
    assert found.answers.total() == count + 3
    # Those that are harmless are accepted, those that are not refused: all refused would test the first check alone.
    assert found.answers["202"] > 0
    assert found.answers["422"] > 0
    assert found.answers["413"] > 0


def test_mutated_uploads(redis_url: str, tmp_path: Path) -> None:
    with serving(redis_url, tmp_path) as server:
        check(run(server, count=200, seed=1), 200)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thousands_of_mutated_uploads(redis_url: str, tmp_path: Path) -> None:
    with serving(redis_url, tmp_path) as server:
        found = run(server, count=5000, seed=2)
        check(found, 5000)
        assert found.growth < 64 * MIB, found.memory
