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


def _flipped(masks: Targets) -> Targets:
    """The masks of the room's mirror image."""
    whole, part, full = (np.ascontiguousarray(each[..., ::-1]) for each in (masks.whole, masks.part, masks.full))
    return Targets(whole, part, masks.owner, full)


def _pixels(picture: NDArray[np.uint8]) -> Tensor:
    """The picture as the model takes it: (3, size, size)."""
    pixels = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).float() / 255
    return (pixels - MEAN[0]) / DEVIATION[0]


def _varied(pixels: Tensor, rng: random.Random) -> Tensor:
    """The picture in other light, and now and then softer or noisier, as diffusion models draw."""
    gain = torch.tensor([rng.uniform(0.85, 1.15) for _ in range(3)])[:, None, None]
    pixels = (pixels * DEVIATION[0] + MEAN[0]) * gain + rng.uniform(-0.06, 0.06)
    if rng.random() < 0.4:
        soft = F.avg_pool2d(pixels[None], 3, 1, 1, count_include_pad=False)[0]
        pixels = torch.lerp(pixels, soft, rng.random())
    if rng.random() < 0.4:
        generator = torch.Generator().manual_seed(rng.getrandbits(62))
        pixels = pixels + rng.uniform(0, 0.05) * torch.randn(pixels.shape, generator=generator)
    return (pixels.clamp(0, 1) - MEAN[0]) / DEVIATION[0]


class EncoderStage:
    """Which cells of a picture belong together, without a prompt."""

    name = "segmenter-encoder"

    def __init__(self, preset: SegmenterPreset, rooms: Rooms) -> None:
        self.recipe, self.size, self.rooms = preset.segmenter, preset.size, rooms
        self.schedule, self.average = self.recipe.encoder, self.recipe.average
        self.device = torch.device(preset.device)
        torch.manual_seed(preset.seed)
        sam = build_segmenter(self.recipe, preset.size)
        for part in (sam.mask_decoder, sam.prompt_encoder):
            part.requires_grad_(False)
        self.taught = Taught(sam, self.recipe.decoder_width).to(self.device)
        self.model: nn.Module = self.taught

    def loss(self, seed: str, progress: float) -> tuple[Tensor, dict[str, float]]:
        """See `Stage.loss`; logs the smooth L1 distance of the boxes' sides, as a share of the picture's."""
        del progress  # every step asks the same
        rng = random.Random(seed)
        low = 4 * self.size // self.recipe.patch
        pictures, boxes = [], []
        for _ in range(self.schedule.batch):
            picture, masks = self.rooms[rng.randrange(len(self.rooms))]
            if rng.random() < 0.5:
                picture, masks = picture[:, ::-1], _flipped(masks)
            pictures.append(_varied(_pixels(picture), rng))
            boxes.append(torch.cat([_boxes(masks.whole, low), _boxes(masks.part, low)]))
        features = self.taught.sam.vision_encoder(torch.stack(pictures).to(self.device))[0]
        apart = F.smooth_l1_loss(self.taught.dense_head(features), torch.stack(boxes).to(self.device), beta=0.02)
        return 20 * apart, {"apart": apart.item()}


