"""The form of a new edit, generated from `AskedEdit`, `EditConfig` and `JobOptions`."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from annotated_types import MaxLen
from fastapi import Depends, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import Json, RootModel, model_validator
from starlette.datastructures import UploadFile as SentFile

from jobs.models import ModelInfo
from jobs.schema import JobOptions
from magedit.config import GOVERNED, PRESETS, EditConfig, MaskMode, Region
from magedit.config.parameters import hints_of
from magedit.config.types import RENAMED
from magedit.edits.asked import FIELDS as ASKED_FIELDS
from magedit.edits.asked import OPEN, AskedEdit, asked, doc_of, known_region_keys
from magedit.inversion.card import InversionCard
from magedit.inversion.registry import INVERSIONS
from magedit.masks.shapes import MaskId, MaskShape, MaskShapes, one_per_region
from magedit.methods.card import MethodCard
from magedit.methods.registry import METHODS
from magedit.prompts.kinds import KIND_GOVERNED, KINDS
from service.errors import UnknownField


def _config_doc(name: str) -> str:
    """The description of a parameter of `EditConfig`; for methods and inversions, also that of each value."""
    cards: dict[str, Iterable[MethodCard | InversionCard]] = {
        "method": METHODS.values(),
        "inversion": INVERSIONS.values(),
    }
    return " ".join((doc_of(EditConfig, name), *(f"`{card.name}`: {card.summary}" for card in cards.get(name, ()))))


def _plain(make: Callable[[], Any]) -> Callable[[], Any]:
    """``make`` as a function of Python's own: pydantic looks at a factory's signature each time it needs a default,
    and for a built-in type's the interpreter parses a text: half a millisecond of each submission."""
    return lambda: make()


no_values = _plain(list)
"""The default of a repeated field."""


# A model: FastAPI would take a bare tuple for a repeated form field.
class Regions(RootModel[tuple[Region, ...]]):
    """One region per mask, in order."""

    _known_keys = model_validator(mode="before")(known_region_keys)


