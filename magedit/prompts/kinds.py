"""Edit kinds and their default parameters; free of torch.

Parameters given by the caller take precedence over a kind's defaults.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

from magedit.config import NEGATIVE_PROMPT_MAX, EditConfig, PresetName
from magedit.prompts.changes import EditKind as EditKind
from magedit.prompts.reading import read_prompts

KindName = Literal["auto", "attribute", "replacement", "addition", "removal"]

# Where the source's shape is injected, no object of another shape can appear. Instead of injection, the blend at all
# steps keeps the background (Blended Latent Diffusion, arXiv 2206.02779); it helps attributes too. A new colour needs
# no push where its word already attends to the right place: guidance would spoil it.
KINDS: Mapping[EditKind, Mapping[str, Any]] = MappingProxyType(
    {
        "attribute": {
            "self_replace": 0.4,
            "blend_fraction": 1.0,
            "strength": 0.63,
            "stop_contrast": 4.0,
            "guided_from": 0.04,
        },
        "replacement": {"cross_replace": 0.2, "self_replace": 0.1, "blend_fraction": 1.0, "strength": 0.63},
        "addition": {"cross_replace": 0.4, "self_replace": 0.2, "blend_fraction": 1.0, "strength": 0.63},
        "removal": {
            "cross_replace": 0.4,
            "self_replace": 0.2,
            "blend_fraction": 1.0,
            "strength": 0.63,
            "masked_content": "surroundings",
        },
    }
)
"""What each kind sets; all other parameters keep the default of `EditConfig`, the paper's. A removal also sets
`negative_prompt` to the words that vanish. Measured on edits of the demo that no published table holds
(`benchmarks.quality --set tuning`)."""

KIND_GOVERNED = frozenset({name for kind in KINDS.values() for name in kind} | {"negative_prompt"})
"""The parameters whose default depends on the kind."""

KIND_DOC = (
    "Kind of edit, which sets suitable defaults; explicit parameters win. `attribute`: colour, "
    "material, pattern (the source's shape is injected; the background is held by the blend at all steps; guidance "
    "ends where the words stand out). `replacement`, `addition`: less injection. `removal`: in addition, the mask is "
    "filled from its surroundings first, what "
    "vanishes from the prompt becomes the negative prompt, and words of the target prompt for the filling (wall, "
    "floor, grass, ...) are guided. `auto`: derived from the change between the prompts (English); with the preset "
    "`exact`, no defaults are set."
)


def with_kind(
    config: EditConfig,
    kind: KindName,
    source: str,
    target: str,
    *,
    given: Collection[str],
    preset: PresetName,
    has_words: bool = False,
) -> tuple[EditKind, EditConfig]:
    """The kind to use, and ``config`` with its defaults for all parameters not in ``given``.

    ``has_words`` tells whether edit words are given. A removal without edit words whose target prompt names nothing to
    fill the space is not guided: the negative prompt suffices.

    Only MAG-Edit with Prompt-to-Prompt's injection uses a kind's defaults; other methods stay as published.
    """
    if kind == "auto" and preset == "exact":
        return "attribute", config
    reading = read_prompts(source, target)
    resolved = reading.kind if kind == "auto" else kind
    if config.method != "mag-edit" or config.on_pnp:
        return resolved, config
    defaults = dict(KINDS[resolved])
    if resolved == "removal":
        defaults["negative_prompt"] = reading.vanishing(NEGATIVE_PROMPT_MAX)
        if not (has_words or reading.default_words):
            defaults["strength"] = 0.0
    return resolved, replace(config, **{name: value for name, value in defaults.items() if name not in given})


def config_for(
    source: str,
    target: str,
    *,
    kind: KindName = "auto",
    preset: PresetName = "balanced",
    has_words: bool = False,
    **given: Any,
) -> EditConfig:
    """The configuration for the edit from prompt ``source`` to prompt ``target``.

    Parameters in ``given`` override the defaults of the preset and of the edit's kind.
    """
    config = EditConfig.preset(preset, **given)
    return with_kind(config, kind, source, target, given=given, preset=preset, has_words=has_words)[1]
