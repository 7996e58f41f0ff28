"""The interface of model families, and that nothing outside `magedit/backbones/` names a part of one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import magedit
from magedit.backbones.base import GUIDANCE, Conditioning, frozen, sites_at
from magedit.errors import NoGuidanceLayers
from magedit.pipelines.mag_edit import MAGEditPipeline

PACKAGE = Path(magedit.__file__).parent
SHARED = ("pipelines", "guidance", "inversion", "methods", "prompts", "edits")

FAMILY = re.compile(
    r"\bunet\b|UNet\w*2D|Transformer2D|AutoencoderKL|CLIPText|T5Encoder|\w*(?<!Safety)Scheduler\b"
    r"|\b(up|down)_blocks|\bmid_block|\bconv_in\b|\battn[12]\b|\balphas?_cumprod|\btext_encoder|\bscheduler\b"
)
"""Names of modules, layers and components of checkpoints."""

INSTRUCTED = PACKAGE / "pipelines" / "instruct.py"
"""Checkpoints of InstructPix2Pix layout are sampled by diffusers' own pipeline, of one family."""


def names(source: str) -> Iterator[str]:
    """Every identifier and every text of a program, docstrings aside."""
    tree = ast.parse(source)
    documented = [n for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)]
    docstrings = {id(each.value) for each in documented}
    for node in ast.walk(tree):
        for value in vars(node).values():
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, str) and id(node) not in docstrings:
                    yield each


def files() -> list[Path]:
    return sorted(each for folder in SHARED for each in (PACKAGE / folder).rglob("*.py"))


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_shared_code_names_no_part_of_a_family(file: Path) -> None:
    source = file.read_text()
    assert not [name for name in names(source) if FAMILY.search(name)]
    assert file == INSTRUCTED or not re.search(r"backbones\.(?!base|denoiser|registry|loading|checkpoints)", source)


def test_family_names_are_detected() -> None:
    folder = PACKAGE / "backbones" / "stable_diffusion"
    programs = [(folder / file).read_text() for file in ("layout.py", "backbone.py")]
    found = {name for program in programs for name in names(program) if FAMILY.search(name)}
    assert {"unet", "conv_in", "text_encoder", "UNet2DConditionModel", "scheduler"} <= found


def test_freezing_puts_each_flag_back_however_it_ends() -> None:
    module = torch.nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    inside: list[bool] = []

    def fail() -> None:
        with frozen(module):
            inside.extend(parameter.requires_grad for parameter in module.parameters())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert inside == [False, False]
    assert module.weight.requires_grad
    assert not module.bias.requires_grad


def test_a_missing_resolution_names_those_there_are(pipe: MAGEditPipeline) -> None:
    with pytest.raises(NoGuidanceLayers, match="at 12x12; it has 32x32, 16x16, 8x8"):
        sites_at(pipe.backbone.sites, 12)


def test_conditionings_keep_their_rows_together() -> None:
    one, two = (
        Conditioning(torch.full((1, 3, 2), value), torch.full((1, 4), value), {GUIDANCE: torch.full((1,), value)})
        for value in (1.0, 2.0)
    )
    both = Conditioning.cat([one.expand(2), two]).repeat(2)
    assert both.pooled is not None
    for tensor in (both.hidden_states[:, 0, 0], both.pooled[:, 0], both.extra[GUIDANCE]):
        assert tensor.tolist() == [1, 1, 1, 1, 2, 2]
    assert both.guided(3.5).extra[GUIDANCE].tolist() == [3.5] * 6
    plain = Conditioning(one.hidden_states)
    assert plain.guided(3.5) is plain
    assert Conditioning.cat([plain, plain]).pooled is None