class SegmenterStage:
    """Clicks and boxes on what the encoder, now fixed, sees: each mask of a click has its own meaning, and scores tell
    how well it fits the whole thing."""

    name = "segmenter"

    def __init__(self, preset: SegmenterPreset, rooms: Rooms, sam: SamModel) -> None:
        self.recipe, self.size, self.rooms, self.sam = preset.segmenter, preset.size, rooms, sam
        self.schedule, self.average = self.recipe.schedule, self.recipe.average
        self.device = torch.device(preset.device)
        sam.vision_encoder.requires_grad_(False)
        sam.mask_decoder.requires_grad_(True)
        sam.prompt_encoder.requires_grad_(True)
        sam.prompt_encoder.mask_embed.requires_grad_(False)  # masks are no prompts here
        sam.shared_image_embedding.requires_grad_(False)
        self.model: nn.Module = sam.to(self.device)
        self._seen: dict[tuple[int, bool], Tensor] = {}

    def _features(self, room: int, flip: bool, picture: NDArray[np.uint8]) -> Tensor:
        """What the encoder sees in a room, computed once."""
        if (room, flip) not in self._seen:
            with torch.no_grad():
                found = self.sam.vision_encoder(_pixels(picture)[None].to(self.device))[0][0]
            self._seen[room, flip] = found.half().cpu()
        return self._seen[room, flip].float()

    def loss(self, seed: str, progress: float) -> tuple[Tensor, dict[str, float]]:
        """See `Stage.loss`; logs the mean IoU of whole things by click and by box."""
        del progress
        rng = random.Random(seed)
        low = 4 * self.size // self.recipe.patch
        asked: list[list[Prompt]] = []
        features = []
        kind = rng.choice(("click", "click", "clicks", "box", "box"))
        for _ in range(self.schedule.batch):
            room, flip = rng.randrange(len(self.rooms)), rng.random() < 0.5
            picture, masks = self.rooms[room]
            if flip:
                picture, masks = picture[:, ::-1], _flipped(masks)
            features.append(self._features(room, flip, picture))
            asked.append(list(prompts(masks, self.recipe.prompts, kind, rng)))
        flat = [prompt for row in asked for prompt in row]
        shape = (len(asked), self.recipe.prompts)
        points = labels = boxes = None
        if kind == "box":
            boxes = torch.tensor([prompt.box for prompt in flat]).view(*shape, 4).to(self.device)
        else:
            triples = torch.tensor([prompt.points for prompt in flat]).view(*shape, -1, 3).to(self.device)
            points, labels = triples[..., :2], triples[..., 2].long()
        meanings = ("part", "whole", "full") if kind == "click" else ("whole",)
        wanted = torch.stack([_low([getattr(prompt, each) for prompt in flat], low) for each in meanings], dim=1)
        wanted = wanted.view(*shape, -1, low, low).to(self.device)
        answer = self.sam(
            image_embeddings=torch.stack(features).to(self.device),
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
        loss = (_errors(logits, wanted) * weight).sum(-1).mean() + score
        # a kind of prompt takes no part in steps of the other kinds, yet every parameter needs a gradient
        loss = loss + 0 * sum(p.sum() for p in self.sam.parameters() if p.requires_grad)
        best = overlap[:, :, 1] if kind == "click" else overlap[:, :, 0]
        return loss, {f"iou_{kind}": best.mean().item(), "score": score.item()}


def train_segmenter(run: Run, preset: SegmenterPreset, out: Path) -> None:
    """Trains encoder, then decoder, and writes the segmenter to `out`; the same call goes on after a kill.

    Raises:
        OutOfBudgetError: the deadline passed first; a snapshot was written.
    """
    rooms = Rooms(run.state, preset.segmenter.rooms, preset.size, preset.seed)
    encoder = EncoderStage(preset, rooms)
    train(encoder, run)
    stage = SegmenterStage(preset, rooms, encoder.taught.sam)
    train(stage, run)
    export_segmenter(stage.sam, out)


def export_segmenter_snapshot(preset: SegmenterPreset, state: Path, out: Path) -> int:
    """Writes what a run in progress has reached; the number of samples that its decoder has seen."""
    model = build_segmenter(preset.segmenter, preset.size)
    kept = torch.load(snapshot_path(Run(state=state, seed=preset.seed), SegmenterStage.name), weights_only=True)
    model.load_state_dict(kept["averaged"])
    export_segmenter(model, out)
    return int(kept["seen"])


def export_segmenter(model: SamModel, out: Path) -> None:
    """Replaces the folder `out` by the model (half precision) and its processor; a README there stays."""
    fresh = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    model.half().save_pretrained(fresh)
    build_processor(model).save_pretrained(fresh)
    replace_folder(fresh, out)