class Shapes(RootModel[MaskShapes]):
    """One shape per region, in order."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EditForm:
    """A submitted form: types and bounds are checked, pictures and words are not."""

    image: Annotated[
        UploadFile | None,
        File(description="The picture to edit: PNG, JPEG or WebP. Either this or `source_edit`."),
    ] = None
    source_edit: Annotated[
        str | None,
        Form(
            pattern=r"^[0-9a-f]{32}$",
            description="Id of a succeeded edit of yours whose result to edit further, in place of `image`.",
        ),
    ] = None
    source_result: Annotated[int, Form(ge=0, le=1000, description="Index of the result of `source_edit`, from 0.")] = 0
    mask: Annotated[
        list[UploadFile],
        File(
            default_factory=no_values,
            description="Where to edit: a picture of the image's size. Repeat it for several regions, in order. "
            "Alternatively, use `mask_shapes`.",
        ),
    ]
    mask_shapes: Annotated[
        Json[Shapes] | None,
        Form(
            description="Where to edit, without a picture: JSON array with one object per region, in order. Each is a "
            "`polygon`, a `box`, an `rle`, `points` or `words` that locate it, a `mask_id` or an `upload` (the "
            "number of a `mask`), and is modified by `fill_holes`, `grow`, `shrink`, `invert` and `feather`, in this "
            "order.",
            examples=['[{"box": [20, 40, 60, 30], "grow": 4}]'],
        ),
    ] = None
    mask_id: Annotated[
        list[MaskId],
        Form(
            default_factory=no_values,
            max_length=64,
            description="Where to edit: id of a succeeded mask of yours (`POST /v1/masks`); its best candidate is "
            "used. Repeatable; the regions follow those of `mask`.",
        ),
    ]
    mask_mode: Annotated[
        MaskMode,
        Form(description="Part of the mask to edit: its `white`, `black` or transparent (`alpha`) pixels."),
    ] = "white"
    model: Annotated[
        str | None,
        Form(max_length=64, description="A model of `GET /v1/models`. Empty: the service's default."),
    ] = None
    webhook_url: Annotated[
        str | None,
        Form(
            description="An https:// address that is notified at the end of the edit (webhook `edit.finished`).",
            examples=["https://example.com/hooks/magedit"],
        ),
    ] = None
    asked: AskedEdit
    options: JobOptions
    size: tuple[int, int] | None = None
    """Required width and height of the picture, in pixels; None: any."""
    adapt: Callable[[AskedEdit, ModelInfo], AskedEdit] | None = None
    """The request, resolved for its model."""

    @property
    def has_mask(self) -> bool:
        """Whether the request locates the edit in any way."""
        return bool(self.mask or self.mask_shapes or self.mask_id)

    @cached_property
    def shapes(self) -> tuple[MaskShape, ...]:
        """One shape per region; empty if the instruction locates the mask. Raises InvalidParameter."""
        shapes = self.mask_shapes.root if self.mask_shapes else None
        return one_per_region(shapes, len(self.mask), self.mask_id, instructed=self.asked.instruction is not None)


def read_form(**values: Any) -> EditForm:
    """The dependency behind `EditFormDep`; its parameters are `FIELDS`."""
    own = {name: values[name] for name in _OWN}
    options = JobOptions(**{name: values[name] for name in JobOptions.model_fields})
    return EditForm(**own, asked=asked({name: _frozen(value) for name, value in values.items()}), options=options)


_NO_FIELDS = frozenset({"asked", "options", "size", "adapt"})
_OWN = tuple(field.name for field in dataclasses.fields(EditForm) if field.name not in _NO_FIELDS)

_EXAMPLES = {
    "source_prompt": ["a room with a red carpet"],
    "target_prompt": ["a room with a yellow carpet"],
    "instruction": ["make the carpet yellow"],
}


def _frozen(value: Any) -> Any:
    if isinstance(value, Regions):
        return value.root
    return tuple(value) if isinstance(value, list) else value


def _own_parameters() -> list[inspect.Parameter]:
    hints, defaults = hints_of(EditForm), EditForm.__dataclass_fields__
    return [_parameter(name, hints[name], defaults[name].default) for name in _OWN]


def _asked_parameters() -> list[inspect.Parameter]:
    hints = hints_of(AskedEdit)
    return [
        _as_form(field.name, hints[field.name], field.default, doc_of(AskedEdit, field.name)) for field in ASKED_FIELDS
    ]


def _option_parameters() -> list[inspect.Parameter]:
    return [
        _as_form(name, Annotated[(field.annotation, "", *field.metadata)], field.default, field.description or "")
        for name, field in JobOptions.model_fields.items()
    ]


def _config_parameters() -> list[inspect.Parameter]:
    hints = hints_of(EditConfig)
    parameters = []
    for field in dataclasses.fields(EditConfig):
        hint, description, default = hints[field.name], _config_doc(field.name), field.default
        if field.name in OPEN:
            form = Form(description=f"{description} Empty: {_when_empty(field.name)}.")
            parameters.append(_parameter(field.name, Annotated[hint | None, form], None))
            continue
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        parameters.append(_as_form(field.name, hint, default, description))
    return parameters


def _as_form(name: str, hint: Any, default: Any, description: str) -> inspect.Parameter:
    """A field as a form has it: mappings and regions travel as JSON text, tuples as a field that is repeated."""
    kind, *extras = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    about: dict[str, Any] = {"description": description, "examples": _EXAMPLES.get(name)}
    if get_origin(kind) is Mapping:
        return _parameter(name, Annotated[hint, Json, Form(default_factory=_plain(dict), **about)], dataclasses.MISSING)
    if kind == tuple[Region, ...] | None:
        return _parameter(name, Annotated[Json[Regions] | None, Form(**about)], default)
    if get_origin(kind) is tuple:
        longest = next((extra.max_length for extra in extras if isinstance(extra, MaxLen)), None)
        about["description"] += " Repeatable." * ("repeatable" not in description)
        form = Form(default_factory=no_values, max_length=longest, **about)
        repeated: Any = Annotated[list[get_args(kind)[0]], form]  # type: ignore[misc]
        return _parameter(name, repeated, dataclasses.MISSING)
    return _parameter(name, Annotated[hint, Form(**about)], default)


def _when_empty(name: str) -> str:
    if name in GOVERNED:
        return f"set by `preset` ({_preset_values(name)})"
    if name in KIND_GOVERNED:
        return f"set by `kind` ({_kind_values(name)})"
    return f"`{getattr(EditConfig, name)}`, or the first one that the model supports"


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


PARAMETERS = (*_own_parameters(), *_asked_parameters(), *_option_parameters(), *_config_parameters())
"""Every field of the form as a FastAPI parameter."""

# FastAPI reads a dependency's parameters from its signature.
read_form.__signature__ = inspect.Signature(list(PARAMETERS), return_annotation=EditForm)  # type: ignore[attr-defined]


def _parts(hint: Any) -> Iterator[Any]:
    """The components of a type, itself included."""
    yield hint
    yield get_origin(hint)
    for part in get_args(hint):
        yield from _parts(part)


class FormFields(NamedTuple):
    """Names of a form's fields: all, those that are files, that may be sent several times, that are JSON text."""

    names: frozenset[str]
    files: frozenset[str]
    repeated: frozenset[str]
    json: frozenset[str]

    @classmethod
    def of(cls, parameters: Iterable[inspect.Parameter]) -> FormFields:
        """The fields that a dependency with these parameters reads."""
        made_of = {each.name: list(_parts(each.annotation)) for each in parameters}

        def names(wanted: Any) -> frozenset[str]:
            """The fields whose type is or contains ``wanted``."""
            return frozenset(
                name for name, parts in made_of.items() if any(part is wanted or type(part) is wanted for part in parts)
            )

        return cls(frozenset(made_of), names(UploadFile), names(list), names(Json))


