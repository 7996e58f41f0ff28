"""Families recognised by the names of a file's tensors; those of folders are in `test_inspect`."""

from __future__ import annotations

import pytest

from magedit.backbones.checkpoints.family import KINDS, ONLY_FOLDER, Family, family_of_keys

UNET = "model.diffusion_model."


@pytest.mark.parametrize(
    ("tensors", "family", "problem"),
    [
        ([f"{UNET}input_blocks.1.0", "first_stage_model.x", "cond_stage_model.transformer.x"], "sd1", None),
        ([f"{UNET}input_blocks.1.0", "first_stage_model.x", "cond_stage_model.model.x"], "sd2", None),
        (
            [
                *(f"{UNET}input_blocks.1.0", "first_stage_model.x"),
                *("conditioner.embedders.0.transformer.x", "conditioner.embedders.1.model.x"),
            ],
            "sdxl",
            None,
        ),
        ([f"{UNET}input_blocks.1.0", "conditioner.embedders.0.model.x"], "refiner", "use the base model"),
        ([f"{UNET}input_blocks.1.0", f"{UNET}label_emb.0.0.weight"], "unclip", "takes image embeddings"),
        ([f"{UNET}joint_blocks.0.x"], "sd3", ONLY_FOLDER),
        (["double_blocks.0.img_attn.x"], "flux", ONLY_FOLDER),
        (["lora_unet_down_blocks_0.lora_up.weight"], "other", "the file is a LoRA"),
        (["encoder.conv_in.weight", "decoder.conv_in.weight"], "other", "the file is only a VAE; set MAGEDIT_VAE"),
        ([f"{UNET}input_blocks.1.0", "first_stage_model.x"], "other", "the file has no text encoder"),
        (["w"], "other", "the file is not a whole checkpoint"),
    ],
)
def test_a_single_file_is_recognised(tensors: list[str], family: Family, problem: str | None) -> None:
    found, why = family_of_keys(frozenset(tensors), dict.fromkeys(tensors, (1,)))
    assert found == family
    assert (problem in why) if problem is not None and why is not None else problem is why


def test_channels_and_maps_follow_the_networks_config() -> None:
    assert KINDS["flux"].latent_channels({"in_channels": 64}) == KINDS["sd3"].latent_channels({"in_channels": 16})
    assert KINDS["instruct-pix2pix"].latent_channels({"in_channels": 8, "out_channels": 4}) == 4
    cells = {family: KINDS[family].cells({"patch_size": 2}) for family in ("sd1", "sd3")}
    assert cells | {"flux": KINDS["flux"].cells({"patch_size": 1})} == {"sd1": 4, "sd3": 2, "flux": 2}
