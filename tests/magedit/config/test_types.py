"""The names: handed on by `magedit.config`."""

from __future__ import annotations

from magedit import config
from magedit.config import types


def test_what_config_hands_on_is_what_there_is() -> None:
    assert config.Region is types.Region
    assert config.MethodName is types.MethodName
