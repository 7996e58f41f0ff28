"""The form of a new edit. The fields of `EditConfig` are generated: name, type, bounds, default, description.

Nothing about an algorithm's parameter is written down here; a new field of `EditConfig` is a new form field.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from annotated_types import MaxLen
from fastapi import Depends, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import Json, RootModel, ValidationError, create_model, model_validator
from pydantic_core import PydanticCustomError
from starlette.datastructures import UploadFile as SentFile
from typing_extensions import Doc

from jobs.schema import ArtifactName, DeadlineS, EditRequest, OutputFormat, Priority, Prompt
from magedit.config import GOVERNED, PRESET_DOC, PRESETS, EditConfig, MaskMode, MethodName, PresetName, Region, Word
from magedit.config.types import RENAMED, RENAMED_IN_REGION
from magedit.inversion.card import InversionCard
from magedit.inversion.registry import INVERSIONS
from magedit.methods.card import MethodCard
from magedit.methods.registry import METHODS
from magedit.prompts.kinds import KIND_DOC, KIND_GOVERNED, KINDS, KindName
from magedit.prompts.weights import PROMPT_SYNTAX_DOC, PromptSyntax
from service.errors import UnknownField


def _doc(owner: type, name: str) -> str:
    """The `Doc` of a dataclass field."""
    hint = get_type_hints(owner, include_extras=True)[name]
    return next(str(extra.documentation) for extra in hint.__metadata__ if isinstance(extra, Doc))


def _config_doc(name: str) -> str:
    """What a parameter of `EditConfig` is; of a name with cards what each of its values is, too."""
    cards: dict[str, Iterable[MethodCard | InversionCard]] = {
        "method": METHODS.values(),
        "inversion": INVERSIONS.values(),
    }
    return " ".join((_doc(EditConfig, name), *(f"`{card.name}`: {card.summary}" for card in cards.get(name, ()))))


def _description(name: str) -> str | None:
    return EditRequest.model_fields[name].description


def _plain(make: Callable[[], Any]) -> Callable[[], Any]:
    """``make`` as a function of Python's own: pydantic looks at a factory's signature each time it needs a default,
    and for a built-in type's the interpreter parses a text: half a millisecond of each submission."""
    return lambda: make()


_none = _plain(list)


# A model, as FastAPI takes a bare tuple for a repeated form field.
class Regions(RootModel[tuple[Region, ...]]):
    """One region per mask, in order."""

    @model_validator(mode="before")
    @classmethod
    def _require_known_keys(cls, value: Any) -> Any:
        known = [field.name for field in dataclasses.fields(Region)]
        for number, region in enumerate(value if isinstance(value, list) else ()):
            for key in region if isinstance(region, dict) else ():
                if key not in known:
                    now = RENAMED_IN_REGION.get(key)
                    cure = f"it is now '{now}'" if now else f"there are: {', '.join(known)}"
                    told = {"number": number, "key": key, "cure": cure}
                    raise PydanticCustomError("unknown_key", "region {number} has no key '{key}'; {cure}", told)
        return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class EditForm:
    """A new edit as it was sent: types and bounds are checked, pictures and words are not."""

    image: Annotated[
        UploadFile | None,
        File(description="The picture to edit: PNG, JPEG or WebP. Either this or `source_edit`."),
    ] = None
    source_edit: Annotated[
        str | None,
        Form(
            pattern=r"^[0-9a-f]{32}$",
            description="Id of a succeeded edit of yours whose result is to be edited further, in place of `image`.",
        ),
    ] = None
    source_result: Annotated[int, Form(ge=0, le=1000, description="Which result of `source_edit`, from 0.")] = 0
    mask: Annotated[
        list[UploadFile],
        File(
            min_length=1,
            description="Where to edit: a picture of the image's size. Repeat it for several regions, in order.",
        ),
    ]
    mask_mode: Annotated[
        MaskMode,
        Form(description="Which part of the mask is edited: its `white`, `black` or transparent (`alpha`) pixels."),
    ] = "white"
    source_prompt: Annotated[
        Prompt | None,
        Form(
            description="What the image shows. Empty with `source_edit`: what that edit was to show. Methods that do "
            "not look at it (`GET /v1/methods`) do without.",
            examples=["a room with a red carpet"],
        ),
    ] = None
    target_prompt: Annotated[
        Prompt, Form(description=_description("target_prompt"), examples=["a room with a yellow carpet"])
    ]
    prompt_syntax: Annotated[PromptSyntax, Form(description=PROMPT_SYNTAX_DOC)] = "plain"
    words: Annotated[list[Word], Form(default_factory=_none, max_length=16, description=_doc(Region, "words"))]
    regions: Annotated[
        Json[Regions] | None,
        Form(description="For several masks: JSON array with one object per mask, in order, instead of `words`."),
    ] = None
    model: Annotated[
        str | None,
        Form(max_length=64, description="A model of `GET /v1/models`. Empty: the service's default."),
    ] = None
    output_format: Annotated[OutputFormat, Form(description=_description("output_format"))] = "png"
    artifacts: Annotated[
        list[ArtifactName], Form(default_factory=_none, max_length=8, description=_description("artifacts"))
    ]
    compare: Annotated[list[MethodName], Form(default_factory=_none, max_length=8, description=_description("compare"))]
    priority: Annotated[Priority, Form(description=_description("priority"))] = "normal"
    deadline_s: Annotated[DeadlineS | None, Form(description=_description("deadline_s"))] = None
    webhook_url: Annotated[
        str | None,
        Form(
            description="An https:// address that is told when the edit has ended (webhook `edit.finished`).",
            examples=["https://example.com/hooks/magedit"],
        ),
    ] = None
    kind: Annotated[KindName, Form(description=KIND_DOC)] = "auto"
    preset: Annotated[PresetName, Form(description=PRESET_DOC)] = "balanced"
    config: EditConfig
    given: frozenset[str] = frozenset()
    """The parameters of `config` that were sent."""


