"""The segmenter: a small model of SAM's layout that finds the objects of a room by clicks and boxes."""

import math
import os
import random
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
from magedit.masks.polygons import box_of
from recipes.export import replace_folder
from recipes.presets.parameters import SegmenterPreset, SegmenterRecipe
from recipes.training.loop import Run, snapshot_path, train

MEAN: Final = (0.5, 0.5, 0.5)
DEVIATION: Final = (0.25, 0.25, 0.25)
LOOSE: Final = 2.5
"""Largest random offset of a box's edges, in pixels."""
DENSE: Final = 20.0
"""Weight of the auxiliary loss on the encoder: the boxes of each cell's object and part."""
SMALLEST: Final = 12
"""Pixels of the smallest object in training prompts."""
CANDIDATES: Final = 3
"""Masks for one click: the part, the whole object, and the object with those in front of it."""


def _places(side: int, width: int) -> Tensor:
    """Initial position embedding, sines and cosines of the cells' places: (1, side, side, width)."""
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
        attn_implementation="eager",  # on a CPU, attention to a handful of prompts is three times as fast this way
    )
    model = SamModel(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2 and ("lin" in name or "proj" in name or "qkv" in name or "layers" in name):
            nn.init.trunc_normal_(parameter, std=parameter.shape[1] ** -0.5)
        elif name.endswith("pos_embed"):
            parameter.data.copy_(0.2 * _places(parameter.shape[1], parameter.shape[3]))
        elif parameter.ndim == 4:
            nn.init.kaiming_normal_(parameter, nonlinearity="linear")
    # SAM's own deviation of the random frequencies; transformers' default decorrelates neighbours
    nn.init.normal_(model.shared_image_embedding.positional_embedding, std=1.0)
    model.shared_image_embedding.positional_embedding.requires_grad_(False)
    return model


def build_processor(model: SamModel) -> SamProcessor:
    """The processor from pictures and prompts to the model's inputs."""
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
    """The masks that a room's clicks and boxes can mean: (n, size, size) each, bool."""

    whole: NDArray[np.bool_]
    """Visible pixels of each object; the wall and the floor last."""
    part: NDArray[np.bool_]
    """Parts of the objects."""
    owner: NDArray[np.int64]
    """The object of each part."""
    full: NDArray[np.bool_]
    """Each object with those in front of it."""

    @property
    def stack(self) -> NDArray[np.bool_]:
        """All three, one after the other."""
        return np.concatenate([self.whole, self.part, self.full])


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


def _pixels(picture: NDArray[np.uint8], rng: random.Random) -> Tensor:
    """The picture as the model takes it, (3, size, size), in other light, and now and then softer or noisier, as
    diffusion models draw."""
    gain = torch.tensor([rng.uniform(0.85, 1.15) for _ in range(3)])[:, None, None]
    pixels = torch.from_numpy(picture).permute(2, 0, 1) / 255 * gain + rng.uniform(-0.06, 0.06)
    if rng.random() < 0.4:
        soft = F.avg_pool2d(pixels[None], 3, 1, 1, count_include_pad=False)[0]
        pixels = torch.lerp(pixels, soft, rng.random())
    if rng.random() < 0.4:
        generator = torch.Generator().manual_seed(rng.getrandbits(62))
        pixels = pixels + rng.uniform(0, 0.05) * torch.randn(pixels.shape, generator=generator)
    return (pixels.clamp(0, 1) - MEAN[0]) / DEVIATION[0]


@dataclass(frozen=True)
class Prompts:
    """Prompts about one room, in pixels, and the masks they refer to."""

    clicks: Tensor
    """x and y: (number, 1, 2)."""
    series: Tensor
    """x, y and label (1: foreground, 0: background) of several clicks for one object: (number, n, 3)."""
    boxes: Tensor
    """Corners: (number, 4)."""
    click_targets: Tensor
    """Indices in `Targets.stack` of the part, the object, and the object with those in front of it: (number, 3)."""
    series_targets: Tensor
    box_targets: Tensor
    """Indices in `Targets.stack` of the object: (number, 1)."""


def _pixel(where: NDArray[np.int64], size: int, rng: random.Random) -> tuple[int, int]:
    row, column = divmod(int(where[rng.randrange(len(where))]), size)
    return column, row


def sample_prompts(masks: Targets, number: int, length: int, rng: random.Random) -> Prompts:
    """`number` single clicks, series of `length` clicks, and boxes, for random objects of a room."""
    size = masks.whole.shape[-1]
    inside = [np.flatnonzero(mask) for mask in masks.whole]
    outside = [np.flatnonzero(~mask) for mask in masks.whole]
    things = len(inside) - 2  # the last two are the wall and the floor

    def thing() -> int:
        index = rng.randrange(things) if things and rng.random() < 0.88 else things + rng.randrange(2)
        return index if len(inside[index]) >= SMALLEST else things

    clicks, by_click, series, by_series, boxes, by_box = [], [], [], [], [], []
    for _ in range(number):
        index = thing()
        x, y = _pixel(inside[index], size, rng)
        under = np.flatnonzero((masks.owner == index) & masks.part[:, y, x])
        part = len(inside) + int(under[0]) if len(under) else index
        clicks.append([(x, y)])
        by_click.append((part, index, len(inside) + len(masks.part) + index))

        index = thing()
        row = [(*_pixel(inside[index], size, rng), 1)]
        for _ in range(length - 1):
            positive = rng.random() < 0.5 or not len(outside[index])
            row.append((*_pixel((inside if positive else outside)[index], size, rng), int(positive)))
        series.append(row)
        by_series.append([index])

        index = thing()
        x, y, width, height = box_of(masks.whole[index])
        loose = rng.uniform(0, LOOSE)
        edges = (x, y, x + width, y + height)
        x0, y0, x1, y1 = (min(max(edge + rng.uniform(-loose, loose), 0), size) for edge in edges)
        boxes.append((x0, y0, max(x1, x0 + 2), max(y1, y0 + 2)))
        by_box.append([index])
    return Prompts(
        torch.tensor(clicks, dtype=torch.float32),
        torch.tensor(series, dtype=torch.float32),
        torch.tensor(boxes),
        torch.tensor(by_click),
        torch.tensor(by_series),
        torch.tensor(by_box),
    )


def _errors(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross entropy, weighted towards uncertain pixels, plus Dice, per mask: (..., h, w) to (...)."""
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


def _boxes(masks: NDArray[np.bool_], cells: int) -> Tensor:
    """Of each cell the box, 0..1, of the mask that covers most of it: (4, cells, cells)."""
    side = masks.shape[-1]
    covered = F.adaptive_avg_pool2d(torch.from_numpy(masks).float(), cells)
    boxes = []
    for mask in masks:
        x, y, width, height = box_of(mask) if mask.any() else (0, 0, 0, 0)
        boxes.append((x, y, x + width, y + height))
    table = torch.tensor(boxes) / side
    of_cells: Tensor = table[covered.argmax(0)].permute(2, 0, 1)
    return of_cells


class Taught(nn.Module):
    """The segmenter with a head that is left out in the end: it teaches the encoder which cells belong together.

    From the picture alone it tells of every cell of a mask the boxes of the thing and of the part that are seen there.
    """

    def __init__(self, sam: SamModel, width: int) -> None:
        super().__init__()
        self.sam = sam
        self.dense_head = nn.Sequential(nn.Conv2d(width, 8 * 16, 1), nn.PixelShuffle(4))


class SegmenterStage:
    """Clicks and boxes in fresh rooms. The three masks of a click have fixed targets; scores estimate each mask's IoU
    with the whole object."""

    name = "segmenter"

    def __init__(self, preset: SegmenterPreset) -> None:
        self.recipe, self.size = preset.segmenter, preset.size
        self.schedule, self.average = self.recipe.schedule, self.recipe.average
        self.device = torch.device(preset.device)
        torch.manual_seed(preset.seed)
        sam = build_segmenter(self.recipe, preset.size)
        sam.prompt_encoder.mask_embed.requires_grad_(False)  # no prompts by mask
        self.taught = Taught(sam, self.recipe.decoder_width).to(self.device)
        self.model: nn.Module = self.taught

    def loss(self, seed: str, progress: float) -> tuple[Tensor, dict[str, float]]:
        """See `Stage.loss`; logs the mean IoU of whole objects by single click, series of clicks and box."""
        del progress  # all steps are alike
        rng = random.Random(seed)
        cells = 4 * self.size // self.recipe.patch
        length = rng.choice((2, 3))
        pictures, stacks, prompts, dense = [], [], [], []
        for _ in range(self.schedule.batch):
            scene = sample_varied_scene(rng)
            masks = targets(scene, self.size)
            dense.append(torch.cat([_boxes(masks.whole, cells), _boxes(masks.part, cells)]))
            stacks.append(torch.from_numpy(masks.stack))
            pictures.append(_pixels(np.array(draw_scene(scene, self.size)), rng))
            prompts.append(sample_prompts(masks, self.recipe.prompts, length, rng))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
            features = self.taught.sam.vision_encoder(torch.stack(pictures).to(self.device))[0]
            boxes = self.taught.dense_head(features)
        loss = DENSE * F.smooth_l1_loss(boxes.float(), torch.stack(dense).to(self.device), beta=0.02)
        figures = {"dense": loss.item() / DENSE}
        weights = {"click": (0.3, 1.0, 0.3), "series": (1.0,), "box": (1.0,)}
        for kind, weight in weights.items():
            logits, scores = self._answers(kind, prompts, features)
            chosen = [getattr(each, f"{kind}_targets") for each in prompts]
            wanted = torch.stack([room[which] for room, which in zip(stacks, chosen, strict=True)])
            wanted = wanted.to(self.device, torch.float32)
            whole = wanted[:, :, 1:2] if kind == "click" else wanted
            overlap = _overlap(logits.detach(), whole)
            errors = (_errors(logits, wanted) * logits.new_tensor(weight)).sum(-1).mean()
            loss = loss + errors + F.mse_loss(scores, overlap)
            figures[f"iou_{kind}"] = overlap[:, :, len(weight) // 2].mean().item()
        return loss, figures

    def _answers(self, kind: str, prompts: list[Prompts], features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (rooms, prompts, masks, size, size) and scores (rooms, prompts, masks) of one kind of prompt.

        Logits are upsampled as at inference: their magnitude is larger outside an object than inside, so a loss at the
        decoder's resolution leaves the upsampled masks too small.
        """
        points = labels = boxes = None
        if kind == "box":
            boxes = torch.stack([each.boxes for each in prompts]).to(self.device)
        elif kind == "click":
            points = torch.stack([each.clicks for each in prompts]).to(self.device)
            labels = torch.ones(points.shape[:3], dtype=torch.long, device=self.device)
        else:
            triples = torch.stack([each.series for each in prompts]).to(self.device)
            points, labels = triples[..., :2], triples[..., 2].long()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bfloat16):
            answer = self.taught.sam(
                image_embeddings=features,
                input_points=points,
                input_labels=labels,
                input_boxes=boxes,
                multimask_output=kind == "click",
            )
        masks = answer.pred_masks.float()
        logits = F.interpolate(masks.flatten(0, 1), (self.size, self.size), mode="bilinear")
        return logits.view(*masks.shape[:3], *logits.shape[2:]), answer.iou_scores.float()


def train_segmenter(run: Run, preset: SegmenterPreset, out: Path) -> None:
    """Trains, and writes the segmenter to `out`; the same call goes on after a kill.

    Raises:
        OutOfBudgetError: the deadline passed first; a snapshot was written.
    """
    stage = SegmenterStage(preset)
    train(stage, run)
    export_segmenter(stage.taught.sam, out)


def export_segmenter_snapshot(preset: SegmenterPreset, state: Path, out: Path) -> int:
    """Writes what a run in progress has reached; the number of samples that its decoder has seen."""
    taught = SegmenterStage(preset).taught
    kept = torch.load(snapshot_path(Run(state=state, seed=preset.seed), SegmenterStage.name), weights_only=True)
    taught.load_state_dict(kept["averaged"])
    export_segmenter(taught.sam, out)
    return int(kept["seen"])


def export_segmenter(model: SamModel, out: Path) -> None:
    """Replaces the folder `out` by the model (half precision) and its processor; a README there stays."""
    fresh = out.with_name(f"{out.name}.{os.getpid()}.tmp")
    model.half().save_pretrained(fresh)
    build_processor(model).save_pretrained(fresh)
    replace_folder(fresh, out)
