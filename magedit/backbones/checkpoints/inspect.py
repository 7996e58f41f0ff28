"""Inspection of a checkpoint's configs and file headers, before anything is loaded. Free of torch."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from magedit.backbones.checkpoints.family import KINDS, TAKEN, Family, family_of, family_of_keys
from magedit.backbones.checkpoints.hub import fetch_configs, list_files
from magedit.backbones.checkpoints.tensor_files import cut_off, pickled_strings, safetensors_shapes
from magedit.errors import CheckpointError

Layout = Literal["folder", "hub", "file"]

_FILE = (".safetensors", ".ckpt")
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_OLD_VERSION = (0, 9, 0)
"""Conversions by diffusers before this version wrote ``sample_size`` 32 for every SD 1.x; diffusers reads these as
64."""

_TRUE_LATENT_SIDE = 64


@dataclass(frozen=True, kw_only=True)
class CheckpointInfo:
    """Facts about a checkpoint.

    ``latent_side`` is the side of its training latent, corrected as diffusers corrects it, and ``factor`` the pixels
    per latent cell (0: unknown). ``guidance_side`` is the side of the maps that guidance reads. ``variant`` names the
    files to load ("fp16": there are no others), ``left_out`` the components that are not needed. ``problem`` says why
    it is unsupported and what to do; None: supported. ``shapes`` are a single file's tensors, if its header lists them,
    ``configs`` the folder with the configs otherwise.
    """

    name: str
    layout: Layout
    family: Family
    latent_side: int = 0
    factor: int = 0
    guidance_side: int = 0
    variant: str | None = None
    has_safety_checker: bool = False
    left_out: tuple[str, ...] = ()
    problem: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict, repr=False)
    configs: Path | None = None

    @property
    def size(self) -> int:
        """Side of its pictures in pixels; 0: unknown."""
        return self.latent_side * self.factor

    @property
    def is_supported(self) -> bool:
        """Whether edits can use it."""
        return self.problem is None

    @property
    def sentence(self) -> str:
        """Its kind and whether it is supported, in one sentence."""
        at = f" for pictures of {self.size} px" if self.size else ""
        title = KINDS[self.family].title
        is_article = title[:2] in {"a ", "an"}
        what = f"{title}{at}" if is_article else f"{title} checkpoint{at}"
        if self.problem is None:
            return f"{self.name!r} is {'' if is_article else 'a '}{what}"
        return f"{self.name!r} is {'' if is_article else 'a '}{what}, which is not supported: {self.problem}"

    def require_supported(self) -> None:
        """Raise CheckpointError with the whole sentence if it is not supported."""
        if not self.is_supported:
            raise CheckpointError(self.sentence)


def inspect(
    checkpoint: str | Path,
    *,
    variant: str | None = None,
    revision: str | None = None,
    own_vae: bool = True,
    endpoint: str | None = None,
) -> CheckpointInfo:
    """Read the configs of a folder or hub id, or the header of a single file.

    Args:
        checkpoint: a folder or hub id in diffusers' layout, or a ``.safetensors`` or ``.ckpt`` file.
        variant: of the weights' files, such as "fp16"; None: files without a variant, else the only one.
        revision: branch, tag or commit on the hub.
        own_vae: False: another VAE replaces its own.
        endpoint: the hub's address; None: huggingface_hub's default.

    Raises:
        CheckpointError: the checkpoint cannot be read; says why.
    """
    path = Path(checkpoint).expanduser()
    if revision is not None and path.exists():
        raise CheckpointError(
            f"{str(checkpoint)!r} is a local path, and revision {revision!r} applies only to the hub: leave it out "
            f"(MAGEDIT_REVISION)"
        )
    if variant is not None and path.is_file():
        raise CheckpointError(
            f"{str(checkpoint)!r} is a single file, so variant {variant!r} does not apply: leave it out "
            f"(MAGEDIT_VARIANT)"
        )
    if path.is_dir():
        return _of_folder(str(checkpoint), path, list_files(path), "folder", variant, own_vae=own_vae)
    if path.is_file():
        return _of_file(str(checkpoint), path)
    name = str(checkpoint)
    if name.endswith(_FILE) or path.is_absolute() or name.startswith((".", "~")) or not _HUB_ID.fullmatch(name):
        raise CheckpointError(f"there is no folder or file {name!r}, and a hub id has the form owner/name")
    folder, files = fetch_configs(name, revision, endpoint)
    return _of_folder(name, folder, files, "hub", variant, own_vae=own_vae)


def _of_folder(
    name: str, folder: Path, files: Collection[str], layout: Layout, variant: str | None, *, own_vae: bool
) -> CheckpointInfo:
    index = _config(folder / "model_index.json", name)
    if index is None:
        loose = [each.name for each in sorted(folder.glob("*")) if each.suffix in _FILE]
        hint = f"; it holds {loose[0]!r}: give the path of that file" if loose else ""
        raise CheckpointError(f"{name!r} has no model_index.json: it is not a checkpoint in diffusers' layout{hint}")
    network = "transformer" if "transformer" in index else "unet"
    unet, vae, scheduler = (
        _config(folder / part / file, name) or {}
        for part, file in ((network, "config.json"), ("vae", "config.json"), ("scheduler", "scheduler_config.json"))
    )
    family = family_of(index, unet, vae, scheduler)
    chosen = variant or _only_variant(files)
    factor = 2 ** (len(vae.get("block_out_channels") or [0] * 4) - 1)
    side = latent_side(unet, vae)
    found = CheckpointInfo(
        name=name,
        layout=layout,
        family=family,
        latent_side=side,
        factor=factor,
        guidance_side=int(index.get("guidance_resolution") or side // KINDS[family].cells(unet)),
        variant=chosen,
        left_out=("text_encoder_3", "tokenizer_3") if index.get("max_sequence_length") == 0 else (),
        configs=folder,
        has_safety_checker=(index.get("safety_checker") or [None])[0] is not None,
    )
    problem = _unsupported(family, index) or _incomplete(folder, family, index, files, chosen, own_vae=own_vae)
    if problem is None and own_vae:
        problem = _wrong_vae(family, unet, vae)
    problem = problem or _wrong_schedule(scheduler)
    if problem is None and not side:
        problem = (
            f"no config gives its size: add `sample_size`, the latent's side (64 for 512 px), to {network}/config.json"
        )
    return found if problem is None else replace(found, problem=problem)


def latent_side(unet: Mapping[str, Any], vae: Mapping[str, Any]) -> int:
    """Side of a UNet's training latent, from the configs of UNet and VAE; 0 if unknown.

    Conversions by diffusers before 0.9 always wrote 32; this means 64, as in diffusers.
    """
    size = unet.get("sample_size")
    side = int(size[0] if isinstance(size, list | tuple) else size or 0)
    written = tuple(int(part) for part in re.findall(r"\d+", str(unet.get("_diffusers_version") or "99"))[:3])
    if 0 < side < _TRUE_LATENT_SIDE and written < _OLD_VERSION and written:
        return _TRUE_LATENT_SIDE
    if not side and vae.get("sample_size"):
        picture = vae["sample_size"]
        blocks = len(vae.get("block_out_channels") or [0] * 4)
        side = int(picture[0] if isinstance(picture, list | tuple) else picture) // 2 ** (blocks - 1)
    return side


def _unsupported(family: Family, index: Mapping[str, Any]) -> str | None:
    if family == "other":
        return f"it is a {index.get('_class_name', 'pipeline without a name')}; {TAKEN}"
    return KINDS[family].problem


def _incomplete(
    folder: Path,
    family: Family,
    index: Mapping[str, Any],
    files: Collection[str],
    variant: str | None,
    *,
    own_vae: bool,
) -> str | None:
    """The missing or truncated part, in a sentence; None: complete."""
    for part in KINDS[family].parts:
        if part == "vae" and not own_vae:
            continue
        inside = {name for name in files if name.startswith(f"{part}/")}
        if not inside or (index.get(part) or [None])[0] is None:
            return f"its {part.replace('_', ' ')} is missing (folder {part!r}): download the whole checkpoint again"
        if part == "scheduler":
            continue
        if part.startswith("tokenizer"):
            if not {f"{part}/{name}" for name in ("tokenizer.json", "vocab.json", "spiece.model")} & inside:
                return f"its {part} has neither vocab.json nor tokenizer.json: download the folder {part!r} again"
            continue
        weights = {name for name in inside if name.endswith((".safetensors", ".bin"))}
        if not weights:
            return f"there are no weights in its folder {part!r}: download the whole checkpoint again"
        if variant and not any(f".{variant}." in name for name in weights):
            there = ", ".join(sorted(each.partition("/")[2] for each in weights))
            return f"its folder {part!r} has no weights of variant {variant!r} (MAGEDIT_VARIANT), only {there}"
        for name in sorted(weights):
            path = folder / name
            if path.is_file() and name.endswith(".safetensors") and (reason := cut_off(path)):
                return f"its file {name!r} {reason}: download it again"
    return None


def _only_variant(files: Collection[str]) -> str | None:
    """The variant of the network's weights if all of them have one, else None."""
    pattern = re.compile(
        r"(?:unet|transformer)/diffusion_pytorch_model(?:\.([a-z]\w*))?(?:-\d+-of-\d+)?\.(?:safetensors|bin)"
    )
    variants = {match[1] for name in files if (match := pattern.fullmatch(name))}
    return None if not variants or None in variants else sorted(str(each) for each in variants)[0]


