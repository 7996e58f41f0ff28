"""Textual inversion files on tiny checkpoints: a word is its vectors, wherever the prompt is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from magedit.backbones.checkpoints.fingerprint import fingerprint
from magedit.backbones.embeddings import add_embeddings
from magedit.config import EditConfig, Region
from magedit.errors import CheckpointError
from magedit.pipelines.mag_edit import MAGEditPipeline
from magedit.prompts.alignment import from_tokenizers, token_indices
from tests.magedit.backbones.sdxl.tiny import sdxl_checkpoint
from tests.magedit.conftest import Room, load_pipeline
from tests.magedit.tiny import write_flux, write_sd3

NAMES = ("clip_l", "clip_g")


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sdxl_checkpoint(tmp_path_factory.mktemp("sdxl"))


@pytest.fixture(params=["sd", "sdxl"])
def pipe(request: pytest.FixtureRequest) -> Iterator[MAGEditPipeline]:
    if request.param == "sd":
        yield load_pipeline()
    else:
        yield MAGEditPipeline.from_pretrained(request.getfixturevalue("sdxl"))


def widths(pipe: MAGEditPipeline) -> list[int]:
    return [encoder.get_input_embeddings().embedding_dim for _, encoder in pipe.text_parts]


def write(folder: Path, name: str, pipe: MAGEditPipeline, vectors: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """A file of that many vectors, in the layout of the checkpoint's family."""
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(vectors, width, generator=generator) for width in widths(pipe)]
    tensors = dict(zip(NAMES, drawn, strict=True)) if len(drawn) > 1 else {"emb_params": drawn[0]}
    save_file(tensors, folder / f"{name}.safetensors")
    return tensors


def test_a_word_is_its_vectors(pipe: MAGEditPipeline, tmp_path: Path) -> None:
    plain, before = pipe.backbone.encode("a red sofa"), fingerprint(pipe.backbone)
    known = len(pipe.tokenizer)
    files = {"Velvet": 3, "velvet-2": 1}
    tensors = {name: write(tmp_path / "new", name, pipe, count, count) for name, count in files.items()}
    pipe.backbone.add_embeddings(tmp_path / "new")
    assert pipe.backbone.embeddings == ("velvet", "velvet-2")
    assert fingerprint(pipe.backbone) != before
    torch.testing.assert_close(pipe.backbone.encode("a red sofa").hidden_states, plain.hidden_states)

    prompt = "a VELVET sofa, velvet-2 velvets"
    encoded = pipe.backbone.tokenize(prompt)
    columns = token_indices(prompt, encoded, "velvet[1]")
    assert [encoded.ids[n] for n in columns] == [known, known + 1, known + 2]
    assert columns == tuple(range(columns[0], columns[0] + 3))
    assert [encoded.ids[n] for n in token_indices(prompt, encoded, "velvet-2")] == [known + 3]
    assert all(encoded.ids[n] < known for n in token_indices(prompt, encoded, "velvets"))
    # The front end has the tokenizer alone.
    assert from_tokenizers(pipe.backbone.tokenizer_json())(prompt) == encoded

    for number, (tokenizer, encoder) in enumerate(pipe.text_parts):
        ids = tokenizer(prompt).input_ids
        assert tuple(ids) == encoded.ids
        own = encoder.get_input_embeddings()(torch.tensor(ids))
        torch.testing.assert_close(own[list(columns)], list(tensors["Velvet"].values())[number])
    assert pipe.backbone.encode(prompt).hidden_states.shape == plain.hidden_states.shape


def test_the_end_of_a_prompt_stays_its_end(sdxl: Path, tmp_path: Path) -> None:
    pipe: MAGEditPipeline = MAGEditPipeline.from_pretrained(sdxl)
    # As early configs have it: the largest id counts as the end.
    encoder = pipe.text_encoder_2
    encoder.config.eos_token_id = encoder.text_model.eos_token_id = 2
    write(tmp_path / "new", "velvet", pipe, 2)
    pipe.backbone.add_embeddings(tmp_path / "new")
    prompt = "a velvet sofa"
    ids = pipe.tokenizer_2(prompt, padding="max_length", max_length=77, return_tensors="pt").input_ids
    end = ids[0].tolist().index(pipe.tokenizer_2.eos_token_id)
    with torch.no_grad():
        last = encoder.text_model(ids).last_hidden_state[0, end]
        torch.testing.assert_close(pipe.backbone.encode(prompt).pooled, encoder.text_projection(last)[None].float())