def read_form(**values: Any) -> EditForm:
    """The dependency behind `EditFormDep`; its parameters are the fields of `EditForm` and `EditConfig`."""
    config = {field.name: _frozen(values.pop(field.name)) for field in dataclasses.fields(EditConfig)}
    given = {name: value for name, value in config.items() if name not in _OPEN or value is not None}
    return EditForm(config=EditConfig.preset(values["preset"], **given), given=frozenset(given), **values)


_OPEN = GOVERNED | KIND_GOVERNED | {"method"}
"""The parameters whose default is not known before the whole request and its model are."""


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _own_parameters() -> list[inspect.Parameter]:
    hints = get_type_hints(EditForm, include_extras=True)
    return [
        _parameter(field.name, hints[field.name], field.default)
        for field in dataclasses.fields(EditForm)
        if field.name not in {"config", "given"}
    ]


def _config_parameters() -> list[inspect.Parameter]:
    hints = get_type_hints(EditConfig, include_extras=True)
    parameters = []
    for field in dataclasses.fields(EditConfig):
        hint, description = hints[field.name], _config_doc(field.name)
        if field.name in _OPEN:
            form = Form(description=f"{description} Empty: {_when_empty(field.name)}.")
            parameters.append(_parameter(field.name, Annotated[hint | None, form], None))
            continue
        if field.default_factory is not dataclasses.MISSING:
            form = Form(default_factory=_plain(field.default_factory), description=description)
        else:
            form = Form(description=description)
        kind, *extras = get_args(hint)
        if get_origin(kind) is Mapping:
            # A form has no objects: mappings travel as JSON text.
            hint = Annotated[hint, Json]
        elif get_origin(kind) is tuple:
            # A repeated field.
            longest = next((extra.max_length for extra in extras if isinstance(extra, MaxLen)), None)
            form = Form(default_factory=_none, description=f"{description} Repeatable.", max_length=longest)
            repeated: Any = Annotated[list[get_args(kind)[0]], form]  # type: ignore[misc]
            parameters.append(_parameter(field.name, repeated, dataclasses.MISSING))
            continue
        parameters.append(_parameter(field.name, Annotated[hint, form], field.default))
    return parameters


def _when_empty(name: str) -> str:
    if name in GOVERNED:
        return f"as `preset` has it ({_preset_values(name)})"
    if name in KIND_GOVERNED:
        return f"as `kind` has it ({_kind_values(name)})"
    return f"`{getattr(EditConfig, name)}`, or what a model without it has in its place"


def _preset_values(name: str) -> str:
    return ", ".join(f"`{preset}` {getattr(EditConfig.preset(preset), name)}" for preset in PRESETS)


def _kind_values(name: str) -> str:
    if name == "negative_prompt":
        return "`removal` the words that vanish"
    return ", ".join(f"`{kind}` {getattr(EditConfig(**values), name)}" for kind, values in KINDS.items())


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    empty = inspect.Parameter.empty
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=empty if default is dataclasses.MISSING else default,
        annotation=annotation,
    )


_PARAMETERS = (*_own_parameters(), *_config_parameters())
FIELDS = frozenset(parameter.name for parameter in _PARAMETERS)
"""Names of every field of the form."""

# FastAPI reads a dependency's parameters from its signature.
read_form.__signature__ = inspect.Signature(list(_PARAMETERS), return_annotation=EditForm)  # type: ignore[attr-defined]


