"""Windows of injection."""

from __future__ import annotations

from magedit.config import EditConfig


def test_the_source_is_needed_as_long_as_something_is_taken_from_it() -> None:
    assert EditConfig().source_steps == 40
    assert EditConfig(cross_replace=0.0).source_steps == 25
    assert EditConfig(cross_replace=0.0, self_replace=0.0, cross_replace_words={"red": 1.0}).source_steps == 50
    assert EditConfig(method="pnp").source_steps == EditConfig(injection="pnp").source_steps == 40
    assert EditConfig(method="p2p", local_blend=0.3).source_steps == 50
