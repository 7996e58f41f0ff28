"""Textual inversion: prompt words backed by learned vectors (Gal et al., arXiv 2208.01618)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import AddedToken, Regex, normalizers
from torch import Tensor

from magedit.errors import CheckpointError

SUFFIXES: Final = (".safetensors", ".pt", ".bin")
_NAME: Final = re.compile(r"\w[\w.-]{0,63}")
_FIRST: Final = 0xE000
"""First private-use character; the range to `_LAST` never occurs in text, so that each one can represent a vector."""
_LAST: Final = 0xF8FF

TextPart = tuple[Any, Any]
"""A tokenizer and its text encoder."""


def add_embeddings(parts: Sequence[TextPart], folder: Path) -> tuple[str, ...]:
    """Add the embeddings in ``folder`` to text encoders and their words to the tokenizers; returns the words.

    A word is a file's name without its suffix, case-insensitive. In a prompt it becomes one token per vector of the
    file, all with the word's span, so that the word owns the map columns of all of them. Tokenizers and encoders have
    the same ids for them, in the order of the names.

    Raises:
        CheckpointError: a file cannot be read, has an invalid name, or is for other text encoders; says which.
    """
    widths = [encoder.get_input_embeddings().embedding_dim for _, encoder in parts]
    words = {word: _vectors(file, widths) for word, file in _files(folder).items()}
    counts = {word: len(vectors[0]) for word, vectors in words.items()}
    if sum(counts.values()) > _LAST - _FIRST + 1:
        raise CheckpointError(f"the embeddings in {folder} have more than {_LAST - _FIRST + 1} vectors in total")
    for number, (tokenizer, encoder) in enumerate(parts):
        _add_words(tokenizer, counts)
        _add_vectors(tokenizer, encoder, [vectors[number] for vectors in words.values()])
    return tuple(words)


def _files(folder: Path) -> dict[str, Path]:
    """The embeddings' words with their files, in order."""
    if not folder.is_dir():
        raise CheckpointError(f"there is no folder {folder} of embeddings (MAGEDIT_EMBEDDING_DIR)")
    found: dict[str, Path] = {}
    for file in sorted(each for each in folder.iterdir() if each.suffix in SUFFIXES and each.is_file()):
        word = unicodedata.normalize("NFC", file.stem).lower()
        if not _NAME.fullmatch(word):
            raise CheckpointError(
                f"the embedding {file.name!r} is not a valid word: rename it, using at most 64 letters, digits, '_', "
                f"'-' and '.'"
            )
        if word in found:
            raise CheckpointError(
                f"the embeddings {found[word].name!r} and {file.name!r} have the same name: rename one"
            )
        found[word] = file
    return found


def _vectors(file: Path, widths: Sequence[int]) -> list[Tensor]:
    """The vectors for each text encoder, (n, width)."""
    try:
        loaded = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
    except (OSError, EOFError, ValueError, RuntimeError, UnpicklingError, SafetensorError) as error:
        raise CheckpointError(
            f"the embedding {file.name!r} cannot be read: it is damaged, or holds more than tensors; save it as "
            ".safetensors"
        ) from error
    inner = loaded.get("string_to_param", loaded) if isinstance(loaded, Mapping) else {"": loaded}
    tensors = {
        name: each
        for name, each in inner.items()
        if isinstance(each, Tensor) and each.is_floating_point() and each.dim() and each.numel()
    }
    # Stable Diffusion XL's two text encoders by name; else a single tensor under any name.
    names = ("clip_l", "clip_g") if "clip_g" in tensors else tuple(tensors)
    found = [tensors[name].detach().reshape(-1, tensors[name].shape[-1]) for name in names if name in tensors]
    if [each.shape[-1] for each in found] != list(widths) or len({len(each) for each in found}) != 1:
        told, wanted = (" and ".join(map(str, each)) or "none" for each in ([e.shape[-1] for e in found], widths))
        raise CheckpointError(
            f"the embedding {file.name!r} has vectors of width {told}, but the checkpoint's text encoders need "
            f"{wanted}: it was made for another family; move it to another folder (MAGEDIT_EMBEDDING_DIR)"
        )
    return found


def _add_words(tokenizer: Any, counts: Mapping[str, int]) -> None:
    """Replace each word by one private character per vector, each a token; spans still refer to the original text."""
    private = map(chr, range(_FIRST, _LAST + 1))
    places = {word: "".join(islice(private, count)) for word, count in counts.items()}
    tokenizer.add_tokens([AddedToken(each, normalized=True) for place in places.values() for each in place])
    rules = [
        normalizers.Replace(Regex(rf"(?<!\w){re.escape(word)}(?!\w)"), places[word])
        for word in sorted(places, key=len, reverse=True)  # "style-2" before "style"
    ]
    backend = tokenizer.backend_tokenizer
    backend.normalizer = normalizers.Sequence([backend.normalizer, *rules])


def _add_vectors(tokenizer: Any, encoder: Any, vectors: Sequence[Tensor]) -> None:
    """Append the vectors of all words, in order, to the encoder's own."""
    if not vectors:
        return
    new, own = torch.cat(list(vectors)), encoder.get_input_embeddings().weight
    if len(own) < len(tokenizer):
        encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    own = encoder.get_input_embeddings().weight
    with torch.no_grad():
        own[len(tokenizer) - len(new) : len(tokenizer)] = new.to(own)
    # With the wrong end token of early configs, transformers takes the largest id as the end, which no longer holds.
    text = getattr(encoder, "text_model", encoder)
    text.eos_token_id = encoder.config.eos_token_id = tokenizer.eos_token_id
