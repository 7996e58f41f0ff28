"""The names: handed on by `magedit.config`."""

from __future__ import annotations

import pickle
from copy import copy
from dataclasses import replace

import pytest

from magedit import EditConfig, Region, config
from magedit.config import types


def test_exports_of_config_are_complete() -> None:
    assert config.Region is types.Region
    assert config.MethodName is types.MethodName


def test_an_earlier_name_is_refused_with_the_present_one() -> None:
    with pytest.raises(TypeError, match="it is now 'weight'"):
        Region(strength=0.5)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="it is now 'guidance_step_size'"):
        EditConfig(scale=2.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="it is now 'guidance_step_size'"):
        EditConfig.preset("fast", scale=2.0)
    assert replace(EditConfig(steps=9), seed=3) == copy(pickle.loads(pickle.dumps(EditConfig(steps=9, seed=3))))