def _parts(hint: Any) -> Iterator[Any]:
    """What a type is made of, itself included."""
    yield hint
    yield get_origin(hint)
    for part in get_args(hint):
        yield from _parts(part)


def _names(wanted: Any) -> frozenset[str]:
    """The fields whose type is ``wanted``, or made of it."""
    return frozenset(
        parameter.name
        for parameter in _PARAMETERS
        if any(part is wanted or type(part) is wanted for part in _parts(parameter.annotation))
    )


FILES, REPEATED, JSON = _names(UploadFile), _names(list), _names(Json)
"""Names of the fields that are files, that may be sent several times, that are JSON text."""

_BASE64 = ("iVBORw0KGgo", "/9j/", "UklGR")
"""How PNG, JPEG and WebP begin in base64."""


async def require_known_fields(request: Request) -> None:
    """Refuse what would otherwise be ignored without a word: misspelled fields, all but the last value of a field that
    takes one, text in place of a file and a file in place of text.

    Raises:
        UnknownField: a field that no parameter has; names it and those there are.
        RequestValidationError: a field was sent in another way than it is taken.
    """
    form = await request.form()
    for name in form:
        if name not in FIELDS:
            if name in RENAMED:
                raise UnknownField(f"there is no field {name!r}: it is now {RENAMED[name]!r}", field=name)
            near = difflib.get_close_matches(name, FIELDS, n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise UnknownField(f"there is no field {name!r}{meant}; there are: {', '.join(sorted(FIELDS))}", field=name)
        values = form.getlist(name)
        if len(values) > 1 and name not in REPEATED:
            raise invalid(name, f"it was sent {len(values)} times and takes one value: send it once")
        for value in values:
            if name in FILES:
                _require_file(name, value)
            elif isinstance(value, SentFile):
                raise invalid(
                    name,
                    f"it was sent as a file (filename {value.filename!r}): send it as text, without a filename. In "
                    "JavaScript append the string itself, not a Blob",
                )
            elif name in JSON:
                _require_unique_keys(name, value)


def _require_file(name: str, value: SentFile | str) -> None:
    if isinstance(value, SentFile) or (value == "" and name not in REPEATED):
        # An empty value of a form is none.
        return
    cure = (
        f"send the picture's bytes as a part with a filename (curl -F '{name}=@picture.png', in JavaScript "
        f"form.append('{name}', blob, 'picture.png'))"
    )
    if value.startswith("data:"):
        seen = "it is a data URI, not a file: decode it and"
    elif value.startswith(_BASE64):
        seen = "it is base64 text, not a file: decode it and"
    elif value.startswith(("http://", "https://")):
        seen = "it is an address, and the service downloads nothing: fetch it yourself and"
    else:
        seen = f"it is the text {value[:40]!r}, not a file:"
    raise invalid(name, f"{seen} {cure}")


def _require_unique_keys(name: str, text: str) -> None:
    def unique(pairs: list[tuple[str, Any]]) -> None:
        for key, count in Counter(key for key, _ in pairs).items():
            if count > 1:
                raise invalid(name, f"the key {key!r} is there {count} times: give it once")

    try:
        json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        # What is wrong with it otherwise is told where its value is checked.
        return


def invalid(field: str, message: str) -> RequestValidationError:
    """The error of a field that does not go with the others."""
    return RequestValidationError([{"type": "value_error", "loc": ("body", field), "msg": message, "input": None}])


def parse_form(image: bytes, masks: Sequence[bytes], data: Mapping[str, str | Sequence[str]]) -> EditForm:
    """The form that a request with these files and text fields would give, for callers without HTTP.

    Raises:
        RequestValidationError: as over HTTP; names the fields.
    """
    values: dict[str, Any] = {
        "image": UploadFile(io.BytesIO(image), filename="image"),
        "mask": [UploadFile(io.BytesIO(mask), filename="mask") for mask in masks],
    }
    problems: list[Any] = []
    for parameter in _PARAMETERS:
        if parameter.name in values:
            continue
        # The default belongs to the signature here, to the field's own information in a model.
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        field = create_model("Form", **{parameter.name: (parameter.annotation, default)})  # type: ignore[call-overload]
        # An empty value of a form is none.
        given = {parameter.name: data[parameter.name]} if data.get(parameter.name, "") != "" else {}
        try:
            values[parameter.name] = getattr(field.model_validate(given), parameter.name)
        except ValidationError as error:
            problems += [{**each, "loc": ("body", *each["loc"])} for each in error.errors(include_url=False)]
    if problems:
        raise RequestValidationError(problems)
    return read_form(**values)


EditFormDep = Annotated[EditForm, Depends(read_form)]
