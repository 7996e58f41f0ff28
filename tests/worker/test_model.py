from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.models import tokenizer_sha256
from jobs.settings import Settings
from magedit.catalog import INVERSION_CARDS, METHOD_CARDS
from magedit.prompts import from_tokenizers
from tests.worker.conftest import CHECKPOINT
from worker.model import ServedModel, load, vocabulary


def test_what_a_loaded_model_announces(real_model: ServedModel) -> None:
    info = real_model.info
    assert (info.name, info.checkpoint, info.device, info.dtype) == ("demo", str(CHECKPOINT), "cpu", "float32")
    assert (info.image_size, info.max_prompt_tokens) == (256, 77)
    assert info.methods == tuple(card.name for card in METHOD_CARDS.values() if not card.own_checkpoint)
    assert info.inversions == tuple(INVERSION_CARDS)
    assert info.tokenizer_sha256 == tokenizer_sha256(real_model.tokenizer_json)


def test_the_front_end_counts_tokens_as_the_model_does(real_model: ServedModel) -> None:
    tokenize = from_tokenizers(real_model.tokenizer_json)
    prompt = "a room with two armchairs, and a sofa-bed"
    assert tokenize(prompt) == real_model.editor.tokenize(prompt)  # type: ignore[attr-defined]


def test_a_vocabulary_comes_with_the_checkpoint(tmp_path: Path) -> None:
    assert vocabulary(str(tmp_path)) is None
    assert vocabulary("runwayml/stable-diffusion") is None
    (tmp_path / "vocabulary.json").write_text(json.dumps({"rooms": ["room"], "things": ["sofa", "lamp"]}))
    assert vocabulary(str(tmp_path)) == ("room", "sofa", "lamp")


def test_a_model_for_little_memory(settings: Settings) -> None:
    editor = load(settings.model_copy(update={"low_memory": True})).editor
    assert editor.unet.down_blocks[0].gradient_checkpointing  # type: ignore[attr-defined]


def test_a_folder_without_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"model_index\.json"):
        load(Settings(checkpoint=str(tmp_path)))
