"""The resolved edit, as stored in records."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from magedit.config import EditConfig, Region
from magedit.edits.resolved import ResolvedEdit


def edit(**changes: Any) -> ResolvedEdit:
    values = {"source_prompt": "a red sofa", "target_prompt": "a blue sofa", "regions": (Region(words=("blue",)),)}
    return ResolvedEdit(**values | changes)


def test_a_stored_edit_reads_back_equal() -> None:
    stored = edit(config=EditConfig(steps=7, seed=3), compare=(EditConfig(method="p2p"),))
    assert ResolvedEdit.model_validate_json(stored.model_dump_json()) == stored


@pytest.mark.parametrize("changes", [{"regions": ()}, {"schema_version": 2}, {"promt": "a sofa"}])
def test_a_record_of_another_form_is_rejected(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        edit(**changes)


def test_results_add_up_over_the_compared_methods() -> None:
    assert edit(config=EditConfig(n=3)).results == 3
    assert edit(compare=(EditConfig(n=2, sweep=(0.5, 1.0)), EditConfig(method="p2p"))).results == 5


def test_only_replacements_need_a_larger_mask() -> None:
    assert edit(kind="replacement").takes_room
    assert not edit(kind="attribute").takes_room
    assert not edit(kind="replacement", config=EditConfig(method="instruct-edit")).takes_room
