"""Sites of Plug-and-Play's feature and self-attention injection (Tumanyan et al., arXiv 2211.12572, section 4)."""

from __future__ import annotations

from collections.abc import Iterable

from diffusers import UNet2DConditionModel

from magedit.backbones.base import AttentionSite, StructureSites
from magedit.errors import CheckpointError


def structure_sites(unet: UNet2DConditionModel, sites: Iterable[AttentionSite]) -> StructureSites:
    """In the first up block with attention the residual of the second ResNet block, and the self attention of all up
    blocks from that block's second attention on (4 to 11 of SD's decoder).

    Raises:
        CheckpointError: no up block of the UNet has two attention layers.
    """
    blocks = [n for n, block in enumerate(unet.up_blocks) if len(getattr(block, "attentions", None) or ()) > 1]
    if not blocks:
        raise CheckpointError("the UNet has no up block with two attention layers, which PnP needs")
    first = f"up_blocks.{blocks[0]}."
    decoder = [site for site in sites if site.kind == "self" and site.name.startswith("up_blocks")]
    chosen = tuple(site for site in decoder if not site.name.startswith(f"{first}attentions.0."))
    return StructureSites(f"{first}resnets.1.conv2", chosen)
