from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from PIL import Image

from jobs.models import tokenizer_sha256
from jobs.schema import JobRecord
from jobs.settings import Settings
from magedit.config import EditConfig, Region
from magedit.demo import checkpoint_path
from magedit.edits.asked import read_asked
from magedit.edits.resolve import resolve
from magedit.errors import CheckpointError
from magedit.images.masks import outside_difference
from magedit.inversion.registry import INVERSIONS
from magedit.methods.registry import METHODS
from magedit.prompts.alignment import from_tokenizers
from tests.jobs.conftest import Desk, png
from tests.magedit.backbones.sdxl.tiny import sdxl_checkpoint
from tests.magedit.pipelines.test_instruct import instruct_checkpoint
from tests.magedit.tiny import lora_file, write_flux, write_sd3
from tests.worker.conftest import CHECKPOINT
from worker.models.served_model import ServedModel, domain, load
from worker.progress import Reporter
from worker.tasks import edit
from worker.tasks.inversion_cache import Inversions

INSTRUCTION = "make the sofa green"
INSTRUCT = EditConfig(method="instruct-pix2pix", steps=3, guidance_scale=5.0, image_guidance_scale=2.0, seed=7)
FOR_DIFFUSION = tuple(
    card.name for card in METHODS.values() if not card.own_checkpoint and "diffusion" not in card.unsuited
)


def test_the_announcement_of_a_loaded_model(real_model: ServedModel) -> None:
    info = real_model.info
    assert (info.name, info.checkpoint, info.device, info.dtype) == ("demo", str(CHECKPOINT), "cpu", "float32")
    assert (info.image_size, info.max_prompt_tokens) == (256, 77)
    assert info.methods == FOR_DIFFUSION
    assert info.inversions == tuple(INVERSIONS)
    assert info.tokenizer_sha256 == tokenizer_sha256(real_model.tokenizer_json)


def test_the_front_end_counts_tokens_as_the_model_does(real_model: ServedModel) -> None:
    tokenize = from_tokenizers(real_model.tokenizer_json)
    prompt = "a room with two armchairs, and a sofa-bed"
    assert tokenize(prompt) == real_model.editor.tokenize(prompt)  # type: ignore[attr-defined]


def test_a_checkpoint_announces_its_domain(tmp_path: Path) -> None:
    assert domain("runwayml/stable-diffusion") is None
    (tmp_path / "model_index.json").write_text("{}")
    assert domain(str(tmp_path)) is None
    assert domain(str(checkpoint_path())) == "flat drawings of rooms"


def test_a_model_for_little_memory(settings: Settings) -> None:
    editor = load(settings.model_copy(update={"low_memory": True})).editor
    assert editor.unet.down_blocks[0].gradient_checkpointing  # type: ignore[attr-defined]
    assert editor.batch_results == 1  # type: ignore[attr-defined]


def test_how_many_results_share_a_batch_is_a_setting(settings: Settings) -> None:
    editor = load(settings.model_copy(update={"batch_results": 2})).editor
    assert editor.batch_results == 2  # type: ignore[attr-defined]


def test_a_model_in_half_precision_serves_no_inversion_that_needs_more(settings: Settings) -> None:
    half = load(settings.model_copy(update={"dtype": "bfloat16"})).info
    assert half.dtype == "bfloat16"
    assert set(INVERSIONS) - set(half.inversions) == {"null-text"}


def test_sdxl_is_served_with_every_method_and_inversion(desk: Desk, tmp_path: Path) -> None:
    checkpoint = sdxl_checkpoint(tmp_path / "sdxl")
    served = load(Settings(checkpoint=str(checkpoint), model="xl", device="cpu"))
    info = served.info
    assert (info.family, info.image_size, info.max_prompt_tokens) == ("sdxl", 256, 77)
    assert info.methods == FOR_DIFFUSION
    assert info.inversions == tuple(INVERSIONS)
    _edit_of(desk, served)


