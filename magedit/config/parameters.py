"""Base of parameter dataclasses: bounds checked on construction, given fields, readable `help`."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, replace
from functools import cache
from textwrap import fill
from typing import Any, ClassVar, Self, TypeVar, cast, get_args, get_type_hints

from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from typing_extensions import Doc

from magedit.errors import InvalidParameter

T = TypeVar("T", bound="Parameters")

_GIVEN = "_given"


class Parameters:
    """Base of the dataclasses that `parameters` decorates."""

    # A slot, so that neither `vars` nor a record of the values holds it.
    __slots__ = (_GIVEN,)
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __post_init__(self) -> None:
        """Hold every value against its type and bounds; what stands for a value of the type becomes one.

        Raises:
            InvalidParameter: a value is not what its field takes; names all such fields.
        """
        # Not field by field: every look at an edit makes several of these.
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
        """The parameters that were passed when this was made. All of them for a copy (`dataclasses.replace`) and for
        what was read from a record: nothing of it is open."""
        every = frozenset(self.__dataclass_fields__)
        return cast("frozenset[str]", getattr(self, _GIVEN, every))

    def closed(self) -> Self:
        """A copy of which every parameter is ``given``: nothing of it is left to the kind of edit."""
        return replace(self)

    def __getstate__(self) -> dict[str, Any]:
        """The values; ``given`` goes along."""
        return {**vars(self), _GIVEN: self.given}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what `__getstate__` gave."""
        for name, value in state.items():
            object.__setattr__(self, name, value)


def parameters(cls: type[T]) -> type[T]:
    """Class decorator, above ``@dataclass``: its instances know what they were given, and `help` lists the fields."""
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
    """The parameters that ``group`` adds to those of its bases."""
    return tuple(inspect.get_annotations(group))


@cache
def _model(cls: Any) -> type[BaseModel]:
    """A model of the same fields: its validation is the form's, message for message."""
    hints = get_type_hints(cls, include_extras=True)
    declared: dict[str, Any] = {field.name: (hints[field.name], ...) for field in fields(cls)}
    return create_model(cls.__name__, __config__=ConfigDict(extra="forbid"), **declared)


def invalid_parameter(error: ValidationError, *, under: str = "") -> InvalidParameter:
    """The error of this library that names all that ``error`` does, as parts of the parameter ``under``."""
    problems = error.errors(include_url=False)
    named = [".".join(str(part) for part in ((under,) * bool(under) + tuple(each["loc"]))) for each in problems]
    told = "; ".join(
        f"`{name}`: {each['msg']} (given: {reprlib.repr(each['input'])})"
        for name, each in zip(named, problems, strict=True)
    )
    return InvalidParameter(told, field=named[0])


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
    hints = get_type_hints(cls, include_extras=True)
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
    """What annotates a type and, of an optional one, its value."""
    extras = list(getattr(hint, "__metadata__", ()))
    of = get_args(hint)[0] if extras else hint
    if type(None) in get_args(of):
        extras += [extra for part in get_args(of) for extra in getattr(part, "__metadata__", ())]
    return extras
