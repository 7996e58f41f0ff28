"""The interface between the algorithm and a model family.

Methods, inversions and guidance are written once against `Backbone`, `Conditioning` and `DiffusionProcess`; a family is
a folder beside this file that implements them. Latents are (B, C, h, w), fp32, for every family: scaling, shift and
packing into tokens are the adapter's. Attention maps are (heads, positions, text tokens) over the square of positions
that an `AttentionSite` names: an adapter with joint attention hands on the text's columns of its image rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, Self

import torch
from PIL import Image
from torch import Tensor, nn

from magedit.card import Trait
from magedit.config.loras import Lora
from magedit.edits.checkpoint import StepSizes
from magedit.errors import NoGuidanceLayers
from magedit.prompts.alignment import Encoded

GUIDANCE = "guidance"
"""Key of the guidance scale (B,) among the network's named inputs."""


@dataclass(frozen=True, eq=False)
class Conditioning:
    """The network's text conditioning for one or several prompts, one per row.

    ``hidden_states`` (B, tokens, width) are the text encoders' states, ``pooled`` (B, width) their pooled state if the
    family has one, ``extra`` further named inputs (time ids, a guidance embedding), B rows each.
    """

    hidden_states: Tensor
    pooled: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def map(self, change: Callable[[Tensor], Tensor]) -> Conditioning:
        """The same with every tensor changed."""
        return Conditioning(
            change(self.hidden_states),
            None if self.pooled is None else change(self.pooled),
            {name: change(tensor) for name, tensor in self.extra.items()},
        )

    def expand(self, rows: int) -> Conditioning:
        """One row for ``rows`` latents, without copying."""
        return self.map(lambda tensor: tensor.expand(rows, *tensor.shape[1:]))

    def repeat(self, times: int) -> Conditioning:
        """Each row repeated ``times`` times in a row."""
        return self.map(lambda tensor: tensor.repeat_interleave(times, 0))

    @property
    def is_guided(self) -> bool:
        """Whether the network takes the guidance scale as an input, instead of an unconditional half of each pass."""
        return GUIDANCE in self.extra

    def guided(self, scale: float) -> Conditioning:
        """A copy with guidance ``scale``, if the network takes one."""
        if not self.is_guided:
            return self
        return replace(self, extra={**self.extra, GUIDANCE: torch.full_like(self.extra[GUIDANCE], scale)})

    @staticmethod
    def cat(parts: Sequence[Conditioning]) -> Conditioning:
        """The rows of all ``parts``."""
        first = parts[0]
        return Conditioning(
            torch.cat([each.hidden_states for each in parts]),
            None if first.pooled is None else torch.cat([each.pooled for each in parts if each.pooled is not None]),
            {name: torch.cat([each.extra[name] for each in parts]) for name in first.extra},
        )


class DiffusionProcess(Protocol):
    """The noise process of a checkpoint at T timesteps: z_t = signal(t) z_0 + noise(t) e.

    A prediction is what `step` takes: noise for DDIM, velocity for rectified flow. Classifier-free guidance mixes
    predictions (`classifier_free_guidance`).
    """

    @property
    def timesteps(self) -> tuple[float, ...]:
        """T timesteps as the network takes them, descending."""

    def following(self, timestep: float) -> float:
        """The timestep at which the step from ``timestep`` ends; for the last step, that of the clean latent."""

    def signal(self, timestep: float) -> float:
        """The factor of z_0."""

    def noise(self, timestep: float) -> float:
        """The factor of the noise."""

    def sigma(self, timestep: float) -> float:
        """Noise-to-signal ratio, which scales guidance (paper, 4.1)."""

    def prediction(self, output: Tensor, latents: Tensor, timestep: float) -> Tensor:
        """The prediction in the network's ``output`` for ``latents`` at the noise level of ``timestep``."""

    def step(
        self, prediction: Tensor, timestep: float, latent: Tensor, *, eta: float = 0.0, fresh: Tensor | None = None
    ) -> Tensor:
        """One step from ``timestep`` to the `following` one; ``fresh`` noise enters by ``eta`` in 0..1."""

    def invert_step(self, prediction: Tensor, timestep: float, latent: Tensor) -> Tensor:
        """The step back, from the timestep `following` ``timestep`` up to ``timestep``."""

    def inversion_timestep(self, timestep: float) -> float:
        """The network's timestep input for the inversion step up to ``timestep``: that timestep for DDIM, the latent's
        own for Euler's method."""

    def predicted_clean(self, prediction: Tensor, timestep: float, latent: Tensor) -> Tensor:
        """z_0 as predicted at ``timestep``."""

    def add_noise(self, clean: Tensor, timestep: float, fresh: Tensor) -> Tensor:
        """``clean`` with ``fresh`` noise at ``timestep``."""

    def training_timestep(self, generator: torch.Generator) -> float:
        """A timestep drawn from the training distribution."""

    def training_target(self, clean: Tensor, timestep: float, fresh: Tensor) -> Tensor:
        """The training target for `add_noise` with the same arguments."""


