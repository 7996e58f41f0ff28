"""The form of a new mask, generated from `MaskPrompt`."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Annotated, Any

from fastapi import Depends, File, Form, UploadFile
from pydantic import Json, RootModel

from jobs.schema import DeadlineS, MaskRequest
from magedit.masks.shapes import MaskBox, MaskPoints, MaskPrompt
from service.edits.form import FormFields


class Points(RootModel[MaskPoints]):
    """Clicks."""


class Box(RootModel[MaskBox]):
    """A box."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskForm:
    """A new mask as sent: types and bounds are checked, the picture is not."""

    image: Annotated[
        UploadFile | None,
        File(description="The picture: PNG, JPEG or WebP. Either this or `source_edit`."),
    ] = None
    source_edit: Annotated[
        str | None,
        Form(pattern=r"^[0-9a-f]{32}$", description="Id of a succeeded edit of yours whose result is the picture."),
    ] = None
    source_result: Annotated[int, Form(ge=0, le=1000, description="Index of the result of `source_edit`, from 0.")] = 0
    model: Annotated[
        str | None,
        Form(max_length=64, description="A model of `GET /v1/models`. Empty: the service's default."),
    ] = None
    deadline_s: Annotated[DeadlineS | None, Form(description=MaskRequest.model_fields["deadline_s"].description)] = None
    webhook_url: Annotated[
        str | None,
        Form(
            description="An https:// address that is notified at the end of the mask (webhook `mask.succeeded`, ...)."
        ),
    ] = None
    prompt: MaskPrompt


def read_mask_form(**values: Any) -> MaskForm:
    """The dependency behind `MaskFormDep`; its parameters are the fields of `MaskForm` and `MaskPrompt`."""
    own = {field.name: values.pop(field.name) for field in dataclasses.fields(MaskForm) if field.name != "prompt"}
    prompt = {name: value.root if isinstance(value, RootModel) else value for name, value in values.items()}
    return MaskForm(**own, prompt=MaskPrompt(**{name: value for name, value in prompt.items() if value is not None}))


def _parameters() -> list[inspect.Parameter]:
    found = []
    for field in dataclasses.fields(MaskForm):
        if field.name != "prompt":
            hint = inspect.get_annotations(MaskForm, eval_str=True)[field.name]
            found.append(_parameter(field.name, hint, field.default))
    json_fields: dict[str, Any] = {"points": Json[Points], "box": Json[Box]}
    examples = {"points": ["[[64, 40, 1]]"], "box": ["[20, 40, 60, 30]"], "words": ["left sofa"]}
    for name, about in MaskPrompt.model_fields.items():
        form = Form(description=about.description, examples=examples.get(name))
        if name in json_fields:
            found.append(_parameter(name, Annotated[json_fields[name] | None, form], None))
        else:
            found.append(_parameter(name, Annotated[(about.annotation, *about.metadata, form)], about.default))
    return found


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_PARAMETERS = _parameters()
# FastAPI reads a dependency's parameters from its signature.
read_mask_form.__signature__ = inspect.Signature(_PARAMETERS, return_annotation=MaskForm)  # type: ignore[attr-defined]

MASK_FIELDS = FormFields.of(_PARAMETERS)
"""The fields of the form."""
MaskFormDep = Annotated[MaskForm, Depends(read_mask_form)]
