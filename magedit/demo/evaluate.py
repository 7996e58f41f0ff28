"""Evaluation of a checkpoint on rooms with known results: prompts, VAE, inversion, attention, edits."""

import multiprocessing
import random
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter
from rich.progress import track

from magedit.backbones.base import sites_at
from magedit.backbones.ddim import DDIM
from magedit.backbones.stable_diffusion.attention import capturing, find_sites
from magedit.config import EditConfig, Region
from magedit.demo.captions import Caption, Mention, Style, caption_scene
from magedit.demo.draw import ELEMENT, draw_mask, draw_scene
from magedit.demo.edits import DemoEdit
from magedit.demo.flow_model import FlowModel
from magedit.demo.judge import find_things, satisfied, shows
from magedit.demo.model import DemoModel
from magedit.demo.scene import UNITS, Scene, sample_scene
from magedit.pipelines.mag_edit import MAGEditPipeline

POINTING_STEPS = (0.3, 0.5, 0.7)
"""Noise levels (shares of the training schedule) at which attention maps are read."""


FLOW_TIMES = (0.4, 0.6, 0.8)
"""Times, of a flow from 0 (picture) to 1 (noise), at which attention maps are read."""


class Painter(Protocol):
    """Interface of a checkpoint of any family to the picture metrics."""

    @property
    def size(self) -> int:
        """Side of the pictures in pixels."""

    def encode(self, picture: Image.Image) -> torch.Tensor:
        """The latent of a picture."""

    def decode(self, latents: torch.Tensor) -> list[Image.Image]:
        """The pictures of latents."""

    def draw(self, prompts: list[str], *, steps: int, seed: int = 0) -> list[Image.Image]:
        """Pictures of prompts, with guidance."""

    def invert_and_redraw(self, latent: torch.Tensor, prompt: str, *, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The inverted noise of a latent and the reconstructed latent, both without guidance."""


@dataclass
class Tally:
    """Counts of questions and correct answers, by class."""

    right: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)

    def note(self, kind: str, is_right: bool) -> None:
        """Count one question."""
        self.asked[kind] = self.asked.get(kind, 0) + 1
        self.right[kind] = self.right.get(kind, 0) + int(is_right)

    @property
    def share(self) -> float:
        """Share of correct answers over all classes, in [0, 1]."""
        return sum(self.right.values()) / max(1, sum(self.asked.values()))

    def table(self) -> dict[str, str]:
        """ "right/asked" by class."""
        return {kind: f"{self.right[kind]}/{self.asked[kind]}" for kind in sorted(self.asked)}


def held_out(number: int, seed: int, style: Style) -> list[tuple[Scene, Caption]]:
    """Captioned rooms that no training run has seen (from a separate seed)."""
    rng = random.Random(f"{seed}/held out")
    scenes = [sample_scene(rng) for _ in range(number)]
    return [(scene, caption_scene(scene, rng, style)) for scene in scenes]


def psnr(one: Image.Image, other: Image.Image, where: NDArray[np.bool_] | None = None) -> float:
    """Peak signal-to-noise ratio in dB of two pictures of the same size, over the pixels where `where` is true."""
    square = np.square(np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)).mean(-1)
    mean = square.mean() if where is None else square[where].mean()
    return float(10 * np.log10(255**2 / max(float(mean), 1e-4)))


def _side_by_side(rows: Iterable[Sequence[Image.Image]], size: int) -> Image.Image:
    lines = [list(row) for row in rows]
    sheet = Image.new("RGB", (size * max(map(len, lines)), size * len(lines)))
    for y, line in enumerate(lines):
        for x, picture in enumerate(line):
            sheet.paste(picture.convert("RGB").resize((size, size)), (x * size, y * size))
    return sheet


def prompt_following(
    model: Painter, number: int, *, steps: int = 50, seed: int = 0
) -> tuple[dict[str, Any], Image.Image]:
    """Objects drawn in the requested colour and pattern, in sampled pictures and in true ones (the ceiling).

    The true pictures pass through the VAE too, so that the ceiling is what a perfect model would reach.
    """
    style = Style(omission=0.0, synonym=0.0, negation=0.0, article=0.0)
    rooms = held_out(number, seed, style)
    tallies = {name: Tally() for name in ("drawn", "drawn_with_side", "true", "true_with_side")}
    pairs = []
    for start in track(range(0, number, 4), "prompts"):
        chosen = rooms[start : start + 4]
        drawn = model.draw([caption.text for _, caption in chosen], steps=steps, seed=seed + start)
        for (scene, caption), picture in zip(chosen, drawn, strict=True):
            true = model.decode(model.encode(draw_scene(scene, model.size)))[0]
            pairs.append((draw_scene(scene, model.size), picture))
            for name, shown in (("drawn", picture), ("true", true)):
                for mention in caption.mentions:
                    found = find_things(shown, mention.kind)
                    tallies[name].note(mention.kind, satisfied(mention, found, where=False))
                    tallies[f"{name}_with_side"].note(mention.kind, satisfied(mention, found, where=True))
    figures = {name: round(tally.share, 4) for name, tally in tallies.items()}
    figures["of_ceiling"] = round(figures["drawn"] / max(figures["true"], 1e-9), 4)
    rows = []
    for start in range(0, min(number, 32), 8):
        line = pairs[start : start + 8]
        rows += [[true for true, _ in line], [drawn for _, drawn in line]]
    return {"prompts": number, **figures, "by_class": tallies["drawn"].table()}, _side_by_side(rows, 128)


def vae_quality(model: Painter, number: int, *, seed: int = 0) -> dict[str, float]:
    """PSNR in dB of pictures passed through the VAE: mean and minimum over rooms."""
    values = []
    for scene, _ in held_out(number, seed, Style()):
        picture = draw_scene(scene, model.size)
        values.append(psnr(picture, model.decode(model.encode(picture))[0]))
    return {"pictures": number, "mean_db": round(fmean(values), 2), "worst_db": round(min(values), 2)}


def inversion_quality(model: Painter, number: int, *, steps: int = 50, seed: int = 0) -> dict[str, float]:
    """Inversion and sampling back, without guidance: PSNR in dB against the VAE's picture and the true
    one."""
    against_vae, against_true, vae, deviations = [], [], [], []
    for scene, caption in track(held_out(number, seed, Style()), "inversion"):
        picture = draw_scene(scene, model.size)
        latent = model.encode(picture)
        inverted, redrawn = model.invert_and_redraw(latent, caption.text, steps=steps)
        plain, again = model.decode(latent)[0], model.decode(redrawn)[0]
        against_vae.append(psnr(plain, again))
        against_true.append(psnr(picture, again))
        vae.append(psnr(picture, plain))
        deviations.append(float(inverted.std()))
    return {
        "pictures": number,
        "against_vae_db": round(fmean(against_vae), 2),
        "against_true_db": round(fmean(against_true), 2),
        "vae_db": round(fmean(vae), 2),
        "noise_std": round(fmean(deviations), 3),
    }


@torch.no_grad()
def attention_pointing(model: DemoModel, number: int, side: int, *, seed: int = 0) -> dict[str, Any]:
    """Whether a noun's cross-attention map, `side` x `side`, points at its object.

    Maps are averaged over heads, layers and three noise levels of the true latent. "pointing" is the share
    of nouns whose strongest cell touches the object, "in_mask" the mean share of the map inside it, "area"
    what chance gives.
    """
    layers = sites_at(find_sites(model.unet, model.unet.config.sample_size), side)
    schedule = DDIM.from_scheduler(model.scheduler, 50)
    tally, shares, areas = Tally(), [], []
    style = Style(negation=0.0, omission=0.0)
    for index, (scene, caption) in enumerate(track(held_out(number, seed, style), "attention")):
        latent, text = model.encode(draw_scene(scene, model.size)), model.embed([caption.text])
        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed + index)).to(model.device)
        total = torch.zeros(side * side, text.shape[1])
        for level in POINTING_STEPS:
            timestep = int(level * len(schedule.alphas_cumprod))
            alpha = schedule.alpha(timestep)
            with capturing(model.unet, layers) as maps:
                model.noise(alpha**0.5 * latent + (1 - alpha) ** 0.5 * noise, timestep, text)
                total += torch.stack([one.mean(0) for one in maps.values()]).mean(0).cpu()
        for mention in caption.mentions:
            mask = _mask_of(scene, mention, side, model.size)
            heat = total[:, mention.noun + 1].view(side, side).numpy()
            tally.note(mention.kind, bool(mask.flatten()[heat.argmax()] > 0))
            shares.append(float((heat * mask).sum() / heat.sum()))
            areas.append(float(mask.mean()))
    return {
        "nouns": sum(tally.asked.values()),
        "pointing": round(tally.share, 4),
        "in_mask": round(fmean(shares), 4),
        "area": round(fmean(areas), 4),
        "by_class": tally.table(),
    }


def _mask_of(scene: Scene, mention: Mention, side: int, size: int) -> NDArray[np.float64]:
    """The share of each of `side` x `side` cells covered by the objects of a mention."""
    mask = np.zeros((side, side))
    for thing in mention.things:
        shown = draw_mask(scene, scene.things[thing], size=size)
        mask = np.maximum(mask, np.asarray(shown.resize((side, side), Image.Resampling.BOX)) / 255)
    return mask


def flow_pointing(model: FlowModel, number: int, *, seed: int = 0) -> dict[str, Any]:
    """Whether a noun's map points at its object, by block of the transformer and time of the flow.

    "pointing" is the share of nouns whose strongest cell touches the object, at each of `FLOW_TIMES`; "in_mask" the
    mean share of the map (over all cells) inside it, "area" what chance gives.
    """
    pointing: dict[tuple[int, float], list[float]] = {}
    inside: dict[tuple[int, float], list[float]] = {}
    areas = []
    for index, (scene, caption) in enumerate(
        track(held_out(number, seed, Style(negation=0.0, omission=0.0)), "attention")
    ):
        latent = model.encode(draw_scene(scene, model.size))
        maps = {time: model.word_maps(latent, time, caption.text, seed=seed + index) for time in FLOW_TIMES}
        for mention in caption.mentions:
            mask = _mask_of(scene, mention, next(iter(maps.values())).shape[1], model.size)
            areas.append(float(mask.mean()))
            for time, blocks in maps.items():
                for block, heats in enumerate(blocks[..., mention.noun + 1].numpy()):
                    pointing.setdefault((block, time), []).append(float(mask.flatten()[heats.argmax()] > 0))
                    inside.setdefault((block, time), []).append(float((heats * mask).sum() / heats.sum()))
    return {
        "nouns": len(areas),
        "area": round(fmean(areas), 4),
        "by_block": {
            block: {
                "pointing": {time: round(fmean(pointing[block, time]), 4) for time in FLOW_TIMES},
                "in_mask": {time: round(fmean(inside[block, time]), 4) for time in FLOW_TIMES},
            }
            for block in sorted({block for block, _ in pointing})
        },
    }


def read_back(edit: DemoEdit, picture: Image.Image) -> bool:
    """Whether a picture shows the requested edit: added objects are present, removed ones are absent."""
    if edit.appearing:
        return all(shows(picture, thing, edit.target) for thing in edit.appearing)
    return not any(shows(picture, thing, edit.source) for thing in edit.vanishing)


def judge_edit(edit: DemoEdit, result: Image.Image, size: int) -> dict[str, float]:
    """Comparison of an edit's result with the truth.

    "left" is the mean absolute error inside the mask divided by that of the unedited picture: 0 is perfect, 1 is
    unchanged. An edit succeeds if, inside the mask, its result is closer to the truth than to the source and shows the
    requested change ("read"). Prompts do not determine the phase of a pattern, so a new pattern is compared after a
    blur that keeps its mean colour and the object's shape but removes dots, stripes and checks.
    """
    inside = np.asarray(edit.mask(size)) > 0
    truth, source = edit.truth(size), edit.image(size)
    radius = ELEMENT * size / UNITS if edit.kind == "pattern" else 0.0

    def seen(picture: Image.Image) -> Image.Image:
        return picture.convert("RGB").filter(ImageFilter.GaussianBlur(radius)) if radius else picture

    def distance(one: Image.Image, other: Image.Image) -> float:
        return float(np.asarray(ImageChops.difference(seen(one), seen(other)), dtype=np.float64)[inside].mean())

    wrong, read = distance(result, truth), read_back(edit, result)
    return {
        "left": round(wrong / distance(source, truth), 4),
        "read": float(read),
        "success": float(read and wrong < distance(result, source)),
        "inside_db": round(psnr(result, truth, inside), 2),
        "outside_db": round(psnr(result, truth, ~inside), 2),
    }


def load_pipeline(folder: Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> MAGEditPipeline:
    """The editing pipeline for a checkpoint folder."""
    pipeline: MAGEditPipeline = MAGEditPipeline.from_pretrained(folder, dtype=dtype).to(device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def carry_out(pipeline: MAGEditPipeline, edit: DemoEdit, configs: Mapping[str, EditConfig]) -> dict[str, Image.Image]:
    """The result of an edit under each configuration, by configuration name."""
    size = pipeline.size
    results = {}
    for name, config in configs.items():
        # a removal adds no word that guidance could raise
        used = config if edit.words else EditConfig(**{**vars(config), "method": "p2p"})
        result = pipeline(
            edit.image(size),
            [edit.mask(size)],
            edit.source_prompt,
            edit.target_prompt,
            [Region(words=edit.words)],
            used,
        ).images[0]
        assert isinstance(result, Image.Image)
        results[name] = result
    return results


_PAINTER: dict[str, MAGEditPipeline] = {}
"""The pipeline of a process of `edit_quality`, loaded when it starts."""


def _start_painter(folder: Path, device: str) -> None:
    torch.set_num_threads(1)
    _PAINTER["pipeline"] = load_pipeline(folder, device)


def _paint(edit: DemoEdit, configs: Mapping[str, EditConfig]) -> dict[str, Image.Image]:
    return carry_out(_PAINTER["pipeline"], edit, configs)


def edit_quality(
    folder: Path,
    edits: Sequence[DemoEdit],
    configs: Mapping[str, EditConfig],
    *,
    device: str = "cpu",
    processes: int = 1,
) -> tuple[dict[str, Any], Image.Image]:
    """Edits with known truth by the checkpoint in `folder` under several configurations: by configuration,
    complexity and kind.

    Each row of the grid: source, truth, then one result each. Pictures are the checkpoint's size.
    """
    size = load_pipeline(folder, device).size
    rows = []
    scores: dict[str, dict[str, dict[str, list[dict[str, float]]]]] = {name: {} for name in configs}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, initializer=_start_painter, initargs=(folder, device)) as painters:
        painted = painters.map(_paint, edits, [configs] * len(edits))
        for edit, results in track(zip(edits, painted, strict=True), "edits", total=len(edits)):
            for name, result in results.items():
                groups = scores[name].setdefault(edit.complexity, {})
                groups.setdefault(edit.kind, []).append(judge_edit(edit, result, size))
            rows.append([edit.image(size), edit.truth(size), *results.values()])
    tables = {name: {group: _summary(kinds) for group, kinds in sets.items()} for name, sets in scores.items()}
    return tables, _side_by_side(rows, size)


def _summary(kinds: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    everything = [one for results in kinds.values() for one in results]
    table: dict[str, Any] = {}
    for kind, results in {**kinds, "all": everything}.items():
        table[kind] = {
            "success": f"{int(sum(one['success'] for one in results))}/{len(results)}",
            **{
                name: round(fmean(one[name] for one in results), 3)
                for name in ("left", "read", "inside_db", "outside_db")
            },
        }
    return table
