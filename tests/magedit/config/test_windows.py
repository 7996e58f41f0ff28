"""Step windows that methods other than the default have; the default's are in test_config."""

from __future__ import annotations

from magedit.config import EditConfig


def test_each_method_leaves_out_what_its_paper_does() -> None:
    assert EditConfig().skipped_steps == 0
    assert EditConfig(method="diffedit").skipped_steps == 25
    assert EditConfig(method="blended-latent").skipped_steps == 12
    assert EditConfig(method="diffedit", skip_fraction=1.0).skipped_steps == 49


def test_the_source_is_needed_as_long_as_something_is_taken_from_it() -> None:
    assert EditConfig().source_steps == 40
    assert EditConfig(cross_replace=0.0).source_steps == 25
    assert EditConfig(cross_replace=0.0, self_replace=0.0, cross_replace_words={"red": 1.0}).source_steps == 50
    assert EditConfig(method="pnp").source_steps == EditConfig(injection="pnp").source_steps == 40
    assert EditConfig(method="p2p", local_blend=0.3).source_steps == 50


def test_the_first_steps_of_style_learn_most() -> None:
    updates = [EditConfig(style_iterations=10).style_updates(i) for i in range(50)]
    assert (updates[0], updates[10], updates[49]) == (10, 4, 1)
    assert updates == sorted(updates, reverse=True)
