import random
import time
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from transformers import CLIPTokenizer

from magedit.backbones.checkpoints.inspect import inspect
from magedit.config import EditConfig
from magedit.demo.edits import EDIT_KINDS
from magedit.demo.model import tokenize
from magedit.demo.sets import edit_set
from magedit.demo.vocabulary import INSTRUCTIONS
from magedit.edits.checkpoint import closed_vocabulary
from magedit.pipelines.instruct import InstructPipeline
from recipes.instruct import (
    InstructStage,
    encode_pairs,
    teach_words,
    train_instruct,
    training_edits,
    widen,
)
from recipes.presets.stable_diffusion import TOY
from recipes.stages.text import build_text_encoder
from recipes.stages.tokenizer import build_tokenizer
from recipes.stages.unet import build_unet
from recipes.training.loop import OutOfBudgetError, Run


@pytest.fixture
def stage(tmp_path: Path) -> InstructStage:
    edits = training_edits(TOY)
    tokenizer = build_tokenizer(tmp_path, INSTRUCTIONS)
    latents = torch.randn(len(edits), 2, 4, 8, 8).half()
    return InstructStage(TOY, tokenizer, build_text_encoder(TOY.text, tokenizer), latents, edits)


def test_pairs_of_every_kind_are_of_no_evaluated_room() -> None:
    edits = training_edits(TOY)
    assert [edit.kind for edit in edits] == [kind for kind in EDIT_KINDS for _ in range(2)]
    assert not {repr(edit.source) for edit in edits} & {repr(edit.source) for edit in edit_set(12)}


def test_pairs_are_encoded_once_before_and_after(start: Path, tmp_path: Path) -> None:
    vae = AutoencoderKL.from_pretrained(start / "vae", torch_dtype=torch.float32).eval()
    edits = training_edits(TOY)
    latents = encode_pairs(vae, TOY, edits, tmp_path / "pairs.pt")
    assert latents.shape == (12, 2, 4, 8, 8)
    assert not torch.equal(latents[:, 0], latents[:, 1])
    kept = (tmp_path / "pairs.pt").stat().st_mtime_ns
    assert torch.equal(encode_pairs(vae, TOY, edits, tmp_path / "pairs.pt"), latents)
    assert (tmp_path / "pairs.pt").stat().st_mtime_ns == kept


def test_a_widened_unet_begins_as_the_one_it_was() -> None:
    torch.manual_seed(0)
    trained = build_unet(TOY.unet, TOY.size, TOY.text.width).eval()
    wide = build_unet(TOY.unet, TOY.size, TOY.text.width, 8).eval()
    widen(wide, trained)
    latent, beside, text = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), torch.randn(1, 77, TOY.text.width)
    with torch.no_grad():
        torch.testing.assert_close(wide(torch.cat([latent, beside], 1), 9, text), trained(latent, 9, text))
    assert wide.conv_in.weight.requires_grad


def test_known_words_keep_their_meaning(tmp_path: Path) -> None:
    torch.manual_seed(0)
    old, new = build_tokenizer(tmp_path / "old"), build_tokenizer(tmp_path / "new", INSTRUCTIONS)
    encoder = build_text_encoder(TOY.text, old).eval()
    taught = teach_words(encoder, old, TOY, new).eval()
    prompts = ["a red sofa, a blue carpet and no lamp"]
    with torch.no_grad():
        states = [each(tokenize(words, prompts)).last_hidden_state for each, words in ((encoder, old), (taught, new))]
    # From the end token on the padding is looked at, too.
    torch.testing.assert_close(states[0], states[1])
    assert len(new.tokenize("replace")) == 1 < len(old.tokenize("replace"))


def test_samples_use_both_directions_and_drop_conditions(stage: InstructStage) -> None:
    stage.schedule = replace(stage.schedule, batch=2000)
    examples = stage.examples(random.Random(0))
    assert examples.beside is not None
    before, after = stage.latents.float().unbind(1)
    empty = torch.tensor([text == "" for text in examples.texts])
    blank = (examples.beside == 0).flatten(1).all(1)
    shares = [float(each.float().mean()) for each in (empty & ~blank, blank & ~empty, blank & empty)]
    assert shares == pytest.approx([0.05] * 3, abs=0.02)
    forward = torch.stack([(after == one).flatten(1).all(1).any() for one in examples.latents])
    assert float(forward.float().mean()) == pytest.approx(0.5, abs=0.05)
    for source, target in zip(examples.beside[~blank][:50], examples.latents[~blank][:50], strict=True):
        (there,) = {
            (index, way)
            for way, (one, two) in enumerate(((before, after), (after, before)))
            for index in range(len(one))
            if torch.equal(one[index], source) and torch.equal(two[index], target)
        }
        assert there


def test_a_run_is_taken_up_again_and_its_checkpoint_follows_instructions(start: Path, tmp_path: Path) -> None:
    late = Run(state=tmp_path / "state", seed=1, snapshot_s=0.0, deadline=time.monotonic())
    out = tmp_path / "out"
    with pytest.raises(OutOfBudgetError, match="run again"):
        train_instruct(TOY, late, out, start)
    assert not out.exists()
    train_instruct(TOY, Run(state=tmp_path / "state", seed=1), out, start)
    assert closed_vocabulary(out) == tuple(chain(*INSTRUCTIONS.values()))
    assert inspect(out).family == "instruct-pix2pix"
    assert len(CLIPTokenizer.from_pretrained(out / "tokenizer").tokenize("replace")) == 1
    (edit,) = edit_set(1)[:1]
    output = InstructPipeline.from_pretrained(str(out))(
        edit.image(64),
        [edit.mask(64)],
        "",
        "make the sofa green",
        config=EditConfig(method="instruct-pix2pix", steps=2),
    )
    assert output.edited[0].latent.shape == (1, 4, 8, 8)
