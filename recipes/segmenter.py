"""The segmenter: a small model of SAM's layout that finds a room's things by clicks and boxes."""

import math
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import SamConfig, SamImageProcessor, SamModel, SamProcessor

from magedit.demo.draw import HORIZON, draw_mask, draw_scene, parts
from magedit.demo.scene import UNITS, Scene, sample_varied_scene
from recipes.export import replace_folder
from recipes.loop import Run, snapshot_path, train
from recipes.presets import SegmenterPreset, SegmenterRecipe

MEAN: Final = (0.5, 0.5, 0.5)
DEVIATION: Final = (0.25, 0.25, 0.25)
SMALLEST: Final = 12
"""Pixels of the smallest thing that is asked for."""
CANDIDATES: Final = 3
"""Masks for one click: the part, the whole thing, and the thing with what stands before it."""


def _places(side: int, width: int) -> Tensor:
    """Sines and cosines of the cells' places, to begin with: (1, side, side, width)."""
    pitch = math.pi * torch.arange(side) / side
    waves = pitch[:, None] * 2 ** (torch.arange(width // 4) % 5)
    waves = torch.cat([waves.sin(), waves.cos()], dim=1)
    rows = waves[:, None].expand(side, side, -1)
    return torch.cat([rows, rows.transpose(0, 1)], dim=-1)[None]


def build_segmenter(recipe: SegmenterRecipe, size: int) -> SamModel:
    """An untrained SAM for pictures of `size` x `size` pixels; every layer of its encoder sees the whole picture."""
    config = SamConfig(
        vision_config={
            "hidden_size": recipe.width,
            "output_channels": recipe.decoder_width,
            "num_hidden_layers": recipe.layers,
            "num_attention_heads": recipe.heads,
            "image_size": size,
            "patch_size": recipe.patch,
            "use_rel_pos": False,
            "window_size": 0,
            "global_attn_indexes": list(range(recipe.layers)),
            "num_pos_feats": recipe.decoder_width // 2,
            "initializer_range": 0.02,
        },
        prompt_encoder_config={
            "hidden_size": recipe.decoder_width,
            "image_size": size,
            "patch_size": recipe.patch,
        },
        mask_decoder_config={
            "hidden_size": recipe.decoder_width,
            "mlp_dim": 2 * recipe.decoder_width,
            "num_attention_heads": recipe.heads,
            "num_multimask_outputs": CANDIDATES,
            "iou_head_hidden_dim": recipe.decoder_width,
        },
    )
    model = SamModel(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and ("lin" in name or "proj" in name or "qkv" in name or "layers" in name):
            nn.init.trunc_normal_(parameter, std=parameter.shape[1] ** -0.5)
        elif name.endswith("pos_embed"):
            parameter.data.copy_(0.2 * _places(parameter.shape[1], parameter.shape[3]))
        elif parameter.ndim == 4:
            nn.init.kaiming_normal_(parameter, nonlinearity="linear")
    # SAM's own deviation of the random frequencies; transformers' default would make neighbours strangers
    nn.init.normal_(model.shared_image_embedding.positional_embedding, std=1.0)
    model.shared_image_embedding.positional_embedding.requires_grad_(False)
    model.prompt_encoder.mask_embed.requires_grad_(False)  # masks are no prompts here
    return model


def build_processor(model: SamModel) -> SamProcessor:
    """What turns pictures and prompts into the model's inputs."""
    size = model.config.vision_config.image_size
    low = 4 * size // model.config.vision_config.patch_size
    return SamProcessor(
        SamImageProcessor(
            size={"longest_edge": size},
            pad_size={"height": size, "width": size},
            mask_size={"longest_edge": low},
            mask_pad_size={"height": low, "width": low},
            image_mean=list(MEAN),
            image_std=list(DEVIATION),
        )
    )


@dataclass(frozen=True)
class Targets:
    """What a room's clicks and boxes mean: (n, size, size) each, bool."""

    whole: NDArray[np.bool_]
    """Where each thing is seen; last the wall and the floor."""
    part: NDArray[np.bool_]
    """Parts of the things."""
    owner: NDArray[np.int64]
    """Which thing each part belongs to."""
    full: NDArray[np.bool_]
    """Each thing with what stands before it."""


def _stack(masks: list[NDArray[np.bool_]], size: int) -> NDArray[np.bool_]:
    return np.stack(masks) if masks else np.zeros((0, size, size), dtype=bool)


def targets(scene: Scene, size: int = UNITS) -> Targets:
    """The masks of a room."""
    whole: list[NDArray[np.bool_]] = []
    part: list[NDArray[np.bool_]] = []
    full: list[NDArray[np.bool_]] = []
    owner: list[int] = []
    for thing in scene.things:
        seen = np.asarray(draw_mask(scene, thing, size=size)) > 0
        if seen.sum() < SMALLEST:
            continue
        names = parts(thing.kind)
        for name in names:
            mask = seen if len(names) == 1 else np.asarray(draw_mask(scene, thing, name, size)) > 0
            if mask.any():
                part.append(mask)
                owner.append(len(whole))
        whole.append(seen)
        full.append(np.asarray(draw_mask(scene.with_things([thing]), thing, size=size)) > 0)
    things = np.any(_stack(whole, size), axis=0)
    rows = np.arange(size)[:, None] * np.ones((1, size), dtype=int)
    for ground in (rows < HORIZON * size // UNITS, rows >= HORIZON * size // UNITS):
        part.append(ground & ~things)
        owner.append(len(whole))
        whole.append(ground & ~things)
        full.append(ground & ~things)
    return Targets(_stack(whole, size), _stack(part, size), np.array(owner), _stack(full, size))


class Rooms:
    """Drawn rooms with their masks, kept in a folder as they were drawn."""

    def __init__(self, folder: Path, number: int, size: int, seed: int) -> None:
        self.size = size
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"rooms-{seed}-{number}-{size}.pt"
        if not path.exists():
            rng = random.Random(f"{seed}/segmenter")
            drawn = [self._draw(sample_varied_scene(rng), size) for _ in range(number)]
            temporary = path.with_suffix(".tmp")
            torch.save(drawn, temporary)
            temporary.replace(path)
        self._rooms: list[tuple[Tensor, ...]] = torch.load(path, weights_only=True)

    @staticmethod
    def _draw(scene: Scene, size: int) -> tuple[Tensor, ...]:
        masks = targets(scene, size)
        packed = (torch.from_numpy(np.packbits(mask, axis=-1)) for mask in (masks.whole, masks.part, masks.full))
        return (torch.from_numpy(np.array(draw_scene(scene, size))), *packed, torch.from_numpy(masks.owner))

    def __len__(self) -> int:
        return len(self._rooms)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], Targets]:
        picture, whole, part, full, owner = (value.numpy() for value in self._rooms[index])
        unpack = (np.unpackbits(mask, axis=-1).astype(bool) for mask in (whole, part, full))
        whole, part, full = unpack
        return picture, Targets(whole, part, owner, full)


@dataclass(frozen=True)
class Prompt:
    """A click or a box, in pixels, with the masks of its three meanings."""

    points: list[tuple[float, float, int]]
    """x, y and label (1: belongs to it, 0: does not)."""
    box: tuple[float, float, float, float] | None
    part: NDArray[np.bool_]
    whole: NDArray[np.bool_]
    full: NDArray[np.bool_]


def _point(mask: NDArray[np.bool_], rng: random.Random) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    index = rng.randrange(len(rows))
    return float(columns[index]), float(rows[index])


def prompts(masks: Targets, number: int, kind: str, rng: random.Random) -> Iterator[Prompt]:
    """`number` prompts of a kind: "click", "clicks" (with a second, maybe negative) or "box"."""
    size = masks.whole.shape[-1]
    things = len(masks.whole) - 2  # the last two are wall and floor
    for _ in range(number):
        index = rng.randrange(things) if things and rng.random() < 0.88 else things + rng.randrange(2)
        whole = masks.whole[index]
        if whole.sum() < SMALLEST:
            index, whole = things, masks.whole[things]
        if kind == "box":
            rows, columns = np.nonzero(whole)
            edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            x0, y0, x1, y1 = (min(max(float(edge) + rng.uniform(-2.5, 2.5), 0), size - 1) for edge in edges)
            yield Prompt([], (x0, y0, max(x1, x0 + 2), max(y1, y0 + 2)), whole, whole, whole)
            continue
        x, y = _point(whole, rng)
        under = [part for part, owner in zip(masks.part, masks.owner, strict=True) if owner == index]
        part = next((part for part in under if part[int(y), int(x)]), whole)
        points = [(x, y, 1)]
        if kind == "clicks":
            others = ~whole
            second = rng.random() < 0.5 or not others.any()
            points.append((*_point(whole if second else others, rng), int(second)))
        yield Prompt(points, None, part, whole, masks.full[index])


def _low(masks: list[NDArray[np.bool_]], size: int) -> Tensor:
    """Shares of the cells that masks cover: (n, size, size)."""
    stack = torch.from_numpy(np.stack(masks)).float()
    return F.adaptive_avg_pool2d(stack, size)


def _errors(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross entropy, weighted towards the edges of a decision, plus Dice, per mask: (..., h, w) to (...)."""
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    chance = logits.sigmoid()
    focal = (entropy * (0.1 + (chance - wanted).abs())).mean((-2, -1))
    shared = (chance * wanted).sum((-2, -1))
    dice = 1 - (2 * shared + 1) / (chance.square().sum((-2, -1)) + wanted.square().sum((-2, -1)) + 1)
    return 10 * focal + dice


def _overlap(logits: Tensor, wanted: Tensor) -> Tensor:
    """Intersection over union of the decided masks: (..., h, w) to (...)."""
    decided, true = logits > 0, wanted > 0.5
    return (decided & true).sum((-2, -1)) / (decided | true).sum((-2, -1)).clamp(min=1)


def _boxes(masks: NDArray[np.bool_], size: int) -> Tensor:
    """Of each cell the box, 0..1, of the mask that covers most of it: (4, size, size)."""
    side = masks.shape[-1]
    boxes = []
    for mask in masks:
        rows, columns = np.nonzero(mask)
        empty = not len(rows)
        boxes.append([0] * 4 if empty else [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    table = torch.tensor(boxes, dtype=torch.float32) / side
    boxes_of_cells: Tensor = table[_low(list(masks), size).argmax(0)].permute(2, 0, 1)
    return boxes_of_cells


class Taught(nn.Module):
    """The segmenter with a head that is left out in the end: it teaches the encoder which cells belong together.

    From the picture alone it tells of every cell of a mask the boxes of the thing and of the part that are seen there.
    """

    def __init__(self, sam: SamModel, width: int) -> None:
        super().__init__()
        self.sam = sam
        self.dense_head = nn.Sequential(nn.Conv2d(width, 8 * 16, 1), nn.PixelShuffle(4))


class SegmenterStage:
    """First which cells belong together, then clicks and boxes: each mask of a click has its own meaning, and scores
    tell how well it fits the whole thing."""

    name = "segmenter"

    def __init__(self, preset: SegmenterPreset, state: Path) -> None:
        self.recipe = preset.segmenter
        self.size = preset.size
        self.schedule = self.recipe.schedule
        self.average = self.recipe.average
        self.device = torch.device(preset.device)
        torch.manual_seed(preset.seed)
        sam = build_segmenter(self.recipe, preset.size)
        self.taught = Taught(sam, self.recipe.decoder_width).to(self.device)
        self.model: nn.Module = self.taught
        self.rooms = Rooms(state, self.recipe.rooms, preset.size, preset.seed)

    def _pixels(self, picture: NDArray[np.uint8], flip: bool, rng: random.Random) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(picture[:, ::-1] if flip else picture))
        pixels = pixels.permute(2, 0, 1).float() / 255
        gain = torch.tensor([rng.uniform(0.85, 1.15) for _ in range(3)])[:, None, None]
        pixels = pixels * gain + rng.uniform(-0.06, 0.06)
        if rng.random() < 0.4:  # pictures that a diffusion model drew are softer than drawn ones
            small = F.avg_pool2d(pixels[None], 3, 1, 1, count_include_pad=False)[0]
            pixels = torch.lerp(pixels, small, rng.random())
        if rng.random() < 0.4:
            pixels = pixels + rng.uniform(0, 0.05) * torch.randn(
                pixels.shape, generator=torch.Generator().manual_seed(rng.getrandbits(62))
            )
        return (pixels.clamp(0, 1) - 0.5) / 0.25

    def loss(self, seed: str, progress: float) -> tuple[Tensor, dict[str, float]]:
        """See `Stage.loss`; logs the mean IoU of whole things by click and by box."""
        rng = random.Random(seed)
        model: SamModel = self.taught.sam
        low = 4 * self.size // self.recipe.patch
        asked: list[list[Prompt]] = []
        pictures, dense = [], []
        kind = rng.choice(("click", "click", "clicks", "box", "box"))
        for _ in range(self.schedule.batch):
            picture, masks = self.rooms[rng.randrange(len(self.rooms))]
            flip = rng.random() < 0.5
            pictures.append(self._pixels(picture, flip, rng))
            if flip:
                masks = Targets(
                    masks.whole[..., ::-1].copy(),
                    masks.part[..., ::-1].copy(),
                    masks.owner,
                    masks.full[..., ::-1].copy(),
                )
            asked.append(list(prompts(masks, self.recipe.prompts, kind, rng)))
            dense.append(torch.cat([_boxes(masks.whole, low), _boxes(masks.part, low)]))
        features = model.vision_encoder(torch.stack(pictures).to(self.device))[0]
        found = self.taught.dense_head(features)
        apart = F.smooth_l1_loss(found, torch.stack(dense).to(self.device), beta=0.02)
        # a kind of prompt takes no part in steps of the other kinds, yet every parameter needs a gradient
        loss = 20 * apart + 0 * sum(p.sum() for p in self.model.parameters() if p.requires_grad)
        if progress < self.recipe.dense:
            return loss, {"apart": apart.item()}
        flat = [prompt for row in asked for prompt in row]
        shape = (len(asked), self.recipe.prompts)
        points = labels = boxes = None
        if kind == "box":
            boxes = torch.tensor([prompt.box for prompt in flat]).view(*shape, 4).to(self.device)
        else:
            triples = torch.tensor([prompt.points for prompt in flat]).view(*shape, -1, 3).to(self.device)
            points, labels = triples[..., :2], triples[..., 2].long()
        wanted = torch.stack(
            [
                _low([getattr(prompt, meaning) for prompt in flat], low)
                for meaning in (("part", "whole", "full") if kind == "click" else ("whole",))
            ],
            dim=1,
        ).view(*shape, -1, low, low)
        wanted = wanted.to(self.device)
        answer = model(
            image_embeddings=features,
            input_points=points,
            input_labels=labels,
            input_boxes=boxes,
            multimask_output=kind == "click",
        )
        logits = answer.pred_masks
        whole = wanted[:, :, 1:2] if kind == "click" else wanted
        overlap = _overlap(logits.detach(), whole)
        score = F.mse_loss(answer.iou_scores, overlap)
        weight = logits.new_tensor([0.5, 1.5, 0.5] if kind == "click" else [1.5])
        loss = loss + (_errors(logits, wanted) * weight).sum(-1).mean() + score
        best = overlap[:, :, 1] if kind == "click" else overlap[:, :, 0]
        return loss, {"apart": apart.item(), f"iou_{kind}": best.mean().item(), "score": score.item()}


def train_segmenter(run: Run, preset: SegmenterPreset, out: Path) -> None:
    """Trains the segmenter and writes it to `out`; the same call goes on after a kill.

    Raises:
        OutOfBudgetError: the deadline passed first; a snapshot was written.
    """
    stage = SegmenterStage(preset, run.state)
    train(stage, run)
    export_segmenter(stage.taught.sam, out)


def export_segmenter_snapshot(preset: SegmenterPreset, state: Path, out: Path) -> int:
    """Writes what a run in progress has reached; the number of samples it has seen."""
    model = build_segmenter(preset.segmenter, preset.size)
    kept = torch.load(snapshot_path(Run(state=state, seed=preset.seed), SegmenterStage.name), weights_only=True)
    Taught(model, preset.segmenter.decoder_width).load_state_dict(kept["averaged"])
    export_segmenter(model, out)
    return int(kept["seen"])


def export_segmenter(model: SamModel, out: Path) -> None:
    """Replaces the folder `out` by the model (half precision) and its processor; a README there stays."""
    fresh = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    model.half().save_pretrained(fresh)
    build_processor(model).save_pretrained(fresh)
    replace_folder(fresh, out)
