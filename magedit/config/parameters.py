"""Base of parameter dataclasses: validation on construction, explicitly given fields, readable `help`."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, replace
from functools import cache
from textwrap import fill
from typing import Any, ClassVar, Final, Self, TypeVar, cast, get_args, get_type_hints

from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from typing_extensions import Doc

from magedit.errors import InvalidParameter, Value

T = TypeVar("T", bound="Parameters")

_GIVEN = "_given"


class Parameters:
    """Base of the dataclasses that `parameters` decorates."""

    # A slot, so that it appears neither in `vars` nor in a record of the values.
    __slots__ = (_GIVEN,)
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __post_init__(self) -> None:
        """Validate every value against its type and bounds, and coerce equivalent values.

        Raises:
            InvalidParameter: values of the wrong type or out of bounds; names all such fields.
        """
        # One assignment, not field by field: every read of an edit creates several of these.
        values = dict(vars(self))
        try:
            checked = vars(_model(cast("Any", type(self))).model_validate(values))
        except ValidationError as error:
            raise invalid_parameter(error) from None
        for name, value in values.items():
            if checked[name] is not value:
                object.__setattr__(self, name, checked[name])

    @property
    def given(self) -> frozenset[str]:
        """The explicitly passed parameters; all of them for copies (`dataclasses.replace`) and for values read from a
        record."""
        every = frozenset(self.__dataclass_fields__)
        return cast("frozenset[str]", getattr(self, _GIVEN, every))

    def closed(self) -> Self:
        """A copy with every parameter ``given``, so that the kind of edit sets none of them."""
        return replace(self)

    def __getstate__(self) -> dict[str, Any]:
        """The values; ``given`` goes along."""
        return {**vars(self), _GIVEN: self.given}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state of `__getstate__`."""
        for name, value in state.items():
            object.__setattr__(self, name, value)


def parameters(cls: type[T]) -> type[T]:
    """Class decorator, above ``@dataclass``: instances record which parameters were given, and `help` lists the
    fields."""
    make = cast("Callable[..., None]", cls.__init__)

    def make_and_remember(self: T, **values: Any) -> None:
        object.__setattr__(self, _GIVEN, frozenset(values))
        make(self, **values)

    signature = _signature(cls)
    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    make_and_remember.__signature__ = signature.replace(parameters=[itself, *signature.parameters.values()])  # type: ignore[attr-defined]
    raised = ("", "Raises:", "    InvalidParameter: a value is out of its bounds, or not of its type.")
    make_and_remember.__doc__ = "\n".join(("Every parameter has a default.", "", "Args:", *_documented(cls), *raised))
    cls.__init__ = make_and_remember  # type: ignore[assignment]
    cls.__signature__ = signature  # type: ignore[attr-defined]
    return cls


def names_of(group: type[Parameters]) -> tuple[str, ...]:
    """The parameters that ``group`` adds to its bases."""
    return tuple(inspect.get_annotations(group))


@cache
def hints_of(cls: type) -> dict[str, Any]:
    """The types of a class's fields with their annotations. Evaluating those of `EditConfig` takes milliseconds."""
    return get_type_hints(cls, include_extras=True)


@cache
def _model(cls: Any) -> type[BaseModel]:
    """A pydantic model of the same fields, so that messages match the HTTP form's."""
    hints = hints_of(cls)
    declared: dict[str, Any] = {field.name: (hints[field.name], ...) for field in fields(cls)}
    return create_model(cls.__name__, __config__=ConfigDict(extra="forbid"), **declared)


def invalid_parameter(error: ValidationError, *, under: str = "") -> InvalidParameter:
    """Convert ``error`` into an error of this library, with fields named as parts of parameter ``under``."""
    problems = error.errors(include_url=False)
    named = [".".join(str(part) for part in ((under,) * bool(under) + tuple(each["loc"]))) for each in problems]
    told = "; ".join(
        f"`{name}`: {each['msg']} (given: {reprlib.repr(each['input'])})"
        for name, each in zip(named, problems, strict=True)
    )
    return InvalidParameter(told, field=named[0], values=values_of(problems[0]))


_BOUNDS: Final = {"ge": "minimum", "le": "maximum"}
_TYPES: Final = {"int": "integer", "float": "number"}


def values_of(error: Mapping[str, Any]) -> dict[str, Value]:
    """The bound or the type in the message of a pydantic error: ``minimum``, ``maximum``, ``type``."""
    context = error.get("ctx", {})
    values: dict[str, Value] = {name: context[bound] for bound, name in _BOUNDS.items() if bound in context}
    if named := _TYPES.get(error["type"].split("_")[0]):
        values["type"] = named
    return values


def _signature(cls: type[Parameters]) -> inspect.Signature:
    hints = get_type_hints(cls)
    return inspect.Signature(
        [
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=_default(field), annotation=hints[field.name]
            )
            for field in fields(cls)
        ]
    )


def _default(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    return inspect.Parameter.empty if field.default_factory is MISSING else field.default_factory()


def _documented(cls: type[Parameters]) -> Iterator[str]:
    """One paragraph per field: name, default, bounds, description."""
    hints = hints_of(cast("Any", cls))
    for field in fields(cls):
        extras = _metadata(hints[field.name])
        low, high = (
            next((getattr(extra, bound) for extra in extras if isinstance(extra, kind)), None)
            for kind, bound in ((Ge, "ge"), (Le, "le"))
        )
        bounds = f", {low} .. {high}" if low is not None and high is not None else ""
        most = next((f", at most {extra.max_length}" for extra in extras if isinstance(extra, MaxLen)), "")
        told = next((extra.documentation for extra in extras if isinstance(extra, Doc)), "")
        head = f"{field.name} (default {_default(field)!r}{bounds}{most}): "
        yield fill(head + told, 116, initial_indent="    ", subsequent_indent="        ")


def _metadata(hint: Any) -> list[Any]:
    """The annotations of a type and, if it is optional, of its value type."""
    extras = list(getattr(hint, "__metadata__", ()))
    of = get_args(hint)[0] if extras else hint
    if type(None) in get_args(of):
        extras += [extra for part in get_args(of) for extra in getattr(part, "__metadata__", ())]
    return extras
