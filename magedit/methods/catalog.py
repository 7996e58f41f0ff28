"""What each method and each inversion is: paper, inputs, parameters, what goes together, planned passes. Free of torch.

The functions themselves are `magedit.methods.METHODS` and `magedit.inversion.INVERSIONS`; a method is one file there,
one line in its table, and one card here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Literal

from magedit.config import EditConfig, InversionName, MethodName
from magedit.errors import NotTogether, UnknownMethod
from magedit.passes import Passes
from magedit.report import Stage

InputName = Literal["image", "mask", "source_prompt", "target_prompt", "words"]
Plan = Callable[[EditConfig], Mapping[Stage, Passes]]

LOOKS = 2.2
"""Gradients of a guided step when one serves several updates: measured, 53 to 58 in 25 steps of the demo's edits."""


@dataclass(frozen=True, kw_only=True)
class Paper:
    """Where a method comes from."""

    title: str
    arxiv: str


@dataclass(frozen=True, kw_only=True)
class InversionCard:
    """One inversion. ``parameters`` are the fields of `EditConfig` that it reads, ``plan`` the passes beyond the
    T of the trajectory itself. ``full_precision``: it needs a UNet in float32."""

    name: InversionName
    summary: str
    paper: Paper
    parameters: tuple[str, ...] = ()
    plan: Plan = lambda _: {}
    full_precision: bool = False


@dataclass(frozen=True, kw_only=True)
class MethodCard:
    """One method.

    ``inputs`` are the parts of a request that it looks at, ``inversions`` those it can start from (none: it inverts
    nothing), ``parameters`` the fields of `EditConfig` that it reads besides ``method`` and ``inversion``; ``plan``
    gives the passes of one result per stage, without those of the inversion and without ``shared``, those that all
    results of an edit share. ``own_checkpoint``: it needs one of InstructPix2Pix layout
    (`magedit.pipelines.instruct`), which no other method can use.
    """

    name: MethodName
    summary: str
    papers: tuple[Paper, ...]
    inputs: tuple[InputName, ...]
    inversions: tuple[InversionName, ...]
    parameters: tuple[str, ...]
    plan: Plan
    shared: Plan = lambda _: {}
    own_checkpoint: bool = False


_WHOLE_EDIT: tuple[InputName, ...] = ("image", "mask", "source_prompt", "target_prompt")
_EVERYWHERE = (
    *("steps", "guidance_scale", "negative_prompt", "mask_resampling", "crop_context", "paste_margin"),
    *("eta", "seed", "n"),
)
_INVERTED = (*_EVERYWHERE, "variation")
_INSTRUCTED = (
    *("steps", "guidance_scale", "image_guidance_scale", "negative_prompt", "crop_context", "paste_margin"),
    *("eta", "seed", "n"),
)
_BLEND = ("blend_fraction",)
_P2P = ("injection", "cross_replace", "cross_replace_words", "self_replace", "self_replace_max_positions", "equalizer")
_PNP = ("feature_replace", "self_replace")
_GUIDANCE = (
    *(
        "constraint",
        "strength",
        "sweep",
        "scale",
        "max_iterations",
        "gradient_tolerance",
        "stop_margin",
        "stop_contrast",
        "guided_fraction",
        "guided_from",
    ),
    *("token_weight", "spatial_weight", "spatial_lambda", "inject_edit_words"),
)


def _source(config: EditConfig) -> Mapping[Stage, Passes]:
    """What T steps of the edit need of the source: all of it, or only the maps where its latents are stored."""
    if config.inversion not in {"direct", "null-text"}:
        return {Stage.EDIT: Passes(forward=config.steps)}
    return {Stage.EDIT: Passes(truncated=config.source_steps)}


def _along(config: EditConfig) -> Mapping[Stage, Passes]:
    return {Stage.EDIT: Passes(forward=config.steps)}


def _guided(config: EditConfig) -> Mapping[Stage, Passes]:
    looks = min(config.iterations, LOOKS) if config.gradient_tolerance else config.iterations
    gradients = config.guided_steps * looks
    return {Stage.EDIT: Passes(forward=config.steps, truncated=gradients, backward=gradients)}


def _alone(config: EditConfig) -> Mapping[Stage, Passes]:
    contrast = config.mask_maps if config.mask_source == "own" else 0
    return {Stage.EDIT: Passes(forward=config.steps - config.skipped_steps + contrast)}


def _tuned(config: EditConfig) -> Mapping[Stage, Passes]:
    return {Stage.EDIT: Passes(forward=config.steps + config.tuned_steps)}