def test_an_edit_is_guided_by_it(pipe: MAGEditPipeline, room: Room, tmp_path: Path) -> None:
    write(tmp_path / "new", "velvet", pipe, 2)
    pipe.backbone.add_embeddings(tmp_path / "new")
    image, mask = (each.resize((pipe.size, pipe.size)) for each in (room.image, room.mask))
    config = EditConfig(steps=2, max_iterations=2, stop_margin=0.0)
    edited = pipe(image, mask, "a room with a sofa", "a room with a velvet sofa", Region(words=("velvet",)), config)
    assert edited.measures.before != edited.measures.after
    assert edited.measures.outside_difference == 0


@pytest.mark.parametrize("suffix", [".pt", ".bin"])
def test_older_files(suffix: str, tmp_path: Path) -> None:
    pipe = load_pipeline()
    (width,) = widths(pipe)
    vectors = torch.randn(2, width)
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": vectors}, "name": "x"}, tmp_path / f"a{suffix}")
    torch.save({"<anything>": vectors[0]}, tmp_path / f"b{suffix}")
    pipe.backbone.add_embeddings(tmp_path)
    own = pipe.text_encoder.get_input_embeddings().weight
    torch.testing.assert_close(own[-3:], torch.cat([vectors, vectors[:1]]))


def test_incompatible_files_are_rejected_by_name(sdxl: Path, tmp_path: Path) -> None:
    small, large = load_pipeline(), MAGEditPipeline.from_pretrained(sdxl)
    write(tmp_path / "xl", "velvet", large, 1)
    write(tmp_path / "sd", "velvet", small, 1)
    for pipe, folder in ((small, "xl"), (large, "sd")):
        with pytest.raises(CheckpointError, match=r"'velvet.safetensors' has vectors of .* made for another family"):
            pipe.backbone.add_embeddings(tmp_path / folder)
        assert pipe.backbone.embeddings == ()
    for content in (b"no pickle", b""):
        (tmp_path / "sd" / "torn.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"'torn.pt' cannot be read"):
            small.backbone.add_embeddings(tmp_path / "sd")
    for vectors in (torch.zeros(()), torch.zeros(0, 4)):
        torch.save({"velvet": vectors}, tmp_path / "sd" / "torn.pt")
        with pytest.raises(CheckpointError, match=r"'torn.pt' has vectors of width none"):
            small.backbone.add_embeddings(tmp_path / "sd")
    (tmp_path / "sd" / "torn.pt").rename(tmp_path / "sd" / "two words.pt")
    with pytest.raises(CheckpointError, match=r"'two words.pt' is not a valid word: rename it"):
        small.backbone.add_embeddings(tmp_path / "sd")
    (tmp_path / "sd" / "two words.pt").rename(tmp_path / "sd" / "Velvet.pt")
    with pytest.raises(CheckpointError, match="have the same name: rename one"):
        small.backbone.add_embeddings(tmp_path / "sd")
    with pytest.raises(CheckpointError, match=r"there is no folder .*lost"):
        add_embeddings(small.text_parts, tmp_path / "lost")
    (tmp_path / "sd" / "Velvet.pt").unlink()
    small.backbone.add_embeddings(tmp_path / "sd")
    with pytest.raises(CheckpointError, match="already has embeddings"):
        small.backbone.add_embeddings(tmp_path / "sd")


@pytest.mark.parametrize("write_checkpoint", [write_sd3, write_flux])
def test_models_with_joint_attention_reject_embeddings(write_checkpoint: object, tmp_path: Path) -> None:
    assert callable(write_checkpoint)
    pipe: MAGEditPipeline = MAGEditPipeline.from_pretrained(write_checkpoint(tmp_path / "model"))
    with pytest.raises(CheckpointError, match=r"textual inversion is supported for Stable Diffusion 1\.x"):
        pipe.backbone.add_embeddings(tmp_path)
    assert pipe.backbone.embeddings == ()
