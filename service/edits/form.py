"""The form of a new edit. The fields of `EditConfig` are generated: name, type, bounds, default, description.

Nothing about an algorithm's parameter is written down here; a new field of `EditConfig` is a new form field.
"""

from __future__ import annotations

import dataclasses
import inspect
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from annotated_types import MaxLen
from fastapi import Depends, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import Json, RootModel, ValidationError, create_model
from typing_extensions import Doc

from jobs.schema import ArtifactName, DeadlineS, EditRequest, OutputFormat, Priority, Prompt
from magedit.config import GOVERNED, PRESET_DOC, PRESETS, EditConfig, MaskMode, MethodName, PresetName, Region, Word
from magedit.config.types import RENAMED
from magedit.inversion.card import InversionCard
from magedit.inversion.registry import INVERSIONS
from magedit.methods.card import MethodCard
from magedit.methods.registry import METHODS
from magedit.prompts.kinds import KIND_DOC, KIND_GOVERNED, KINDS, KindName
from service.errors import UnknownField, UnsupportedBody

MULTIPART = "multipart/form-data"


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


class Regions(RootModel[tuple[Region, ...]]):
    """`regions`, as one value: FastAPI takes a bare tuple for a repeated form field."""


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


async def require_known_fields(request: Request) -> None:
    """Refuse another kind of body and misspelled fields, which would otherwise be silently ignored.

    Raises:
        UnsupportedBody: the body is no multipart form.
        UnknownField: a field that no parameter has; names it and those there are.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != MULTIPART:
        raise UnsupportedBody(f"the body is {media_type or 'of no declared type'}; send it as {MULTIPART}")
    form = await request.form()
    for name in form:
        if name not in FIELDS:
            if name in RENAMED:
                raise UnknownField(f"there is no field {name!r}: it is now {RENAMED[name]!r}", field=name)
            raise UnknownField(f"there is no field {name!r}; there are: {', '.join(sorted(FIELDS))}", field=name)


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