def _tuning(config: EditConfig) -> Mapping[Stage, Passes]:
    return {Stage.OPTIMIZE: Passes(forward=config.tune_steps, backward=config.tune_steps)}


def _null_text(config: EditConfig) -> Mapping[Stage, Passes]:
    updates = config.steps * config.null_text_iterations
    return {Stage.OPTIMIZE: Passes(forward=2 * config.steps + updates, backward=updates)}


def _style(config: EditConfig) -> Mapping[Stage, Passes]:
    updates = sum(map(config.style_updates, range(config.steps)))
    return {Stage.OPTIMIZE: Passes(forward=2 * config.steps + updates, truncated=config.steps, backward=updates)}


INVERSION_CARDS: Mapping[InversionName, InversionCard] = MappingProxyType(
    {
        card.name: card
        for card in (
            InversionCard(
                name="direct",
                summary="Keeps the DDIM trajectory as the source branch: exact, nothing is optimised.",
                paper=Paper(title="Direct Inversion", arxiv="2310.01506"),
            ),
            InversionCard(
                name="ddim",
                summary="The DDIM trajectory; the source is sampled again from its end.",
                paper=Paper(title="Denoising Diffusion Implicit Models", arxiv="2010.02502"),
            ),
            InversionCard(
                name="null-text",
                summary="Optimises each step's unconditional embedding until guided sampling follows the trajectory.",
                paper=Paper(title="Null-text Inversion", arxiv="2211.09794"),
                parameters=(
                    "guidance_scale",
                    *(field.name for field in fields(EditConfig) if field.name.startswith("null_text")),
                ),
                plan=_null_text,
                full_precision=True,
            ),
            InversionCard(
                name="negative-prompt",
                summary="Takes the source prompt as the unconditional one: guidance cancels on the source.",
                paper=Paper(title="Negative-prompt Inversion", arxiv="2305.16807"),
            ),
            InversionCard(
                name="proximal",
                summary="Negative-prompt inversion whose guidance keeps only its largest part: less changes by chance.",
                paper=Paper(title="Proximal Guidance", arxiv="2306.05414"),
                parameters=("guidance_scale", "proximal_norm", "proximal_quantile", "proximal_reconstruction"),
            ),
            InversionCard(
                name="style",
                summary="Trains a small network per picture that gives the values of cross attention, keys left alone.",
                paper=Paper(title="StyleDiffusion", arxiv="2303.15649"),
                parameters=("guidance_scale", "style_iterations", "style_replace"),
                plan=_style,
            ),
        )
    }
)

_ALL: tuple[InversionName, ...] = tuple(INVERSION_CARDS)