@pytest.mark.parametrize(("write", "family"), [(write_sd3, "sd3"), (write_flux, "flux")])
def test_joint_attention_models_are_served(
    desk: Desk, tmp_path: Path, write: Callable[[Path], Path], family: str
) -> None:
    served = load(Settings(checkpoint=str(write(tmp_path / family)), model=family, device="cpu"))
    assert (served.info.family, served.info.image_size) == (family, 128)
    assert "flow-edit" in served.info.methods
    assert served.info.inversions == ("direct", "ddim") if family == "flux" else "null-text" in served.info.inversions
    assert served.info.defaults["denominator"] == "text"
    _edit_of(desk, served)


def _edit_of(desk: Desk, served: ServedModel) -> None:
    """An edit of the queue, carried out by a served model: the picture changes inside the mask alone."""
    record = desk.submit("a red sofa", config=EditConfig(steps=2, max_iterations=1))
    desk.store.put(record.image, png(picture()), "image/png")
    mask = Image.new("L", picture().size)
    mask.paste(255, (100, 60, 180, 150))
    desk.store.put(record.masks[0], png(mask), "image/png")
    claim = desk.records.claim(record.id, "w")
    assert claim is not None
    finished = edit.run(claim, served.editor, desk.store, Reporter())
    result = Image.open(io.BytesIO(desk.store.get(finished.results[0].key))).convert("RGB")
    assert result.tobytes() != picture().tobytes()
    assert outside_difference(picture(), result, mask, finished.measures.paste_margin_px) == 0


