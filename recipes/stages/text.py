"""The text encoder stage: CLIPTextModel learns to tag captions, before it is trained further with the UNet.

Each noun must encode its class and preceding attributes, the last word of each mention all attributes of the thing, the
end token the content of the room, so that a word's hidden state carries what the UNet should draw for it.
"""

import random
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from magedit.demo.captions import Caption, Mention, caption_scene
from magedit.demo.model import tokenize
from magedit.demo.palette import COLOURS, FLOORS, KINDS, MORE_PATTERNS, PATTERNS, SIDES, WALLS
from magedit.demo.scene import sample_scene
from recipes.presets.parameters import Preset, TextRecipe
from recipes.stages.tokenizer import LENGTH

TAGS: dict[str, tuple[str | None, ...]] = {
    "kind": KINDS,
    "colour": (None, *COLOURS),
    "pattern": (None, *PATTERNS, *MORE_PATTERNS),
    "side": (None, *SIDES),
    "number": ("0", "1", "2"),
}
"""Tags of a mention's words; None where the caption does not say."""
ROOM_TAGS: dict[str, tuple[str | None, ...]] = {"wall": (None, *WALLS), "floor": (None, *FLOORS)}


def text_config(recipe: TextRecipe, tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    """The config of this recipe's text encoder for this tokenizer."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=4 * recipe.width,
        projection_dim=recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        max_position_embeddings=LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def build_text_encoder(recipe: TextRecipe, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """An untrained text encoder for this tokenizer."""
    return CLIPTextModel(text_config(recipe, tokenizer))


def tags_at(caption: Caption, mention: Mention, word: int) -> list[int]:
    """The tags (indices in the order of `TAGS`) that `word` of a mention must encode: those stated so far."""
    said = caption.words[mention.start : word + 1]
    values = {
        "kind": mention.kind,
        "colour": mention.colour if mention.colour in said else None,
        "pattern": mention.pattern if mention.pattern in said else None,
        "side": mention.side if mention.side in said else None,
        "number": str(len(mention.things)),
    }
    return [options.index(values[name]) for name, options in TAGS.items()]


class Tagger(nn.Module):
    """Text encoders with one linear head per tag; the heads are discarded."""

    def __init__(self, encoders: Sequence[nn.Module], width: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.heads = nn.ModuleDict({name: nn.Linear(width, len(options)) for name, options in TAGS.items()})
        self.room_heads = nn.ModuleDict({name: nn.Linear(width, len(tags)) for name, tags in ROOM_TAGS.items()})
        self.present_head = nn.Linear(width, len(KINDS))

    def loss(self, states: Tensor, pooled: Tensor, captions: Sequence[Caption]) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy of the tags, and the share of words whose tags are all right.

        `states` of the words (n, 77, width) encode the mentions, `pooled` (n, width) the rooms.
        """
        device = states.device
        rows, columns, targets = [], [], []
        for row, caption in enumerate(captions):
            for mention in caption.mentions:
                for word in {mention.noun, mention.end}:
                    rows.append(row)
                    columns.append(word + 1)  # the start token comes first
                    targets.append(tags_at(caption, mention, word))
        read, truth = states[rows, columns], torch.tensor(targets, device=device)
        loss = states.new_zeros(())
        right = torch.ones(len(rows), dtype=torch.bool, device=device)
        for index, head in enumerate(self.heads.values()):
            scores = head(read)
            loss = loss + F.cross_entropy(scores, truth[:, index])
            right &= scores.argmax(1) == truth[:, index]
        for name, head in self.room_heads.items():
            said = [ROOM_TAGS[name].index(getattr(caption, name)) for caption in captions]
            loss = loss + 0.3 * F.cross_entropy(head(pooled), torch.tensor(said, device=device))
        present = [
            [any(m.kind == kind and not m.negated for m in caption.mentions) for kind in KINDS] for caption in captions
        ]
        told = torch.tensor(present, dtype=torch.float32, device=device)
        loss = loss + F.binary_cross_entropy_with_logits(self.present_head(pooled), told)
        return loss, {"right": right.float().mean().item()}


class TextStage:
    """Cross entropy of the tags."""

    name = "text"
    average = 0.0

    def __init__(self, preset: Preset, tokenizer: CLIPTokenizer) -> None:
        self.schedule = preset.text.schedule
        self.tokenizer = tokenizer
        self.device = torch.device(preset.device)
        self.encoder = build_text_encoder(preset.text, tokenizer)
        self.tagger = Tagger([self.encoder], preset.text.width).to(self.device)
        self.model: nn.Module = self.tagger

    def loss(self, seed: str, progress: float) -> tuple[Tensor, dict[str, float]]:
        """See `Stage.loss`; logs the share of words with all tags right."""
        del progress
        rng = random.Random(seed)
        captions = [caption_scene(sample_scene(rng), rng) for _ in range(self.schedule.batch)]
        ids = tokenize(self.tokenizer, [caption.text for caption in captions]).to(self.device)
        hidden = self.encoder(ids).last_hidden_state
        ends = hidden[range(len(captions)), [len(caption.words) + 1 for caption in captions]]
        return self.tagger.loss(hidden, ends, captions)
