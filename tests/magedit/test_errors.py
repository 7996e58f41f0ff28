"""The error tree: stable, distinct codes; the docstring draws all of it."""

from __future__ import annotations

from magedit import errors


def leaves(kind: type[errors.MAGEditError]) -> list[type[errors.MAGEditError]]:
    # Other packages may add leaves of their own to the tree.
    children = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
    return [kind] if not children else [leaf for child in children for leaf in leaves(child)]


def test_codes_are_distinct_and_the_drawing_is_whole() -> None:
    every = leaves(errors.MAGEditError)
    assert len({leaf.code for leaf in every}) == len(every)
    assert errors.__doc__ is not None
    for leaf in every:
        assert f" {leaf.__name__} " in errors.__doc__


def test_the_field_to_blame_can_be_named() -> None:
    assert errors.WordNotFound("no").field == "words"
    assert errors.WordNotFound("no", field="equalizer").field == "equalizer"
    assert errors.EditCanceled("stop").field is None
