"""COCO run-length encoding, compared with pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco
from pydantic import ValidationError

from magedit.errors import InvalidRle
from magedit.masks.rle import Rle, decode, encode

masks = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1)).map(
    lambda drawn: np.random.default_rng(drawn[2]).random(drawn[:2]) < drawn[3]
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pycocotools and numpy
@settings(max_examples=100, deadline=None)
@given(masks)
def test_both_encodings_match_pycocotools(mask: np.ndarray) -> None:
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    ours = encode(mask)
    assert (ours.counts, list(ours.size)) == (theirs["counts"].decode(), theirs["size"])
    assert np.array_equal(decode(ours, "rle"), mask)
    numbers = encode(mask, compressed=False)
    packed = coco.frPyObjects({"counts": list(numbers.counts), "size": list(numbers.size)}, *numbers.size)
    assert np.array_equal(coco.decode(packed).astype(bool), mask)
    assert np.array_equal(decode(numbers, "rle"), mask)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ((3, 4), "add up to 7 pixels, but size 2 x 4 (height x width) has 8"),
        ("0", "add up to 0 pixels"),
        ("8~", "character 1 of the compressed runs is '~'"),
        ("8é", "character 1"),
        ("P", "end in the middle of a number"),
        ("O", "run 0 is negative (-1)"),
        ("o" * 20, "too long"),
    ],
)
def test_an_invalid_encoding_is_rejected_with_the_reason(counts: str | tuple[int, ...], told: str) -> None:
    with pytest.raises(InvalidRle) as error:
        decode(Rle(counts=counts, size=(2, 4)), "mask_shapes.0.rle")
    assert told in error.value.message
    assert error.value.field == "mask_shapes.0.rle.counts"


def test_runs_and_sizes_must_be_positive() -> None:
    for counts, size in (((-1, 9), (2, 4)), ((8,), (0, 4))):
        with pytest.raises(ValidationError):
            Rle(counts=counts, size=size)
