"""Resolves a request against a checkpoint into a `ResolvedEdit`, with every check in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import cache

from magedit.config import PRESETS, EditConfig, Region
from magedit.config.loras import check_loras
from magedit.edits.asked import OPEN, AskedEdit
from magedit.edits.checkpoint import Checkpoint
from magedit.edits.instructed import unread, with_prompts
from magedit.edits.resolution import Limits, Parameter, Resolution
from magedit.errors import InvalidEdit, InvalidParameter, NotTogether, RegionMismatch, UnknownMethod
from magedit.instructions.reading import ReadInstruction, read_by_rules
from magedit.inversion.registry import INVERSIONS
from magedit.measures.report import EditWarning
from magedit.methods.compatibility import (
    CHOSEN,
    check_suited,
    check_together,
    for_method,
    own_defaults,
    unsuited,
    with_defaults,
)
from magedit.methods.registry import METHODS
from magedit.prompts.alignment import find_word
from magedit.prompts.checks import check_prompt, check_words, unknown_words
from magedit.prompts.kinds import with_kind
from magedit.prompts.reading import read_prompts
from magedit.prompts.weights import plain_prompts


def resolve(
    asked: AskedEdit,
    checkpoint: Checkpoint,
    *,
    masks: int | None = None,
    limits: Limits | None = None,
    shows: str | None = None,
    read: ReadInstruction = read_by_rules,
) -> Resolution:
    """Resolve ``asked`` for ``checkpoint``: methods, kind, words, parameters.

    Args:
        asked: the request, valid field by field.
        checkpoint: the checkpoint that will run the edit.
        masks: number of masks; None: one per region; 0: no mask, so the instruction must name the place.
        limits: the service's limits; None: unlimited.
        shows: fallback for a missing source prompt, such as the target prompt of the edit continued from.
        read: parser of the instruction.

    Raises:
        LanguageModelUnavailable: raised by ``read``.
    """
    checkpoint = replace(checkpoint, tokenize=cache(checkpoint.tokenize))
    problems: list[InvalidEdit] = []
    weights: tuple[EditWarning, ...] = ()
    with _noting(problems):
        asked, weights = _without_weights(asked)
    if asked.source_prompt is None and shows is not None:
        asked = replace(asked, source_prompt=shows)
    configs: tuple[EditConfig, ...] = (asked.config,)
    with _noting(problems):
        configs = _configs(asked, checkpoint)
    instruction = None
    with _noting(problems):
        asked, instruction = with_prompts(asked, configs, checkpoint, masks, read)
    target = asked.target_prompt or ""
    found = Resolution(
        kind="attribute",
        source_prompt=target if asked.source_prompt is None else asked.source_prompt,
        target_prompt=target,
        configs=configs,
        regions=(Region(),),
        instruction=instruction,
        problems=problems,
        is_comparison=bool(asked.compare),
    )
    for config in found.configs:
        with _noting(problems):
            _check_methods(config, checkpoint)
    if not target:
        return found
    if asked.source_prompt is None and any("source_prompt" in METHODS[each.method].inputs for each in found.configs):
        found.problems.append(
            InvalidParameter("say what the image shows; the edit starts from it", field="source_prompt")
        )
    if limits is not None:
        with _noting(problems):
            _check_results(found.configs, limits.results)
    with _noting(problems):
        found.regions = _regions(asked, masks, limits)
    chosen = found.configs
    has_words = any(region.words for region in found.regions)
    _read(found, asked, checkpoint, has_words=has_words)
    _check_prompts(found, asked, checkpoint)
    with _noting(problems):
        words = check_words(found.source_prompt, target, found.regions, needs_words=found.is_guided)
        found.regions = words.regions
        found.warnings = (*weights, *unread(instruction), *found.warnings, *words.warnings)
    for name in ("equalizer", "cross_replace_words"):
        for word in getattr(asked.config, name):
            with _noting(problems):
                find_word(target, word, field=name)
    found.parameters = _parameters(asked, chosen[0], found.configs[0], checkpoint)
    return found


@contextmanager
def _noting(problems: list[InvalidEdit]) -> Iterator[None]:
    """Record the problem and continue."""
    try:
        yield
    except InvalidEdit as error:
        problems.append(error)


def _without_weights(asked: AskedEdit) -> tuple[AskedEdit, tuple[EditWarning, ...]]:
    """The request with plain prompts; prompt weights become equalizer factors, and explicit factors win."""
    plain = plain_prompts(asked.source_prompt or "", asked.target_prompt or "", asked.prompt_syntax)
    if asked.target_prompt is not None and not plain.target.strip():
        raise InvalidParameter(
            f"{asked.target_prompt!r} consists of weights without words: describe the image after the edit",
            field="target_prompt",
        )
    config = replace(asked.config, equalizer={**plain.equalizer, **asked.config.equalizer})
    source = None if asked.source_prompt is None else plain.source
    target = None if asked.target_prompt is None else plain.target
    return replace(asked, source_prompt=source, target_prompt=target, config=config), plain.warnings


def _configs(asked: AskedEdit, checkpoint: Checkpoint) -> tuple[EditConfig, ...]:
    """One configuration per requested method; if none is requested and the checkpoint lacks the default method, its
    first. The checkpoint's defaults apply where neither the caller nor the preset sets a value."""
    configs, governed = _of_methods(asked, checkpoint), _governed(asked, checkpoint)
    return tuple(with_defaults(config, checkpoint.defaults, given=governed) for config in configs)