def classifier_free_guidance(unconditional: Tensor, conditional: Tensor, guidance_scale: float) -> Tensor:
    """Classifier-free guidance (arXiv 2207.12598, equation 6); ``guidance_scale`` 1 is the conditional prediction."""
    return unconditional + guidance_scale * (conditional - unconditional)


@dataclass(frozen=True)
class AttentionSite:
    """One attention layer: its module name, what it attends to, and the side of its square map.

    ``kind``: image positions attend to text (``cross``), to each other (``self``), or to both in one sequence
    (``joint``). ``guides``: its maps localize words well enough for guidance. ``paired``: self-attention is injected
    through the source's queries and keys instead of its map, which is too large.
    """

    name: str
    kind: Literal["cross", "self", "joint"]
    side: int
    guides: bool = False
    paired: bool = False

    @property
    def positions(self) -> int:
        """Query positions."""
        return self.side**2


def sites_at(sites: Iterable[AttentionSite], side: int) -> tuple[AttentionSite, ...]:
    """The ``sites`` that guide, with maps of ``side`` (paper 4.2: 16 for a latent of 64).

    Raises:
        NoGuidanceLayers: there are none; names the available resolutions.
    """
    guiding = [site for site in sites if site.guides]
    chosen = tuple(site for site in guiding if site.side == side)
    if not chosen:
        sides = ", ".join(f"{s}x{s}" for s in sorted({site.side for site in guiding}, reverse=True)) or "none"
        raise NoGuidanceLayers(
            f"the model has no cross attention at {side}x{side}; it has {sides}: set the checkpoint's "
            "guidance_resolution to one of these"
        )
    return chosen


@dataclass(frozen=True)
class AttentionEdit:
    """The intervention on each conditional row of one attention layer.

    ``self_map`` (heads, N, N): the source's self attention in place of the layer's own (P2P 2208.01626, 3.2).
    ``base`` (heads, N, K) and ``share`` (K,): the layer's own cross attention A becomes ``base + share * A``, or
    ``base`` alone without a ``share``; refine, replace, their windows and the equalizer all have this form.
    ``columns`` (K,) and ``take`` (K,), of a joint layer: ``base`` is a kept map, of which these columns times these
    factors count; it is formed when the layer runs, so that no second copy lives.
    ``read``: keep the resulting map. ``rounded``, of a joint layer: keep it in the network's number format.
    ``own_pair`` (2, heads, N, width): the source's queries and keys in place of the layer's own, which is its map
    without forming it; in a joint layer among the picture's positions alone. ``read_pair``: keep the layer's own, of a
    joint layer the picture's, under `pair_name`.
    ``self_pair`` (2, heads, N, width): the same for every row, not the conditional ones alone (PnP 2211.12572, 4).
    ``values`` (1, K, width): what these rows' values are made of, in place of the context (StyleDiffusion
    2303.15649, 3.2).
    """

    self_map: Tensor | None = None
    base: Tensor | None = None
    share: Tensor | None = None
    columns: Tensor | None = None
    take: Tensor | None = None
    read: bool = False
    rounded: bool = False
    self_pair: Tensor | None = None
    read_pair: bool = False
    own_pair: Tensor | None = None
    values: Tensor | None = None


@dataclass(frozen=True)
class FeatureEdit:
    """The intervention on the output of a module other than an attention layer: each conditional row's is kept, or
    ``feature`` (1, C, h, w), if given, takes the place of every row's (PnP 2211.12572, 4)."""

    feature: Tensor | None = None


ModuleEdit = AttentionEdit | FeatureEdit
Kept = dict[str, Tensor]
"""Module name -> tensor read there in the last pass, for one conditional row."""


def reading(names: Iterable[str]) -> dict[str, ModuleEdit]:
    """Edits that keep the maps of the attention layers ``names`` and change nothing."""
    return {name: AttentionEdit(read=True) for name in names}


def with_values(
    edits: Mapping[str, ModuleEdit], sites: Collection[AttentionSite], values: Tensor | None
) -> dict[str, ModuleEdit]:
    """``edits`` with ``values`` (1, tokens, width) for every cross-attention layer; unchanged if there are none."""
    result = dict(edits)
    if values is not None:
        for site in sites:
            if site.kind == "cross":
                edit = result.get(site.name, AttentionEdit())
                assert isinstance(edit, AttentionEdit)
                result[site.name] = replace(edit, values=values)
    return result


def pair_name(name: str) -> str:
    """Key under which the queries and keys of joint layer ``name`` are kept, next to its map."""
    return f"{name}.pair"


class StructureSites(NamedTuple):
    """The sites where Plug-and-Play injects the picture's structure: the output of module ``feature``, and the queries
    and keys of ``attention`` (arXiv 2211.12572, 4)."""

    feature: str
    attention: tuple[AttentionSite, ...]