METHOD_CARDS: Mapping[MethodName, MethodCard] = MappingProxyType(
    {
        card.name: card
        for card in (
            MethodCard(
                name="mag-edit",
                summary="Optimises the latent until the edit words win cross attention inside the mask, on "
                "Prompt-to-Prompt's injection or on PnP's.",
                papers=(Paper(title="MAG-Edit", arxiv="2312.11396"),),
                inputs=(*_WHOLE_EDIT, "words"),
                inversions=_ALL,
                parameters=(*_INVERTED, *_GUIDANCE, *_P2P, "feature_replace", "local_blend", *_BLEND),
                plan=_guided,
                shared=_source,
            ),
            MethodCard(
                name="p2p",
                summary="Injects the source's cross and self attention; the prompts alone say what changes.",
                papers=(Paper(title="Prompt-to-Prompt", arxiv="2208.01626"),),
                inputs=_WHOLE_EDIT,
                inversions=_ALL,
                parameters=(*_INVERTED, "guided_fraction", *_P2P, "local_blend", *_BLEND),
                plan=_along,
                shared=_source,
            ),
            MethodCard(
                name="pnp",
                summary="Injects the source's features and self attention into the decoder of the UNet.",
                papers=(Paper(title="Plug-and-Play Diffusion Features", arxiv="2211.12572"),),
                inputs=_WHOLE_EDIT,
                inversions=_ALL,
                parameters=(*_INVERTED, "guided_fraction", *_PNP, *_BLEND),
                plan=_along,
                shared=_source,
            ),
            MethodCard(
                name="diffedit",
                summary="Decodes the target prompt from a middle noise level inside the mask, the trajectory outside; "
                "finds the mask itself if it is told to.",
                papers=(Paper(title="DiffEdit", arxiv="2210.11427"),),
                inputs=_WHOLE_EDIT,
                # StyleDiffusion learns values of a source branch, which this method does not sample.
                inversions=tuple(name for name in _ALL if name != "style"),
                parameters=(*_INVERTED, "guided_fraction", "skip_fraction", "mask_source", "mask_maps", "mask_ratio"),
                plan=_alone,
            ),
            MethodCard(
                name="blended-latent",
                summary="Draws the target prompt inside the mask and takes the noised source outside at every step.",
                papers=(Paper(title="Blended Latent Diffusion", arxiv="2206.02779"),),
                inputs=("image", "mask", "target_prompt"),
                inversions=(),
                parameters=(*_EVERYWHERE, "guided_fraction", "skip_fraction"),
                plan=_alone,
            ),
            MethodCard(
                name="sine",
                summary="Tunes a copy of the model on the one picture, then samples under both models' guidance.",
                papers=(Paper(title="SINE", arxiv="2212.04489"),),
                inputs=_WHOLE_EDIT,
                inversions=(),
                parameters=(
                    *(*_EVERYWHERE, "guided_fraction", *_BLEND),
                    *("tune_steps", "tune_learning_rate", "tune_weight", "tune_fraction"),
                ),
                plan=_tuned,
                shared=_tuning,
            ),
            MethodCard(
                name="instruct-pix2pix",
                summary="Follows an instruction, with a checkpoint that was trained to.",
                papers=(Paper(title="InstructPix2Pix", arxiv="2211.09800"),),
                inputs=("image", "mask", "target_prompt"),
                inversions=(),
                parameters=_INSTRUCTED,
                plan=_along,
                own_checkpoint=True,
            ),
            MethodCard(
                name="magicbrush",
                summary="InstructPix2Pix tuned on edits that people made and judged.",
                papers=(Paper(title="MagicBrush", arxiv="2306.10012"),),
                inputs=("image", "mask", "target_prompt"),
                inversions=(),
                parameters=_INSTRUCTED,
                plan=_along,
                own_checkpoint=True,
            ),
        )
    }
)

CHOSEN = ("sweep", "equalizer", "cross_replace_words", "local_blend", "skip_fraction", "mask_source")
"""Parameters that are off unless they are given: a method that has no use for one refuses it. Of others it takes
no notice, so that one set of parameters serves several methods."""


def for_method(config: EditConfig, method: MethodName) -> EditConfig:
    """``config`` for one of several methods that are compared: without what this one has no use for."""
    card, default = METHOD_CARDS[method], EditConfig()
    unused = {name: getattr(default, name) for name in CHOSEN if name not in card.parameters}
    if not card.inversions:
        unused["inversion"] = default.inversion
    if method == "p2p" and config.injection == "pnp":
        unused["injection"] = default.injection
    return replace(config, method=method, **unused)


def check_together(config: EditConfig) -> None:
    """Whether the method can start from the inversion and has a use for what was chosen.

    Raises:
        UnknownMethod: there is no such method or inversion.
        NotTogether: it cannot; says why, names the parameter and the cure.
    """
    method, inversion, default = config.method, config.inversion, EditConfig()
    if method not in METHOD_CARDS:
        raise UnknownMethod(f"method {method!r} is none of {', '.join(METHOD_CARDS)}")
    if inversion not in INVERSION_CARDS:
        raise UnknownMethod(f"inversion {inversion!r} is none of {', '.join(INVERSION_CARDS)}", field="inversion")
    card = METHOD_CARDS[method]
    if not card.inversions and inversion != default.inversion:
        raise NotTogether(
            f"method {method!r} inverts nothing, so that inversion {inversion!r} would have no effect: leave it out",
            field="inversion",
        )
    if card.inversions and inversion not in card.inversions:
        raise NotTogether(
            f"method {method!r} cannot start from inversion {inversion!r}; it can from {', '.join(card.inversions)}",
            field="inversion",
        )
    for name in CHOSEN:
        if name not in card.parameters and getattr(config, name) != getattr(default, name):
            users = [other.name for other in METHOD_CARDS.values() if name in other.parameters]
            raise NotTogether(
                f"method {method!r} has no use for {name}; {', '.join(users)} have: leave it out", field=name
            )
    if config.injection == "pnp":
        if method == "p2p":
            raise NotTogether("injection 'pnp' without guidance is method 'pnp': ask for that", field="injection")
        for name in ("equalizer", "cross_replace_words", "local_blend"):
            if method == "mag-edit" and getattr(config, name) != getattr(default, name):
                raise NotTogether(f"injection 'pnp' injects no cross attention: {name} has no effect", field=name)
