"""The tokenizer: byte-pair encoding in CLIP's layout, each word of the demo's vocabulary one token."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import CLIPTokenizer

from magedit.demo.vocabulary import GROUPS

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77
"""Positions of CLIP's text encoder in Stable Diffusion."""


def _words(groups: Mapping[str, Iterable[str]]) -> Iterator[str]:
    for words in groups.values():
        for word in words:
            yield from [word] * 1000


def kept_tokenizer(folder: Path, groups: Mapping[str, Iterable[str]] = GROUPS) -> CLIPTokenizer:
    """The tokenizer in `folder`, built if missing: every build gives letters other ids, so weights need the first.

    A kill leaves a complete one or none.
    """
    if not folder.exists():
        fresh = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
        build_tokenizer(fresh, groups)
        fresh.rename(folder)
    return CLIPTokenizer.from_pretrained(folder)


def build_tokenizer(folder: Path, groups: Mapping[str, Iterable[str]] = GROUPS) -> CLIPTokenizer:
    """Learns the merges from a vocabulary, saves the tokenizer in `folder`, and loads it back.

    A word outside the vocabulary is split into letters, as in CLIP's tokenizer.
    """
    backend = Tokenizer(models.BPE(unk_token=END, end_of_word_suffix="</w>", continuing_subword_prefix=""))
    backend.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace()])
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789.,'-")
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        show_progress=False,
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
        special_tokens=[START, END],
    )
    backend.train_from_iterator([*_words(groups), *letters], trainer)
    ids = backend.get_vocab()
    backend.post_processor = processors.BertProcessing((END, ids[END]), (START, ids[START]))
    tokenizer = CLIPTokenizer(
        tokenizer_object=backend,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        unk_token=END,
        model_max_length=LENGTH,
    )
    tokenizer.save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)
