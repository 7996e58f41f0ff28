"""What makes Stable Diffusion XL a family: two text encoders, pooled embedding and sizes, a VAE that overflows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image, ImageChops
from torch import Tensor
from transformers import CLIPTokenizer

from magedit.backbones.autoencoder import upcast
from magedit.backbones.base import Conditioning, frozen, reading
from magedit.backbones.sdxl.backbone import StableDiffusionXL
from magedit.backbones.stable_diffusion.layout import UNetBackbone
from magedit.config import EditConfig
from magedit.config.types import InversionName, MethodName
from magedit.errors import CheckpointError, EditCanceled
from magedit.measures.report import Progress, Stage
from magedit.methods.registry import METHODS
from magedit.pipelines.mag_edit import MAGEditOutput, MAGEditPipeline
from tests.magedit.backbones.sdxl.tiny import WIDTH, sdxl_checkpoint
from tests.magedit.conftest import FOR_DIFFUSION, Room

QUICK = EditConfig(
    steps=3, max_iterations=1, null_text_iterations=1, style_iterations=1, tune_steps=1, guidance_scale=5.0
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sdxl_checkpoint(tmp_path_factory.mktemp("sdxl"))


@pytest.fixture(scope="module")
def xl(checkpoint: Path) -> MAGEditPipeline:
    return MAGEditPipeline.from_pretrained(checkpoint)


def run(pipe: MAGEditPipeline, room: Room, config: EditConfig = QUICK, **options: Any) -> MAGEditOutput:
    return pipe(room.image, [room.mask], room.source, room.target, (), config, **options)


def test_facts_are_read_from_the_checkpoint(xl: MAGEditPipeline) -> None:
    backbone = xl.backbone
    assert isinstance(backbone, StableDiffusionXL)
    assert (backbone.size, backbone.latent_side, backbone.guidance_side, backbone.max_tokens) == (256, 32, 8, 77)
    assert len(backbone.parts) == 4
    cross = [site for site in backbone.sites if site.kind == "cross"]
    # Two levels have attention: 1 layer in each block of the middle one, 2 in each of the lowest and of the mid block.
    assert [site.side for site in cross] == [16] * 2 + [8] * 4 + [8] * 2 + [8] * 6 + [16] * 3
    assert [site.name for site in backbone.guidance_sites] == [
        f"{block}.attentions.{n}.transformer_blocks.{m}.attn2"
        for block, number in (("down_blocks.2", 2), ("up_blocks.0", 3))
        for n in range(number)
        for m in range(2)
    ]


def test_prompts_are_encoded_as_diffusers_does(xl: MAGEditPipeline, checkpoint: Path) -> None:
    theirs = StableDiffusionXLPipeline.from_pretrained(checkpoint)
    prompt = "a room with a green sofa"
    with torch.no_grad():
        states, empty, pooled, empty_pooled = theirs.encode_prompt(prompt, do_classifier_free_guidance=True)
        ours, nothing = xl.backbone.encode(prompt), xl.backbone.encode("")
    assert ours.pooled is not None
    assert nothing.pooled is not None
    assert ours.hidden_states.shape == (1, 77, 2 * WIDTH)
    assert torch.equal(ours.hidden_states, states)
    assert torch.equal(ours.pooled, pooled)
    assert torch.equal(nothing.hidden_states, empty)
    assert torch.equal(nothing.pooled, empty_pooled)
    assert nothing.hidden_states.count_nonzero() == 0
    assert torch.equal(
        ours.extra["time_ids"], theirs._get_add_time_ids((256, 256), (0, 0), (256, 256), states.dtype, WIDTH)
    )


def test_an_empty_prompt_is_read_where_the_checkpoint_says_so(checkpoint: Path) -> None:
    reads = MAGEditPipeline.from_pretrained(checkpoint, force_zeros_for_empty_prompt=False)
    with torch.no_grad():
        assert reads.backbone.encode("").hidden_states.count_nonzero() > 0


def test_tokenizers_with_different_words_are_refused(xl: MAGEditPipeline) -> None:
    other = CLIPTokenizer.from_pretrained(xl.name_or_path, subfolder="tokenizer_2")
    other.add_tokens(["<cat>"])
    with pytest.raises(CheckpointError, match="two tokenizers have different vocabularies"):
        StableDiffusionXL(**{**xl.components, "tokenizer_2": other})


def prompts(xl: MAGEditPipeline, *texts: str) -> Conditioning:
    with torch.no_grad():
        return Conditioning.cat([xl.backbone.encode(text) for text in texts])


@pytest.fixture
def latent() -> Tensor:
    return torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(5))


def test_the_pooled_embedding_and_the_sizes_are_inputs(xl: MAGEditPipeline, latent: Tensor) -> None:
    prompt = prompts(xl, "a red sofa")
    assert prompt.pooled is not None
    with torch.no_grad():
        own = xl.backbone.predict(latent, 481, prompt)
        for changed in (
            replace(prompt, pooled=prompt.pooled + 1),
            replace(prompt, extra={"time_ids": prompt.extra["time_ids"] / 2}),
        ):
            assert not torch.equal(xl.backbone.predict(latent, 481, changed), own)


def test_a_truncated_pass_matches_maps_and_gradient_of_the_full_pass(xl: MAGEditPipeline, latent: Tensor) -> None:
    backbone, prompt = xl.backbone, prompts(xl, "a red sofa")
    gradients, read = [], []
    for whole in (True, False):
        z = latent.clone().requires_grad_(True)
        names = reading(site.name for site in backbone.guidance_sites)
        with torch.enable_grad(), frozen(backbone.network), backbone.editing(names, 1) as (maps,):
            if whole:
                backbone.predict(z, 481, prompt)
            else:
                backbone.attend(z, 481, prompt, backbone.guidance_sites[-1])
            (gradient,) = torch.autograd.grad(torch.stack([m.square().sum() for m in maps.values()]).sum(), z)
        gradients.append(gradient)
        read.append({name: each.detach() for name, each in maps.items()})
    assert gradients[0].abs().max() > 0
    assert torch.equal(*gradients)
    assert set(read[0]) == set(read[1])
    assert all(torch.equal(each, read[1][name]) for name, each in read[0].items())


def test_batched_rows_match_single_rows(xl: MAGEditPipeline, latent: Tensor) -> None:
    both = torch.cat([latent, latent.flip(-1)])
    with torch.no_grad():
        batch = xl.backbone.predict(both, 481, prompts(xl, "a red sofa", ""))
        alone = [
            xl.backbone.predict(both[n : n + 1], 481, prompts(xl, text)) for n, text in enumerate(("a red sofa", ""))
        ]
    assert float((batch - torch.cat(alone)).abs().max()) < 1e-5


def test_the_prefix_cache_holds_no_prompt(xl: MAGEditPipeline, latent: Tensor) -> None:
    with torch.no_grad():
        wanted = [xl.backbone.predict(latent, 481, prompts(xl, text)) for text in ("a red sofa", "")]
        with xl.backbone.one_prefix():
            got = [xl.backbone.predict(latent, 481, prompts(xl, text)) for text in ("a red sofa", "")]
    assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))


@pytest.mark.parametrize(
    ("method", "inversion"),
    [(name, each) for name in FOR_DIFFUSION for each in METHODS[name].inversions or ("direct",)],
)
def test_every_method_edits_only_the_mask_with_every_inversion(
    xl: MAGEditPipeline, room: Room, method: MethodName, inversion: InversionName
) -> None:
    output = run(xl, room, replace(QUICK, method=method, inversion=inversion))
    assert isinstance(output.images, list)
    assert output.measures.outside_difference == 0
    assert ImageChops.difference(room.image, output.images[0]).getbbox() is not None
    assert output.measures.reconstruction is not None
    if inversion == "direct":
        assert output.measures.reconstruction.inversion == output.measures.reconstruction.vae


@pytest.mark.parametrize("constraint", ["token", "spatial", "both"])
def test_one_update_raises_the_ratio(xl: MAGEditPipeline, room: Room, constraint: Any) -> None:
    guided = run(xl, room, replace(QUICK, guidance_step_size=1.0, constraint=constraint))
    first = guided.measures.trace[0]
    (before,), (after,) = first.before, first.after
    token, spatial = after.token - before.token, after.spatial - before.spatial
    assert (token if constraint == "token" else spatial) > 1e-5


@pytest.mark.parametrize("error", [EditCanceled("stop"), RuntimeError("broken")])
@pytest.mark.parametrize("stop_at", [Stage.INVERT, Stage.EDIT])
def test_the_model_is_as_before_after_an_error(
    xl: MAGEditPipeline, room: Room, stop_at: Stage, error: Exception
) -> None:
    before = dict(xl.unet.attn_processors)
    flags = [parameter.requires_grad for parameter in xl.unet.parameters()]

    def stop(progress: Progress) -> None:
        if progress.stage == stop_at and progress.step == 1:
            raise error

    with pytest.raises(type(error)):
        run(xl, room, on_progress=stop)
    assert xl.unet.attn_processors == before
    assert [parameter.requires_grad for parameter in xl.unet.parameters()] == flags
    assert not any(module._forward_hooks for module in xl.unet.modules())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_finite(checkpoint: Path, room: Room, dtype: torch.dtype) -> None:
    half = MAGEditPipeline.from_pretrained(checkpoint, dtype=dtype)
    output = run(half, room)
    assert output.measures.outside_difference == 0
    assert torch.isfinite(output.edited[0].latent).all()
    assert {part.dtype for part in half.backbone.parts} == {dtype}


def test_a_vae_that_overflows_in_half_precision_computes_in_float32(checkpoint: Path, room: Room) -> None:
    half = MAGEditPipeline.from_pretrained(checkpoint, dtype=torch.float16)
    vae = half.vae
    seen = []
    handle = vae.encoder.register_forward_hook(
        lambda module, _inputs, output: seen.append((module.conv_in.weight.dtype, output.dtype))
    )
    with torch.no_grad():
        half.backbone.encode_image(room.image)
    assert seen == [(torch.float32, torch.float32)]
    assert vae.dtype is torch.float16
    vae.register_to_config(force_upcast=False)
    with torch.no_grad():
        half.backbone.encode_image(room.image)
    assert seen[1] == (torch.float16, torch.float16)
    handle.remove()
    vae.register_to_config(force_upcast=True)
    with pytest.raises(RuntimeError), upcast(vae):
        raise RuntimeError("broken")
    assert vae.dtype is torch.float16


def test_a_saved_pipeline_loads_again_with_its_own_keys(checkpoint: Path, tmp_path: Path) -> None:
    own = MAGEditPipeline.from_pretrained(checkpoint, guidance_resolution=16, guidance_step_size=7.0)
    own.backbone.save_pretrained(tmp_path)  # type: ignore[attr-defined]
    again = MAGEditPipeline.from_pretrained(tmp_path)
    assert (again.backbone.guidance_side, again.backbone.step_sizes.token) == (16, 7.0)  # type: ignore[attr-defined]


def test_the_picture_of_a_grey_image_is_of_the_checkpoints_size(xl: MAGEditPipeline) -> None:
    with torch.no_grad():
        latent = xl.backbone.encode_image(Image.new("RGB", (256, 256), "grey"))
        assert latent.shape == (1, 4, 32, 32)
        assert xl.backbone.decode(latent).size == (256, 256)


def test_the_sources_self_attention_is_the_same_without_its_maps(
    xl: MAGEditPipeline, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(QUICK, method="p2p", self_replace=1.0)
    by_pair = run(xl, room, config)
    own = run(xl, room, replace(config, self_replace=0.0), inversion=by_pair.inversion)
    monkeypatch.setattr(StableDiffusionXL, "sites", UNetBackbone.sites)
    assert not any(site.paired for site in xl.backbone.sites)
    by_map = run(xl, room, config, inversion=by_pair.inversion)
    assert float((by_pair.edited[0].latent - by_map.edited[0].latent).abs().max()) < 1e-3
    assert float((by_pair.edited[0].latent - own.edited[0].latent).abs().max()) > 1e-2
