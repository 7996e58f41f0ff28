"""Configurations compared by `benchmarks.quality` and `benchmarks.pie_bench`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magedit.config import EditConfig

_FREE: dict[str, Any] = {"cross_replace": 0.0, "self_replace": 0.0}
_LESS: dict[str, Any] = {"cross_replace": 0.4, "self_replace": 0.2, "blend_fraction": 1.0}

ROWS: Mapping[str, EditConfig] = {
    # MAG-Edit, and the same edit without guidance
    "p2p + blend": EditConfig(method="p2p"),
    "token": EditConfig(),
    "spatial": EditConfig(constraint="spatial"),
    "both": EditConfig(constraint="both"),
    "prompt + blend": EditConfig(method="p2p", blend_fraction=1.0, **_FREE),
    "token, no injection": EditConfig(**_FREE, blend_fraction=1.0),
    "spatial, no injection": EditConfig(constraint="spatial", blend_fraction=1.0, **_FREE),
    "both, no injection": EditConfig(constraint="both", blend_fraction=1.0, **_FREE),
    "less injection": EditConfig(method="p2p", **_LESS),
    "token, less injection": EditConfig(**_LESS),
    # each edit with its kind's defaults
    "kind": EditConfig(),
    "kind, no guidance": EditConfig(strength=0.0),
    "kind, spatial": EditConfig(constraint="spatial"),
    "kind, both": EditConfig(constraint="both"),
    "kind, fast": EditConfig.preset("fast"),
    "kind, turbo": EditConfig.preset("turbo"),
    "kind, selection": EditConfig(selection="likelihood"),
    # optimisations, each removed or added on its own
    "kind, a gradient an update": EditConfig.preset("fast", gradient_tolerance=0.0),
    "kind, never stopped": EditConfig.preset("fast", stop_margin=0.0, stop_contrast=100.0),
    "kind, null-text": EditConfig.preset("fast", inversion="null-text"),
    "kind, bfloat16": EditConfig.preset("fast"),
    # the released program's algorithm
    "exact": EditConfig.preset("exact"),
    # the methods that the paper compares with
    "p2p": EditConfig(method="p2p", blend_fraction=0.0),
    "p2p + local blend": EditConfig(method="p2p", blend_fraction=0.0, local_blend=0.3),
    "pnp": EditConfig(method="pnp", blend_fraction=0.0),
    "pnp + blend": EditConfig(method="pnp"),
    "token on pnp": EditConfig(injection="pnp"),
    "diffedit": EditConfig(method="diffedit"),
    "diffedit, own mask": EditConfig(method="diffedit", mask_source="own"),
    "blended-latent": EditConfig(method="blended-latent"),
    "flow-edit": EditConfig(method="flow-edit"),
    "sine": EditConfig(method="sine"),
    "instruct-pix2pix": EditConfig(method="instruct-pix2pix"),
    # other inversions
    "p2p + blend, ddim": EditConfig(method="p2p", inversion="ddim"),
    "p2p + blend, null-text": EditConfig(method="p2p", inversion="null-text"),
    "p2p + blend, negative-prompt": EditConfig(method="p2p", inversion="negative-prompt"),
    "p2p + blend, proximal": EditConfig(method="p2p", inversion="proximal"),
    "p2p + blend, style": EditConfig(method="p2p", inversion="style"),
    "p2p + blend, virtual": EditConfig(method="p2p", inversion="virtual", guidance_scale=3.0),
    "token, negative-prompt": EditConfig(inversion="negative-prompt"),
    "token, proximal": EditConfig(inversion="proximal"),
}
"""Unset parameters of a row take the checkpoint's or their own defaults, in `BY_KIND` those of the edit's kind; a
parameter with the value of `EditConfig`'s default counts as unset. The rows p2p and pnp are as published, without a
mask; with "+ blend" the mask holds the background."""

SAVINGS: tuple[str, ...] = (
    "kind, a gradient an update",
    "kind, never stopped",
    "kind, null-text",
    "kind, bfloat16",
)
BY_KIND: tuple[str, ...] = tuple(name for name in ROWS if name.partition(",")[0] == "kind")
BFLOAT16: tuple[str, ...] = ("kind, bfloat16",)
"""Rows of a pipeline in half precision; the others compute in float32."""
CEILING = "truth through the VAE"
"""The row of a perfect edit: the true picture through the checkpoint's VAE."""

UNGUIDED: Mapping[str, str] = {
    **{f"{constraint}, no injection": "prompt + blend" for constraint in ("token", "spatial", "both")},
    "token, less injection": "less injection",
    "token on pnp": "pnp + blend",
    "token, negative-prompt": "p2p + blend, negative-prompt",
    "token, proximal": "p2p + blend, proximal",
    **dict.fromkeys(("token", "spatial", "both"), "p2p + blend"),
    **dict.fromkeys(("kind", "kind, fast", "kind, turbo", "kind, selection"), "kind, no guidance"),
}
"""The row of the same edit without guidance, the baseline for gains of the ratios."""

TABLES: Mapping[str, tuple[str, ...]] = {
    "edits": (
        CEILING,
        "p2p + blend",
        "token",
        "spatial",
        "both",
        "prompt + blend",
        "token, no injection",
        "spatial, no injection",
        "both, no injection",
        "kind",
        "kind, no guidance",
        "kind, fast",
        "kind, turbo",
        "kind, selection",
    ),
    "savings": (CEILING, "kind, no guidance", "kind, fast", *SAVINGS),
    "methods": (
        CEILING,
        "kind",
        "p2p",
        "p2p + blend",
        "p2p + local blend",
        "pnp",
        "pnp + blend",
        "token on pnp",
        "diffedit",
        "diffedit, own mask",
        "blended-latent",
        "sine",
        "instruct-pix2pix",
    ),
    "inversions": (
        "p2p + blend",
        *(name for name in ROWS if name.startswith("p2p + blend, ")),
        "token",
        *(name for name in ROWS if name in ("token, negative-prompt", "token, proximal")),
        "exact",
    ),
    "flow": (
        CEILING,
        "kind, no guidance",
        "kind",
        "kind, spatial",
        "kind, both",
        "flow-edit",
        "blended-latent",
        "diffedit",
    ),
    "injection": ("p2p + blend", "token", "less injection", "token, less injection", "prompt + blend", "kind"),
}
"""The rows of each table."""