_FORM = FormFields.of(PARAMETERS)
FIELDS = _FORM.names
"""Names of every field of the form."""

_BASE64 = ("iVBORw0KGgo", "/9j/", "UklGR")
"""First characters of PNG, JPEG and WebP in base64."""


def known_fields(fields: FormFields) -> Callable[[Request], Awaitable[None]]:
    """The dependency that rejects input that would otherwise be ignored silently: misspelled fields, repeated single
    values, text instead of a file, a file instead of text.

    It raises:
        UnknownField: an unknown field; names it and the known ones. RequestValidationError: a field was sent in the
        wrong form.
    """

    async def require(request: Request) -> None:
        form = await request.form()
        for name in form:
            if name not in fields.names:
                if name in RENAMED:
                    raise UnknownField(f"there is no field {name!r}: it is now {RENAMED[name]!r}", field=name)
                near = difflib.get_close_matches(name, fields.names, n=1)
                meant = f" (did you mean {near[0]!r}?)" if near else ""
                there = ", ".join(sorted(fields.names))
                raise UnknownField(f"there is no field {name!r}{meant}; there are: {there}", field=name)
            values = form.getlist(name)
            if len(values) > 1 and name not in fields.repeated:
                raise invalid(name, f"it was sent {len(values)} times but takes one value: send it once")
            for value in values:
                if name in fields.files:
                    _require_file(name, value, repeated=name in fields.repeated)
                elif isinstance(value, SentFile):
                    raise invalid(
                        name,
                        f"it was sent as a file (filename {value.filename!r}): send it as text, without a filename. In "
                        "JavaScript append the string itself, not a Blob",
                    )
                elif name in fields.json:
                    _require_unique_keys(name, value)

    return require


require_known_fields = known_fields(_FORM)


def _require_file(name: str, value: SentFile | str, *, repeated: bool) -> None:
    if isinstance(value, SentFile) or (value == "" and not repeated):
        # An empty form value counts as missing.
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
        seen = "it is a URL, and the service does not download files: fetch it yourself and"
    else:
        seen = f"it is the text {value[:40]!r}, not a file:"
    raise invalid(name, f"{seen} {cure}")


def _require_unique_keys(name: str, text: str) -> None:
    def unique(pairs: list[tuple[str, Any]]) -> None:
        for key, count in Counter(key for key, _ in pairs).items():
            if count > 1:
                raise invalid(name, f"the key {key!r} occurs {count} times: give it once")

    try:
        json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        # Other errors are reported where the value is checked.
        return


def invalid(field: str, message: str) -> RequestValidationError:
    """The error for a field that conflicts with others."""
    return RequestValidationError([{"type": "value_error", "loc": ("body", field), "msg": message, "input": None}])


EditFormDep = Annotated[EditForm, Depends(read_form)]
