"""Every supported family has its adapter; options of one family are not another's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from jobs.settings import Settings
from magedit.backbones.checkpoints.family import KINDS
from magedit.backbones.registry import ADAPTERS
from tests.magedit.conftest import CHECKPOINT, objecting_checker
from worker.models.served_model import load


def test_every_supported_family_has_an_adapter_of_its_components() -> None:
    supported = {family for family, kind in KINDS.items() if kind.problem is None}
    assert set(ADAPTERS) == supported - {"instruct-pix2pix"}
    for family, adapter in ADAPTERS.items():
        assert KINDS[family].parts[0] == adapter().network_name


@pytest.mark.parametrize("kept", [True, False])
def test_the_safety_checker_can_be_left_out(kept: bool, tmp_path: Path) -> None:
    folder = tmp_path / "checked"
    shutil.copytree(CHECKPOINT, folder)
    checker, extractor = objecting_checker()
    checker.save_pretrained(folder / "safety_checker")
    extractor.save_pretrained(folder / "feature_extractor")
    index = json.loads((folder / "model_index.json").read_text())
    index |= {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    served = load(Settings(checkpoint=str(folder), safety_checker=kept, device="cpu"))
    assert (served.editor.safety_checker is not None) == kept  # type: ignore[attr-defined]
