"""Families of checkpoints, recognised by configs or by a file's tensors. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from magedit.backbones.checkpoints.spacing import spacing_told

Family = Literal[
    "sd1", "sd2", "sd", "instruct-pix2pix", "inpainting", "depth", "upscaling", "unclip", "lcm", "turbo", "sdxl",
    "refiner", "sd3", "flux", "flux-schnell", "flux-control", "other",
]  # fmt: skip
"""``sd`` is a UNet of Stable Diffusion's layout and of a width of its own."""

TAKEN = "use a Stable Diffusion 1.x, 2.x, XL or 3, FLUX.1 or InstructPix2Pix checkpoint"
ONLY_FOLDER = "as a single file it cannot be read; use the folder in diffusers' layout"

_PARTS = ("unet", "vae", "text_encoder", "scheduler", "tokenizer")
_TWO_ENCODERS = ("transformer", "vae", "text_encoder", "text_encoder_2", "scheduler", "tokenizer", "tokenizer_2")
_ODD_CHANNELS: Final[Mapping[int, Family]] = {9: "inpainting", 5: "depth", 7: "upscaling"}


@dataclass(frozen=True)
class Kind:
    """Facts about a family.

    ``problem``: why it is unsupported, and what to do; None: supported. ``parts``: what a checkpoint must have.
    ``packed``: latent cells along the side of one position of the network. ``map_cells``: the same for the maps that
    guidance reads, unless the checkpoint overrides it; None: as for the network.
    """

    title: str
    problem: str | None = None
    parts: tuple[str, ...] = _PARTS
    packed: int = 1
    map_cells: int | None = 4

    def cells(self, network: Mapping[str, Any]) -> int:
        """Latent cells along the side of a position of the maps that guidance reads, by the network's config."""
        return self.map_cells or self.packed * int(network.get("patch_size") or 1)

    def latent_channels(self, network: Mapping[str, Any]) -> int:
        """Channels of the latent that a network of this config works on."""
        return int(network.get("out_channels") or network.get("in_channels") or 4) // self.packed**2


def _flux(problem: str | None = None) -> Kind:
    return Kind("FLUX", problem, _TWO_ENCODERS, packed=2, map_cells=None)


KINDS: Final[Mapping[Family, Kind]] = {
    "sd1": Kind("Stable Diffusion 1.x"),
    "sd2": Kind("Stable Diffusion 2.x"),
    "sd": Kind("a checkpoint of Stable Diffusion's layout"),
    "instruct-pix2pix": Kind("an InstructPix2Pix checkpoint"),
    "inpainting": Kind("an inpainting checkpoint", "its UNet takes the mask as input; use its base model"),
    "depth": Kind("a depth-to-image checkpoint", "its UNet takes a depth map as input; use its base model"),
    "upscaling": Kind("an upscaling checkpoint", "it is an upscaler; use a text-to-image checkpoint"),
    "unclip": Kind("an unCLIP checkpoint", "it takes image embeddings as input; use its base model"),
    "lcm": Kind("a latent consistency model"),
    "turbo": Kind("a Turbo checkpoint"),
    "sdxl": Kind("Stable Diffusion XL", parts=(*_PARTS, "text_encoder_2", "tokenizer_2")),
    "refiner": Kind("a Stable Diffusion XL refiner", "it refines the base model's output; use the base model"),
    "sd3": Kind("Stable Diffusion 3", parts=_TWO_ENCODERS, map_cells=None),
    "flux": _flux(),
    "flux-schnell": _flux("it was distilled to a few steps without guidance and cannot be inverted; use FLUX.1-dev"),
    "flux-control": _flux("its transformer takes additional pictures as input (Fill, Canny, Depth); use FLUX.1-dev"),
    "other": Kind("a checkpoint of another kind", TAKEN),
}