def test_loras_apply_permanently_or_to_one_edit(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "loras"
    plain = load(Settings(checkpoint=str(CHECKPOINT), device="cpu"))
    lora_file(plain.editor, folder / "style.safetensors")
    settings = Settings(checkpoint=str(CHECKPOINT), device="cpu", lora_dir=folder)
    served = load(settings)
    assert (plain.info.loras, served.info.loras) == ((), ("style",))
    merged = load(settings.model_copy(update={"loras": ("style:0.5",)}))
    assert len({plain.fingerprint, merged.fingerprint}) == 2
    assert served.fingerprint == plain.fingerprint

    shelf = Inversions(store=desk.store, info=served.info, fingerprint=str(served.fingerprint), lora_dir=folder)
    results: dict[tuple[str, ...], bytes] = {}
    for lora in ((), ("style:0.5",), ("style",), ()):
        config = EditConfig(steps=2, max_iterations=1, lora=lora)
        record = desk.submit("paint", config=config)
        claim = desk.records.claim(record.id, "w")
        assert claim is not None
        finished = edit.run(claim, served.editor, desk.store, Reporter(), shelf)
        # Each has an inversion of its own; the last one finds the first one's.
        assert finished.measures.inversion_reused is (lora in results)
        again = results.setdefault(lora, desk.store.get(finished.results[0].key))
        assert desk.store.get(finished.results[0].key) == again
    assert len(set(results.values())) == 3

    with pytest.raises(CheckpointError, match=r"no LoRA 'lost'.*MAGEDIT_LORAS"):
        load(settings.model_copy(update={"loras": ("lost",)}))


def test_an_embedding_is_a_word_of_the_model(desk: Desk, tmp_path: Path) -> None:
    plain = load(Settings(checkpoint=str(CHECKPOINT), device="cpu"))
    torch.save(torch.randn(2, 32), tmp_path / "Velvet.pt")
    settings = Settings(checkpoint=str(CHECKPOINT), device="cpu", embedding_dir=tmp_path)
    served = load(settings)
    assert (plain.info.embeddings, served.info.embeddings) == ((), ("velvet",))
    assert served.fingerprint != plain.fingerprint
    assert served.info.tokenizer_sha256 != plain.info.tokenizer_sha256
    checkpoint = served.info.as_checkpoint(from_tokenizers(served.tokenizer_json))
    asked = {"source_prompt": "a room with a sofa", "target_prompt": "a room with a velvet sofa"}
    found = resolve(read_asked(asked), checkpoint)
    assert found.tokens["target_prompt"] == found.tokens["source_prompt"] + 2
    record = desk.submit(
        "paint",
        target_prompt=asked["target_prompt"],
        regions=(Region(words=("velvet",)),),
        config=EditConfig(steps=2, max_iterations=1),
    )
    claim = desk.records.claim(record.id, "w")
    assert claim is not None
    assert edit.run(claim, served.editor, desk.store, Reporter()).measures.outside_difference == 0

    torch.save(torch.randn(2, 31), tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"'other.pt' has vectors of width 31.*MAGEDIT_EMBEDDING_DIR"):
        load(settings)


def test_a_folder_without_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no model_index\.json"):
        load(Settings(checkpoint=str(tmp_path)))


@pytest.fixture(scope="module")
def instruct_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return instruct_checkpoint(tmp_path_factory.mktemp("instruct"))


@pytest.fixture(scope="module")
def instructed(instruct_folder: Path) -> ServedModel:
    """A tiny real checkpoint with eight input channels, loaded as a worker loads it."""
    return load(Settings(checkpoint=str(instruct_folder), model="instruct", device="cpu"))


def picture() -> Image.Image:
    return Image.radial_gradient("L").convert("RGB")


def instruct(desk: Desk, box: tuple[int, int, int, int], **request: object) -> JobRecord:
    """A claimed edit by instruction of `picture` inside ``box``."""
    given = {"config": INSTRUCT, "source_prompt": INSTRUCTION, "regions": (Region(),), **request}
    record = desk.submit(INSTRUCTION, **given)
    mask = Image.new("L", picture().size)
    mask.paste(255, box)
    desk.store.put(record.image, png(picture()), "image/png")
    desk.store.put(record.masks[0], png(mask), "image/png")
    claim = desk.records.claim(record.id, "w")
    assert claim is not None
    return claim


def test_a_checkpoint_of_instructions_announces_its_one_method(instructed: ServedModel) -> None:
    info = instructed.info
    assert (info.name, info.methods, info.inversions) == ("instruct", ("instruct-pix2pix",), ())
    assert (info.image_size, info.max_prompt_tokens) == (256, 77)
    assert info.tokenizer_sha256 == tokenizer_sha256(instructed.tokenizer_json)
    instructed.probe()


def test_an_edit_by_instruction_is_diffusers_own_inside_the_mask(
    desk: Desk, instructed: ServedModel, instruct_folder: Path
) -> None:
    """On the whole of a picture of the checkpoint's size both mean the same."""
    whole = (0, 0, *picture().size)
    finished = edit.run(instruct(desk, whole), instructed.editor, desk.store, Reporter())
    result = Image.open(io.BytesIO(desk.store.get(finished.results[0].key))).convert("RGB")
    reference = StableDiffusionInstructPix2PixPipeline.from_pretrained(instruct_folder, safety_checker=None)
    reference.set_progress_bar_config(disable=True)
    wanted = reference(
        INSTRUCTION,
        image=picture(),
        num_inference_steps=3,
        guidance_scale=5.0,
        image_guidance_scale=2.0,
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]
    assert result.tobytes() == wanted.tobytes()

    box = (100, 60, 180, 150)
    finished = edit.run(instruct(desk, box), instructed.editor, desk.store, Reporter())
    part = Image.open(io.BytesIO(desk.store.get(finished.results[0].key))).convert("RGB")
    assert part.crop(box).tobytes() == wanted.crop(box).tobytes()
    mask = Image.new("L", part.size)
    mask.paste(255, box)
    assert outside_difference(picture(), part, mask, finished.measures.paste_margin_px) == 0
    assert finished.measures.unet_forward == 3


def test_artifacts_of_an_edit_by_instruction(desk: Desk, instructed: ServedModel) -> None:
    """What needs words, maps or an inversion is empty; everything else is there."""
    assert instructed.fingerprint is not None
    kept = Inversions(store=desk.store, info=instructed.info, fingerprint=instructed.fingerprint)
    claim = instruct(desk, (60, 60, 90, 90), artifacts=("attention", "trace", "difference", "crop"))
    finished = edit.run(claim, instructed.editor, desk.store, Reporter(), kept)
    names = {each.name for each in finished.artifacts}
    assert {"overview.png", "trace.json", "difference.png", "crop.png"} <= names
    assert not any(name.startswith("attention") for name in names)
    trace = next(each.key for each in finished.artifacts if each.name == "trace.json")
    assert json.loads(desk.store.get(trace)) == []


def test_a_checkpoint_of_instructions_for_little_memory(instruct_folder: Path) -> None:
    served = load(Settings(checkpoint=str(instruct_folder), device="cpu", low_memory=True))
    assert served.info.methods == ("instruct-pix2pix",)
