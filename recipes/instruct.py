"""The instruction stage: the demo's UNet, with the source's latent as further channels, learns to edit by instruction.

InstructPix2Pix (Brooks et al. 2023, arXiv 2211.09800, section 3.2) on pairs of rooms whose edits are known.
"""

import random
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from magedit.demo.edits import EDIT_KINDS, DemoEdit
from magedit.demo.instructions import instruction, undone
from magedit.demo.sets import sample_edits
from magedit.demo.vocabulary import INSTRUCTIONS
from recipes.export import export_checkpoint
from recipes.presets.parameters import Preset
from recipes.stages.text import build_text_encoder
from recipes.stages.tokenizer import kept_tokenizer
from recipes.stages.unet import (
    Examples,
    UnetStage,
    build_scheduler,
    build_unet,
)
from recipes.stages.vae import LATENT_CHANNELS, pixels
from recipes.training.latents import ENCODED_AT_ONCE
from recipes.training.loop import Run, save_atomically, train


def training_edits(preset: Preset) -> list[DemoEdit]:
    """The training pairs, equally many of each kind: edits that an instruction describes without a mask."""
    each = preset.instruct.pairs // len(EDIT_KINDS)
    return [edit for kind in EDIT_KINDS for edit in sample_edits(kind, each, preset.seed)]


@torch.no_grad()
def encode_pairs(vae: AutoencoderKL, preset: Preset, edits: list[DemoEdit], path: Path) -> Tensor:
    """Latents before and after each edit, from the file or made and stored: (n, 2, 4, h, w), float16."""
    if path.exists():
        kept: Tensor = torch.load(path, weights_only=True)
        return kept
    device = next(vae.parameters()).device
    scenes = [scene for edit in edits for scene in (edit.source, edit.target)]
    latents = torch.cat(
        [
            vae.encode(pixels(scenes[start : start + ENCODED_AT_ONCE], preset.size).to(device)).latent_dist.mean.cpu()
            for start in range(0, len(scenes), ENCODED_AT_ONCE)
        ]
    ).half()
    latents = latents.view(-1, 2, *latents.shape[1:])
    save_atomically(latents, path)
    return latents


def widen(unet: UNet2DConditionModel, trained: UNet2DConditionModel) -> None:
    """Loads the weights of a UNet without the further channels, whose weights start at zero (section 3.2)."""
    weights = trained.state_dict()
    first = unet.conv_in.weight.detach().zero_()
    first[:, :LATENT_CHANNELS] = weights["conv_in.weight"]
    unet.load_state_dict(weights | {"conv_in.weight": first})


def teach_words(
    encoder: CLIPTextModel, tokenizer: CLIPTokenizer, preset: Preset, words: CLIPTokenizer
) -> CLIPTextModel:
    """The encoder for the larger tokenizer ``words``; common tokens keep their embedding."""
    taught = build_text_encoder(preset.text, words)
    weights = encoder.state_dict()
    table = taught.get_input_embeddings().weight.detach()
    known = encoder.get_input_embeddings().weight.detach()
    old = tokenizer.get_vocab()
    for token, index in words.get_vocab().items():
        if token in old:
            table[index] = known[old[token]]
    (name,) = [name for name in weights if name.endswith("token_embedding.weight")]
    taught.load_state_dict(weights | {name: table})
    return taught


class InstructStage(UnetStage):
    """`UnetStage` on pairs: the edited picture from the original and an instruction."""

    name = "instruct"

    def __init__(
        self, preset: Preset, tokenizer: CLIPTokenizer, encoder: CLIPTextModel, latents: Tensor, edits: list[DemoEdit]
    ) -> None:
        super().__init__(preset, tokenizer, encoder, latents)
        self.schedule = preset.instruct.schedule
        self.edits = edits
        self.undone = [undone(edit) for edit in edits]

    def build(self) -> UNet2DConditionModel:
        """An untrained UNet that takes two latents."""
        return build_unet(self.recipe, self.preset.size, self.preset.text.width, 2 * LATENT_CHANNELS)

    def examples(self, rng: random.Random) -> Examples:
        """Edits in either direction; some without instruction, without picture, or without both."""
        recipe, texts, before, after = self.preset.instruct, [], [], []
        for _ in range(self.schedule.batch):
            index, backward = rng.randrange(len(self.edits)), rng.random() < 0.5
            edit = (self.undone if backward else self.edits)[index]
            source, target = self.latents[index].float().flip(0) if backward else self.latents[index].float()
            drawn = rng.random() / recipe.dropped
            texts.append("" if drawn < 1 or 2 <= drawn < 3 else instruction(edit, rng, recipe.short))
            before.append(torch.zeros_like(source) if 1 <= drawn < 3 else source)
            after.append(target)
        return Examples(latents=torch.stack(after), texts=texts, beside=torch.stack(before))


def train_instruct(preset: Preset, run: Run, out: Path, start: Path) -> None:
    """Fine-tunes the checkpoint ``start`` to edit by instruction and exports it to ``out``; its VAE is kept.

    Raises:
        OutOfBudgetError: the run's deadline passed; the same call resumes from the snapshot.
    """
    torch.manual_seed(preset.seed)
    old = CLIPTokenizer.from_pretrained(start / "tokenizer")
    tokenizer = kept_tokenizer(run.state / "tokenizer", INSTRUCTIONS)
    encoder = teach_words(CLIPTextModel.from_pretrained(start / "text_encoder"), old, preset, tokenizer)
    vae = AutoencoderKL.from_pretrained(start / "vae", torch_dtype=torch.float32).requires_grad_(False).eval()
    edits = training_edits(preset)
    latents = encode_pairs(vae.to(preset.device), preset, edits, run.state / "pairs.pt")
    stage = InstructStage(preset, tokenizer, encoder, latents, edits)
    widen(stage.unet, UNet2DConditionModel.from_pretrained(start / "unet", torch_dtype=torch.float32))
    train(stage, run)
    export_checkpoint(
        out,
        vae=vae,
        encoder=stage.encoder,
        tokenizer=tokenizer,
        unet=stage.unet,
        scheduler=build_scheduler(),
        guidance=None,
    )
