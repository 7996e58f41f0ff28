"""The algorithm names no part of a model family outside `magedit/backbones/`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import magedit

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