def _governed(asked: AskedEdit, checkpoint: Checkpoint) -> frozenset[str]:
    """The parameters set by caller or preset. A few-step checkpoint's defaults win over the few-step preset."""
    if asked.preset == "turbo" and "few-step" in checkpoint.traits:
        return frozenset(asked.given)
    return frozenset(asked.given | PRESETS[asked.preset].keys())


def _of_methods(asked: AskedEdit, checkpoint: Checkpoint) -> tuple[EditConfig, ...]:
    if not asked.compare:
        if "method" in asked.given or asked.config.method in checkpoint.methods or not checkpoint.methods:
            return (asked.config,)
        return (replace(asked.config, method=checkpoint.methods[0]),)
    if "method" in asked.given:
        raise NotTogether("give either `method` or `compare`, not both", field="method")
    if len(set(asked.compare)) < len(asked.compare):
        raise InvalidParameter("a method is named twice; `n` and `sweep` make more results of one", field="compare")
    used, default = {name for method in asked.compare for name in METHODS[method].parameters}, EditConfig()
    for name in CHOSEN:
        if name not in used and getattr(asked.config, name) != getattr(default, name):
            raise NotTogether(f"{name} is used by none of {', '.join(asked.compare)}: leave it out", field=name)
    return tuple(for_method(asked.config, method) for method in asked.compare)


def _check_methods(config: EditConfig, checkpoint: Checkpoint) -> None:
    check_suited(config, checkpoint.traits, checkpoint.name)
    check_loras(config.lora, checkpoint.loras, checkpoint.name)
    if config.clip_skip > checkpoint.max_clip_skip:
        raise InvalidParameter(
            f"clip_skip {config.clip_skip}: at most {checkpoint.max_clip_skip} layers of model "
            f"{checkpoint.name!r} can be skipped",
            field="clip_skip",
        )
    if config.method not in checkpoint.methods:
        raise UnknownMethod(
            f"model {checkpoint.name!r} has no method {config.method!r}; it has {', '.join(checkpoint.methods)}"
        )
    if METHODS[config.method].inversions and config.inversion not in checkpoint.inversions:
        raise UnknownMethod(
            f"model {checkpoint.name!r} has no inversion {config.inversion!r}; it has "
            f"{', '.join(checkpoint.inversions)}",
            field="inversion",
        )
    check_together(config)


def _check_results(configs: Sequence[EditConfig], most: int) -> None:
    config, results = configs[0], sum(each.results for each in configs)
    if results <= most:
        return
    told = f"`n` {config.n}" + (f" and {len(config.sweep)} strengths of `sweep`" if config.sweep else "")
    name = "n" if config.n > 1 else "sweep"
    if len(configs) > 1:
        told, name = f"{told}, by {len(configs)} methods,", "compare"
    raise InvalidParameter(f"{told} make {results} results; at most {most} are made in one edit", field=name)


