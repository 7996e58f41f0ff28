"""The model that a worker serves: loaded and warmed once, and described for the front end."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from jobs.models import ModelInfo, tokenizer_sha256
from jobs.settings import Settings
from magedit.config import EditConfig, Region
from magedit.config.loras import find_loras, names_in
from magedit.errors import CheckpointError, InvalidParameter
from magedit.masks.finding import MaskFinder
from magedit.measures.meter import OnProgress
from magedit.measures.report import EditMeasures, OnPreview, OnTrace
from magedit.methods.compatibility import suited_inversions, suited_methods, with_defaults

if TYPE_CHECKING:
    from magedit.segmenters.detector import Detector
    from magedit.segmenters.sam import SamSegmenter


class Edited(Protocol):
    """What an edit returns; see `magedit.pipelines.mag_edit.MAGEditOutput`."""

    @property
    def images(self) -> Sequence[Image.Image]: ...
    @property
    def measures(self) -> EditMeasures: ...
    @property
    def inversion(self) -> Any: ...
    @property
    def attention(self) -> Sequence[Any]: ...
    @property
    def attention_steps(self) -> Sequence[Sequence[Any]]: ...
    def only(self, number: int) -> Edited: ...


class Editor(Protocol):
    """The part of `magedit.pipelines.mag_edit.MAGEditPipeline` that a worker uses."""

    def edit(
        self,
        image: Image.Image,
        masks: Sequence[Image.Image],
        source_prompt: str,
        target_prompt: str,
        regions: Sequence[Region],
        config: EditConfig,
        *,
        inversion: Any = None,
        on_progress: OnProgress | None = None,
        on_inverted: Callable[[Any], None] | None = None,
        on_preview: OnPreview | None = None,
        on_trace: OnTrace | None = None,
    ) -> Edited: ...


@dataclass(frozen=True)
class ServedModel:
    """A loaded model with its announcement. ``probe`` raises if the model no longer works in this process.

    ``fingerprint`` identifies its weights; without one its inversions are not cached. ``finder`` finds masks; None:
    unsupported. ``size_bytes`` is the memory of the weights.
    """

    editor: Editor
    info: ModelInfo
    tokenizer_json: str
    probe: Callable[[], None]
    fingerprint: str | None = None
    finder: MaskFinder | None = None
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class MaskModels:
    """The models that find masks for all checkpoints."""

    segmenter: SamSegmenter | None = None
    detector: Detector | None = None

    @property
    def size_bytes(self) -> int:
        """Memory of both models' weights in bytes."""
        return sum(each.size_bytes for each in (self.segmenter, self.detector) if each is not None)


def load_mask_models(settings: Settings) -> MaskModels:
    """Load the segmenter and the detector that the settings name, on the worker's device.

    Raises:
        CheckpointError: one cannot be used.
    """
    from magedit.segmenters.detector import Detector
    from magedit.segmenters.sam import SamSegmenter

    device = _device(settings)
    return MaskModels(
        segmenter=SamSegmenter.beside(None, settings.segmenter, device=device),
        detector=Detector.load(settings.detector, device=device) if settings.detector else None,
    )