class Loaded(Protocol):
    """A loaded checkpoint of any kind.

    ``network`` is the denoiser, ``parts`` all modules whose weights affect a result, including the network,
    ``noise_settings`` the checkpoint's settings of the noise process.
    """

    @property
    def network(self) -> Any: ...
    @property
    def parts(self) -> tuple[nn.Module, ...]: ...
    @property
    def noise_settings(self) -> Mapping[str, Any]: ...
    @property
    def traits(self) -> tuple[Trait, ...]:
        """The traits of its family that decide which methods suit it."""

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Its defaults for parameters of `EditConfig`; entries under a method's name apply to that method only."""

    @property
    def size(self) -> int:
        """Side of the checkpoint's pictures in pixels; edits work on a square crop of this size."""

    @property
    def max_tokens(self) -> int:
        """Tokens of a prompt, including start and end (77 for CLIP)."""

    @property
    def vocabulary(self) -> tuple[str, ...] | None:
        """The only words that the checkpoint knows, with `embeddings`; None: any word."""

    @property
    def embeddings(self) -> tuple[str, ...]:
        """The words that stand for learned vectors."""

    def add_embeddings(self, folder: Path) -> None:
        """Permanently add the textual inversions in ``folder`` to tokenizers and text encoders, each as a word named
        after its file; `CheckpointError` if one does not fit or the family does not support them."""

    def tokenizer_json(self) -> str:
        """The tokenizer as ``tokenizer.json``, for processes without transformers."""

    @property
    def execution_device(self) -> torch.device:
        """The device of computation, even if the weights are elsewhere between calls."""

    def encode_image(self, crop: Image.Image) -> Tensor:
        """Latent (1, C, h, w), fp32, of a picture of the checkpoint's size; `PictureNotFinite` if it overflows."""

    def decode(self, latent: Tensor) -> Image.Image:
        """The picture of a latent (1, C, h, w); `EditDiverged` or `PictureNotFinite` if it is not finite."""

    def is_objectionable(self, picture: Image.Image) -> bool | None:
        """Verdict of the checkpoint's safety checker; None if it has no checker."""

    def to(self, *args: Any, **options: Any) -> Any:
        """Move all parts."""

    def enable_model_cpu_offload(self, *, device: Any) -> None:
        """Move each part to ``device`` only while it computes."""


class Backbone(Loaded, Protocol):
    """A checkpoint of one family, as edits use it."""

    @property
    def dtype(self) -> torch.dtype:
        """The network's number format."""

    @property
    def latent_side(self) -> int:
        """Side of the latent that the checkpoint was trained on."""

    @property
    def sites(self) -> tuple[AttentionSite, ...]:
        """All attention layers, in execution order."""

    @property
    def guidance_sites(self) -> tuple[AttentionSite, ...]:
        """The layers whose maps guidance reads, all of the same side; `NoGuidanceLayers` if there are none."""

    @property
    def structure_sites(self) -> StructureSites:
        """The sites of structure injection; `CheckpointError` if there are none."""

    @property
    def step_sizes(self) -> StepSizes: ...

    @property
    def text_columns(self) -> int:
        """Columns of the attention maps: the text encoders' padded lengths together."""

    def process(self, steps: int) -> DiffusionProcess:
        """The noise process in ``steps`` sampling steps."""

    def tokenize(self, prompt: str) -> Encoded:
        """Tokens in the order of the maps' columns, including start and end, neither padded nor truncated, with their
        spans in ``prompt``; with several text encoders, a word has columns in each."""

    @property
    def max_clip_skip(self) -> int:
        """Largest ``clip_skip``; 0 if the network does not use CLIP's hidden states."""

    def encode(self, prompt: str, clip_skip: int = 0) -> Conditioning:
        """One row, fp32, padded to the encoders' length; skips CLIP's last ``clip_skip`` layers in addition to those
        that the family always skips (as in diffusers)."""

    def predict(self, latents: Tensor, timestep: float, conditioning: Conditioning) -> Tensor:
        """The network's output, fp32, in the latents' shape; input of `DiffusionProcess.prediction`."""

    def attend(self, latents: Tensor, timestep: float, conditioning: Conditioning, last: AttentionSite) -> None:
        """A pass that ends at the map of ``last``; maps are kept by the surrounding `editing`."""

    def editing(self, edits: Mapping[str, ModuleEdit], rows: int) -> AbstractContextManager[tuple[Kept, ...]]:
        """Apply ``edits`` in the passes inside, whose last ``rows`` rows are conditional; yields the tensors kept for
        each of them. The network is restored on every exit."""

    def own_attention(self) -> AbstractContextManager[None]:
        """Let passes inside compute unedited attention with this program's processor; the results are identical."""

    def one_prefix(self) -> AbstractContextManager[None]:
        """Passes inside share latents and timestep, so that layers before the first conditioning may be computed
        once."""

    def with_loras(self, loras: Sequence[Lora]) -> AbstractContextManager[None]:
        """Add these LoRA files to the network and the text encoders inside; removed on every exit."""

    def with_network(self, network: nn.Module) -> Self:
        """The same backbone with another network of its layout."""

    def release(self) -> None:
        """End of a call: offloaded parts leave the device."""


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Disable gradients for the module's weights inside; each weight's flag is restored on exit."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
