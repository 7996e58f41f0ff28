"""An edit request as sent by the caller: types and bounds checked, nothing resolved."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from annotated_types import MaxLen, MinLen
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticCustomError
from typing_extensions import Doc

from magedit.config import GOVERNED, PRESET_DOC, WORDS_MAX, EditConfig, MethodName, PresetName, Region, Word
from magedit.config.parameters import hints_of, invalid_parameter
from magedit.config.types import RENAMED, RENAMED_IN_REGION
from magedit.errors import InvalidParameter
from magedit.instructions.reading import INSTRUCTION_MAX
from magedit.prompts.kinds import KIND_DOC, KIND_GOVERNED, KindName
from magedit.prompts.weights import PROMPT_SYNTAX_DOC, PromptSyntax

PROMPT_MAX: Final = 1000
"""Longest prompt, in characters."""

Prompt = Annotated[str, MinLen(1), MaxLen(PROMPT_MAX)]

OPEN: Final = GOVERNED | KIND_GOVERNED | {"method"}
"""Parameters whose default depends on the rest of the request and on the checkpoint."""


def doc_of(owner: type, name: str) -> str:
    """The `Doc` of a dataclass field."""
    metadata = hints_of(owner)[name].__metadata__
    return next(str(extra.documentation) for extra in metadata if isinstance(extra, Doc))


def known_region_keys(regions: Any) -> Any:
    """``regions`` unchanged. Raises PydanticCustomError for an unknown region key."""
    known = [each.name for each in dataclasses.fields(Region)]
    for number, region in enumerate(regions if isinstance(regions, list | tuple) else ()):
        for key in region if isinstance(region, dict) else ():
            if key not in known:
                now = RENAMED_IN_REGION.get(key)
                told = {
                    "number": number,
                    "key": key,
                    "cure": f"it is now '{now}'" if now else f"there are: {', '.join(known)}",
                }
                raise PydanticCustomError("unknown_key", "region {number} has no key '{key}'; {cure}", told)
    return regions


@dataclass(frozen=True, kw_only=True)
class AskedEdit:
    """A request without its pictures. The fields here and those of `EditConfig` are the fields of the form,
    of `POST /v1/edits/resolve` and of the command line."""

    source_prompt: Annotated[
        Prompt | None,
        Doc(
            "What the image shows. If empty, the target prompt of `source_edit`, or the thing that `instruction` "
            "names. Optional for methods that do not read it (`GET /v1/methods`)."
        ),
    ] = None
    target_prompt: Annotated[
        Prompt | None, Doc("What the edited image should show. If empty, it is derived from `instruction`.")
    ] = None
    instruction: Annotated[
        str | None,
        MinLen(1),
        MaxLen(INSTRUCTION_MAX),
        Doc(
            "The edit as one English sentence: `make the left sofa blue`, `replace the lamp with a plant`, `add a "
            "hat to the dog`, `remove the cup`. Missing prompts are derived from it; without a mask, the thing it "
            "names is located in the image."
        ),
    ] = None
    prompt_syntax: Annotated[PromptSyntax, Doc(PROMPT_SYNTAX_DOC)] = "plain"
    words: Annotated[
        tuple[Word, ...],
        MaxLen(WORDS_MAX),
        Doc(doc_of(Region, "words")),
    ] = ()
    regions: Annotated[
        tuple[Region, ...] | None,
        BeforeValidator(known_region_keys),
        Doc("For several masks: JSON array with one object per mask, in order, instead of `words`."),
    ] = None
    compare: Annotated[
        tuple[MethodName, ...],
        MaxLen(8),
        Doc(
            "Several methods in place of `method`, repeatable: one edit with the results of each in this order, "
            "sharing one inversion where possible, and the artifacts `contact-sheet.png` and `comparison.json`. "
            "A parameter that one method does not use still applies to the others."
        ),
    ] = ()
    kind: Annotated[KindName, Doc(KIND_DOC)] = "auto"
    preset: Annotated[PresetName, Doc(PRESET_DOC)] = "balanced"
    config: EditConfig = field(default_factory=EditConfig)
    given: frozenset[str] = frozenset()
    """The parameters of `config` that the caller has chosen."""


FIELDS: Final = tuple(each for each in dataclasses.fields(AskedEdit) if each.name not in {"config", "given"})
"""The fields that are not parameters of `EditConfig`."""


def asked(values: Mapping[str, Any]) -> AskedEdit:
    """Build the edit from field values that are each valid on their own; None leaves a field that has a derived default
    unset."""
    own = {each.name: values[each.name] for each in FIELDS if each.name in values}
    names = [each.name for each in dataclasses.fields(EditConfig) if each.name in values]
    given = {name: values[name] for name in names if name not in OPEN or values[name] is not None}
    config = EditConfig.preset(own.get("preset", "balanced"), **given)
    return AskedEdit(**own, config=config, given=frozenset(given))


def read_asked(values: Mapping[str, Any]) -> AskedEdit:
    """Like `asked`, for unchecked values; missing ones take their defaults.

    Raises:
        InvalidParameter: a value has the wrong type or is out of range, or a field is unknown; names all such fields.
    """
    for name in RENAMED.keys() & values.keys():
        raise InvalidParameter(f"`{name}`: it is now `{RENAMED[name]}`", field=name)
    try:
        checked = AskedModel.model_validate(values)
    except ValidationError as error:
        raise invalid_parameter(error) from None
    return asked({name: getattr(checked, name) for name in checked.model_fields_set})


def _model() -> type[BaseModel]:
    declared: dict[str, Any] = {}
    for owner, names in ((AskedEdit, FIELDS), (EditConfig, dataclasses.fields(EditConfig))):
        hints = hints_of(owner)
        for each in names:
            hint, default = hints[each.name], each.default
            if each.default_factory is not dataclasses.MISSING:
                default = each.default_factory()
            if owner is EditConfig and each.name in OPEN:
                hint, default = hint | None, None
            about = Field(... if default is dataclasses.MISSING else default, description=doc_of(owner, each.name))
            declared[each.name] = (hint, about)
    return create_model("AskedModel", __config__=ConfigDict(extra="forbid", frozen=True), **declared)


AskedModel = _model()
"""The fields as a pydantic model; `model_fields_set` holds those that the caller gave."""
