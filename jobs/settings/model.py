"""Settings of a worker's models: checkpoints, device, safety, warnings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from magedit.config.loras import LoraSpec
from magedit.measures.assessment import Thresholds
from magedit.measures.passes import BATCH_RESULTS

DType = Literal["auto", "float32", "bfloat16", "float16"]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class ModelSettings(BaseModel):
    """The checkpoints that a worker serves, how it computes, and of which results it warns."""

    model: ModelName = Field(
        default="demo",
        description="Name under which this worker serves its checkpoint.",
    )
    checkpoint: str | None = Field(
        default=None,
        description="Folder, hub id, `.safetensors` or `.ckpt` file of a checkpoint (`magedit models check`). Empty: "
        "the shipped demo.",
    )
    variant: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]*$",
        description="Variant of the checkpoint's files, such as `fp16`. Empty: files without a variant, else the "
        "only one present.",
    )
    revision: str | None = Field(
        default=None, description="Branch, tag or commit of a checkpoint on the hub. Empty: its main branch."
    )
    vae: str | None = Field(
        default=None, description="Folder, hub id or file of a VAE that replaces the checkpoint's own. Empty: its own."
    )
    further_models: dict[ModelName, str] = Field(
        default_factory=dict,
        description="Additional checkpoints of this worker, as a JSON object of names and folders, hub ids or files: "
        "each is a model with its own queue, loaded on demand. The worker's other settings apply to all.",
    )
    model_memory_mib: int = Field(
        default=0,
        ge=0,
        description="Total memory for the weights of a worker's loaded checkpoints, in MiB; the least recently used "
        "one is unloaded to make room. 0: all stay loaded.",
    )
    declare_model: bool = Field(
        default=False,
        description="Declare the worker's model: it accepts edits even after the worker has ended, and they wait for "
        "the next one (`magedit models forget` undoes this). For autoscalers that scale to zero.",
    )
    segmenter: str | None = Field(
        default=None,
        description="Folder or hub id of a model in SAM layout that finds masks by points and boxes. Empty: for a "
        "demo checkpoint the shipped segmenter, otherwise the checkpoint's own attention, which is "
        "coarser. `none`: always attention.",
    )
    detector: str | None = Field(
        default=None,
        description="Folder or hub id of a detector (Grounding DINO, OWL-ViT, OWLv2) that finds masks by words. "
        "Empty: the checkpoint's own attention.",
    )
    lora_dir: Path | None = Field(
        default=None,
        description="Folder of LoRA files (`.safetensors`) available to requests (`lora`). Empty: none.",
    )
    loras: tuple[LoraSpec, ...] = Field(
        default=(),
        description='LoRAs of `MAGEDIT_LORA_DIR` that the worker merges into its checkpoint: `["name:0.8"]`.',
    )
    embedding_dir: Path | None = Field(
        default=None,
        description="Folder of textual inversion embeddings (`.safetensors`, `.pt`, `.bin`) that the worker adds to "
        "its checkpoint; each defines a prompt word named after its file. Empty: none.",
    )
    safety_checker: bool = Field(
        default=True, description="Load the checkpoint's safety checker, if it has one; `false` leaves it out."
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="Device of the worker: `auto` (CUDA if available), `cpu`, `cuda` or `cuda:1`.",
    )
    dtype: DType = Field(
        default="auto", description="Number format of the model; `auto`: bfloat16 on CUDA, float32 on CPU."
    )
    low_memory: bool = Field(
        default=False,
        description="Offload idle parts of the model from the GPU, recompute activations in backward passes, and "
        "compute each result separately: for small GPUs; slower.",
    )
    batch_results: int = Field(
        default=BATCH_RESULTS,
        ge=1,
        le=64,
        description="Most results of one edit in one batch, with `mag-edit`, `p2p` and `pnp`: larger batches are "
        "faster and need more memory; 1 with `MAGEDIT_LOW_MEMORY`.",
    )
    threads: int = Field(default=1, ge=1, le=256, description="CPU threads of the worker's computation.")

    safety: Literal["flag", "withhold"] = Field(
        default="flag",
        description="Treatment of a result that the checkpoint's safety checker, if any, flags: `flag` "
        "(`measures.nsfw_content_detected` is true) or `withhold` (the edit fails with `content_withheld`, nothing "
        "is kept).",
    )

    warn_reconstruction_db: float = Field(
        default=Thresholds.reconstruction_db,
        ge=0,
        le=100,
        description="PSNR (dB) of the reconstructed picture inside the mask below which an edit gets the warning "
        "`poor_reconstruction`; 0: never.",
    )
    warn_no_effect_levels: float = Field(
        default=Thresholds.no_effect_levels,
        ge=0,
        le=255,
        description="Mean change inside the mask, in levels of 255, below which a result gets the warning "
        "`no_effect`; 0: never.",
    )
    warn_guidance_rise: float = Field(
        default=Thresholds.guidance_rise,
        ge=0,
        le=1,
        description="Relative rise of the words' ratios below which a guided result gets the warning "
        "`no_guidance_effect`; 0: never.",
    )

    warn_hopeless_ratio: float = Field(
        default=Thresholds.hopeless_ratio,
        ge=0,
        le=1,
        description="Words with less than this share of the attention inside their mask, after a few guided steps, "
        "give the running edit the warning `likely_to_fail`; 0: never.",
    )

    @field_validator("further_models")
    @classmethod
    def _names_of_their_own(cls, further: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if (model := info.data.get("model")) in further:
            raise ValueError(f"{model!r} is the worker's own model (MAGEDIT_MODEL): give this checkpoint another name")
        return further