def _regions(asked: AskedEdit, masks: int | None, limits: Limits | None) -> tuple[Region, ...]:
    """One region per mask, from `regions`, or from `words` for a single mask; without either, regions have no words."""
    if masks is None:
        masks = 1 if asked.regions is None else len(asked.regions)
    masks = max(masks, 1)  # the region that the instruction locates
    if limits is not None:
        limits.check_regions(masks)
    words = tuple(word for word in asked.words if word.strip())
    if asked.regions is None:
        if masks > 1 and words:
            raise RegionMismatch(f"{masks} masks need `regions`: a JSON array with one object of words per mask")
        return (Region(words=words),) * masks
    if words:
        raise RegionMismatch("give the words in `regions` or as `words`, not both", field="words")
    if len(asked.regions) != masks:
        raise RegionMismatch(f"{len(asked.regions)} regions for {masks} mask(s): give one per mask, in order")
    return asked.regions


def _read(found: Resolution, asked: AskedEdit, checkpoint: Checkpoint, *, has_words: bool) -> None:
    """The kind, read from the prompts where it is `auto`, and its defaults."""
    kept = asked.given | unsuited(checkpoint.traits).keys()
    source, target = found.source_prompt, found.target_prompt
    fitted = [
        with_kind(config, asked.kind, source, target, given=kept, preset=asked.preset, has_words=has_words)
        for config in found.configs
    ]
    found.kind, found.configs = fitted[0][0], tuple(config for _, config in fitted)
    is_read = (asked.kind == "auto" and asked.preset != "exact") or not all(each.words for each in found.regions)
    if is_read and found.is_guided:
        found.warnings = read_prompts(source, target).warnings


def _check_prompts(found: Resolution, asked: AskedEdit, checkpoint: Checkpoint) -> None:
    """Length and words of every prompt."""
    prompts = {} if asked.source_prompt is None else {"source_prompt": asked.source_prompt}
    prompts["target_prompt"] = found.target_prompt
    for name, prompt in (*prompts.items(), *(("negative_prompt", each.negative_prompt) for each in found.configs)):
        if name in found.tokens and name != "negative_prompt":
            continue
        found.tokens[name] = len(checkpoint.tokenize(prompt).named)
        found.unknown[name] = unknown_words(prompt, checkpoint.vocabulary)
        with _noting(found.problems):
            check_prompt(
                checkpoint.tokenize,
                prompt,
                max_tokens=checkpoint.max_tokens,
                field=name,
                vocabulary=checkpoint.vocabulary,
            )


def _parameters(
    asked: AskedEdit, chosen: EditConfig, resolved: EditConfig, checkpoint: Checkpoint
) -> dict[str, Parameter]:
    """Those that the edit reads; ``chosen``: its configuration before the kind's defaults."""
    card = METHODS[resolved.method]
    read = {"method", *card.parameters}
    if card.inversions:
        read |= {"inversion", *INVERSIONS[resolved.inversion].parameters}
    return {
        each.name: _parameter(each.name, asked, chosen, resolved, checkpoint)
        for each in fields(EditConfig)
        if each.name in read
    }


def _parameter(
    name: str, asked: AskedEdit, chosen: EditConfig, resolved: EditConfig, checkpoint: Checkpoint
) -> Parameter:
    value, first = getattr(resolved, name), getattr(asked.config, name)
    if name == "method":
        is_asked = asked.compare or (name in asked.given and value == first)
        return Parameter(value, "given" if is_asked else "default" if value == first else "checkpoint")
    if value != getattr(chosen, name):
        return Parameter(value, "kind")
    if name in own_defaults(checkpoint.defaults, resolved.method):
        is_preset = name in _governed(asked, checkpoint) - asked.given
        return Parameter(value, "given" if name in asked.given else "preset" if is_preset else "checkpoint")
    if value != first:
        return Parameter(value, "method")
    if name in asked.given and (name in OPEN or value != getattr(_DEFAULT, name)):
        return Parameter(value, "given")
    if name in PRESETS[asked.preset]:
        return Parameter(value, "preset")
    if name == "guidance_step_size" and checkpoint.step_sizes is not None:
        return Parameter(checkpoint.step_sizes.step_size(resolved), "checkpoint")
    if name == "skip_fraction":
        return Parameter(resolved.skipped_fraction, "method")
    return Parameter(value, "default")


_DEFAULT = EditConfig()