def family_of(
    index: Mapping[str, Any], network: Mapping[str, Any], vae: Mapping[str, Any], scheduler: Mapping[str, Any]
) -> Family:
    """The family of a folder, from its ``model_index.json`` and the configs of network, VAE and scheduler."""
    name = str((index.get("transformer") or index.get("unet") or ["", ""])[1])
    if name == "SD3Transformer2DModel":
        return "sd3"
    if name == "FluxTransformer2DModel":
        return _family_of_flux(network, vae)
    return _family_of_unet(index, network, scheduler) if name == "UNet2DConditionModel" else "other"


def _family_of_flux(transformer: Mapping[str, Any], vae: Mapping[str, Any]) -> Family:
    own = transformer.get("out_channels") or int(vae.get("latent_channels") or 16) * KINDS["flux"].packed ** 2
    if int(transformer.get("in_channels") or 0) > own:
        return "flux-control"
    return "flux-schnell" if transformer and not transformer.get("guidance_embeds") else "flux"


def _family_of_unet(index: Mapping[str, Any], unet: Mapping[str, Any], scheduler: Mapping[str, Any]) -> Family:
    is_xl = unet.get("addition_embed_type") == "text_time"
    if unet.get("class_embed_type"):
        return "unclip"
    channels, out = int(unet.get("in_channels") or 4), int(unet.get("out_channels") or 4)
    if channels == 2 * out:
        return "other" if is_xl else "instruct-pix2pix"
    if channels != out:
        return _ODD_CHANNELS.get(channels, "other")
    if (unet.get("addition_embed_type") and not is_xl) or unet.get("encoder_hid_dim_type"):
        return "other"
    if is_xl:
        return "refiner" if index.get("requires_aesthetics_score") else "sdxl"
    widths: dict[Any, Family] = {768: "sd1", 1024: "sd2"}
    few_step: dict[str, Family] = {"consistency": "lcm", "trailing": "turbo"}
    spacing = spacing_told(str(scheduler.get("_class_name")), scheduler, unet)
    return few_step.get(spacing) or widths.get(unet.get("cross_attention_dim"), "sd")


def family_of_keys(keys: frozenset[str], shapes: Mapping[str, tuple[int, ...]]) -> tuple[Family, str | None]:
    """The family of a single file by its tensors' names and shapes, where known; or why it is unsupported."""

    def has(part: str) -> bool:
        return any(part in key for key in keys)

    for part, found in (("joint_blocks.", "sd3"), ("double_blocks.", "flux")):
        if has(part):
            return found, ONLY_FOLDER  # type: ignore[return-value]
    if not has("model.diffusion_model.input_blocks."):
        for part, what in (("lora_", "a LoRA"), (".lora", "a LoRA"), ("control_model.", "a ControlNet")):
            if has(part):
                return "other", f"the file is {what}, not a whole checkpoint; {TAKEN}"
        if has("decoder.conv_in") or has("decoder.up."):
            return (
                "other",
                "the file is only a VAE; set MAGEDIT_VAE to it, and MAGEDIT_CHECKPOINT to a whole checkpoint",
            )
        return "other", f"the file is not a whole checkpoint; {TAKEN}"
    is_xl = has("conditioner.embedders.")
    if not is_xl and has("diffusion_model.label_emb."):
        return "unclip", KINDS["unclip"].problem
    if is_xl and has("conditioner.embedders.0.model."):
        return "refiner", KINDS["refiner"].problem
    text = ("conditioner.embedders.0.", "conditioner.embedders.1.") if is_xl else ("cond_stage_model.",)
    for part, what in (("first_stage_model.", "VAE"), *((each, "text encoder") for each in text)):
        if not has(part):
            return "other", f"the file has no {what}: use one with the whole checkpoint"
    first = shapes.get("model.diffusion_model.input_blocks.0.0.weight")
    if first and (odd := _ODD_CHANNELS.get(first[1])):
        return odd, KINDS[odd].problem
    if first and first[1] == 8:
        return "instruct-pix2pix", ONLY_FOLDER
    if has("time_embed.cond_proj"):
        return "lcm", ONLY_FOLDER
    if is_xl:
        return "sdxl", None
    return ("sd2" if has("cond_stage_model.model.") else "sd1"), None