def _wrong_vae(family: Family, unet: Mapping[str, Any], vae: Mapping[str, Any]) -> str | None:
    kind = vae.get("_class_name", "AutoencoderKL")
    if kind != "AutoencoderKL":
        return f"its VAE is an {kind}, which is too lossy for editing: set MAGEDIT_VAE to an AutoencoderKL"
    channels, latent = KINDS[family].latent_channels(unet), int(vae.get("latent_channels") or 4)
    if channels != latent:
        return (
            f"its network takes {channels} latent channels, but its VAE has {latent}: set MAGEDIT_VAE to a matching VAE"
        )
    return None


def _wrong_schedule(scheduler: Mapping[str, Any]) -> str | None:
    kind = str(scheduler.get("_class_name"))
    if kind.startswith("EDM"):
        return (
            f"its scheduler is an {kind}, whose noise levels are not DDIM's: use a checkpoint that predicts noise or v"
        )
    return None


def _config(path: Path, name: str) -> dict[str, Any] | None:
    try:
        loaded = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{name!r} cannot be read: its file {path.name!r} is not JSON; download it again"
        ) from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{name!r} cannot be read: its file {path.name!r} is not a config; download it again")
    return loaded


# --- single files ---


def _of_file(name: str, path: Path) -> CheckpointInfo:
    if path.suffix == ".safetensors":
        shapes = safetensors_shapes(path)
        if reason := cut_off(path):
            raise CheckpointError(f"{name!r} {reason}: fetch it again")
        keys: Iterable[str] = shapes
    elif path.suffix == ".ckpt":
        keys, shapes = pickled_strings(path), {}
    else:
        raise CheckpointError(f"{name!r} is a {path.suffix or 'file without a suffix'}: {' and '.join(_FILE)} are read")
    family, problem = family_of_keys(frozenset(keys), shapes)
    found = CheckpointInfo(name=name, layout="file", family=family, shapes=shapes)
    return found if problem is None else replace(found, problem=problem)