def _device(settings: Settings) -> str:
    """`cpu`, `cuda` or `cuda:1`."""
    import torch

    if settings.device != "auto":
        return settings.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def load(settings: Settings, mask_models: MaskModels | None = None) -> ServedModel:
    """Load `settings.checkpoint` on its device and warm it up with one small edit.

    ``mask_models`` are loaded with it where they are not given.

    Raises:
        CheckpointError: the checkpoint cannot be used for editing.
    """
    import torch

    from magedit.backbones.base import Loaded
    from magedit.backbones.checkpoints.fingerprint import fingerprint
    from magedit.backbones.checkpoints.inspect import inspect
    from magedit.backbones.memory.low_memory import save_memory
    from magedit.demo import checkpoint_path
    from magedit.pipelines.instruct import InstructPipeline
    from magedit.pipelines.mag_edit import MAGEditPipeline
    from magedit.segmenters.finder import Finders
    from magedit.segmenters.sam import SamSegmenter

    torch.set_num_threads(settings.threads)
    device = _device(settings)
    dtype = settings.dtype
    if dtype == "auto":
        dtype = "float32" if device == "cpu" else "bfloat16"
    checkpoint = settings.checkpoint or str(checkpoint_path())
    found = inspect(checkpoint, variant=settings.variant, revision=settings.revision, own_vae=settings.vae is None)
    instructed = found.family == "instruct-pix2pix"
    kind: Any = InstructPipeline if instructed else MAGEditPipeline
    options: dict[str, Any] = {} if settings.safety_checker else {"safety_checker": None}
    pipe = kind.from_pretrained(
        found,
        dtype=getattr(torch, dtype),
        variant=settings.variant,
        revision=settings.revision,
        vae=settings.vae,
        **options,
    )
    pipe.set_progress_bar_config(disable=True)
    pipe.batch_results = settings.batch_results
    pipe.preview_interval_s = settings.preview_interval_s
    pipe.lora_dir = settings.lora_dir
    if settings.embedding_dir is not None:
        pipe.backbone.add_embeddings(settings.embedding_dir)
    _merge_loras(pipe, settings)
    if settings.low_memory:
        save_memory(pipe, device)
    else:
        pipe.to(device)
    backbone: Loaded = pipe.backbone
    traits = backbone.traits
    shared = mask_models or load_mask_models(settings)
    segmenter = shared.segmenter or SamSegmenter.beside(found.name, settings.segmenter, device=device)
    own_bytes = segmenter.size_bytes if segmenter is not None and segmenter is not shared.segmenter else 0
    loaded = segmenter, shared.detector
    finders = Finders(segmenter=loaded[0], detector=loaded[1]) if instructed else Finders.of(pipe.backbone, *loaded)
    tokenizer_json = backbone.tokenizer_json()
    info = ModelInfo(
        name=settings.model,
        checkpoint=settings.checkpoint or "demo",
        image_size=backbone.size,
        max_prompt_tokens=backbone.max_tokens,
        vocabulary=backbone.vocabulary,
        domain=domain(checkpoint),
        tokenizer_sha256=tokenizer_sha256(tokenizer_json),
        methods=(pipe.method,) if instructed else suited_methods(traits),
        inversions=() if instructed else suited_inversions(traits, dtype=dtype),
        device=device,
        dtype=dtype,
        step_sizes=None if instructed else pipe.step_sizes,
        family=found.family,
        traits=traits,
        defaults=dict(backbone.defaults),
        finds_by=finders.finds_by,
        detects=finders.detector is not None,
        loras=() if instructed else names_in(settings.lora_dir),
        embeddings=backbone.embeddings,
        max_clip_skip=0 if instructed else pipe.backbone.max_clip_skip,
    )
    served = ServedModel(
        editor=pipe,
        info=info,
        tokenizer_json=tokenizer_json,
        probe=partial(_small_edit, pipe, info),
        fingerprint=fingerprint(backbone),
        finder=finders,
        size_bytes=own_bytes + sum(tensor.nbytes for part in backbone.parts for tensor in part.state_dict().values()),
    )
    served.probe()
    if settings.preview_interval_s:
        # Now, rather than in the middle of the first edit.
        _ = pipe.latent_colours
    return served


def _merge_loras(pipe: Any, settings: Settings) -> None:
    """Add the settings' LoRAs to the checkpoint. Raises CheckpointError."""
    try:
        loras = find_loras(settings.loras, settings.lora_dir)
        if loras:
            pipe.backbone.merge_loras(loras)
    except InvalidParameter as error:
        raise CheckpointError(f"{error.message} (MAGEDIT_LORAS)") from error


def domain(checkpoint: str) -> str | None:
    """Subject of the checkpoint's training pictures (`domain` in `model_index.json`, a noun phrase); None: unknown."""
    file = Path(checkpoint) / "model_index.json"
    return json.loads(file.read_text()).get("domain") if file.is_file() else None


def _small_edit(editor: Editor, info: ModelInfo) -> None:
    size = info.image_size
    image = Image.new("RGB", (size, size), "grey")
    mask = Image.new("L", (size, size), 0)
    mask.paste(255, (size // 4, size // 4, size // 2, size // 2))
    short: dict[str, Any] = {"method": info.methods[0], "steps": 2, "max_iterations": 1}
    config = with_defaults(EditConfig(**short), info.defaults, given=short)
    editor.edit(image, [mask], "a room", "a red room", [Region(words=("red",))], config)
