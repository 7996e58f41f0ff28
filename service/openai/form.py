"""The form of `POST /v1/images/edits`: OpenAI's parameters, and every field of `POST /v1/edits` as an extension.

The descriptions of OpenAI's parameters give their effect here; unsupported values are rejected by name.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, File, Form, UploadFile
from starlette.datastructures import FormData

from jobs.models import ModelInfo
from magedit.config import MaskMode, PresetName
from magedit.edits.asked import PROMPT_MAX, AskedEdit, Prompt
from magedit.methods.registry import METHODS
from service.edits.form import PARAMETERS, EditForm, FormFields, invalid, known_fields, no_values, read_form
from service.edits.multipart import FormRoute

PATH: Final = "/v1/images/edits"

ResponseFormat = Literal["b64_json", "url"]
Quality = Literal["auto", "low", "medium", "high"]
PARTIAL_MAX: Final = 3
"""Most partial images of a stream."""

_PRESETS: Mapping[Quality, PresetName] = {"auto": "balanced", "low": "fast", "medium": "balanced", "high": "exact"}
_IDENTIFIER_MAX: Final = 256


@dataclass(frozen=True, kw_only=True)
class ImagesForm:
    """A request in OpenAI's format: the edit and the form of the response. ``user`` is only logged."""

    edit: EditForm
    response_format: ResponseFormat = "b64_json"
    quality: Quality = "auto"
    stream: bool = False
    partial_images: int = 0
    user: str | None = None


class BracketRoute(FormRoute):
    """A route whose form may have repeated fields as OpenAI's clients name them: ``image[]`` is ``image``."""

    def read(self, form: FormData) -> FormData:
        return FormData([(name.removesuffix("[]"), value) for name, value in form.multi_items()])


_OWN: Final[Mapping[str, Any]] = {
    "prompt": (
        Annotated[
            str | None,
            Form(
                max_length=PROMPT_MAX,
                description="What the edited image should show; for a model that takes instructions (`GET "
                "/v1/methods`), what to do. With `source_prompt` it is the target prompt of `POST "
                "/v1/edits`; without it and without `method`, the edit uses a method that needs no "
                "source prompt. If empty, it is derived from `instruction`.",
                examples=["a room with a yellow carpet"],
            ),
        ],
        None,
    ),
    "size": (
        Annotated[
            str,
            Form(
                pattern=r"^(auto|[1-9]\d{0,4}x[1-9]\d{0,4})$",
                description="`auto`, or the image's own size, which the result always has.",
            ),
        ],
        "auto",
    ),
    "response_format": (
        Annotated[
            ResponseFormat,
            Form(
                description="`url`: addresses that open without a key, if the service has them (S3 storage, or no "
                "API keys)."
            ),
        ],
        "b64_json",
    ),
    "quality": (
        Annotated[Quality, Form(description="`low` is `preset` `fast`, `medium` `balanced`, `high` `exact`.")],
        "auto",
    ),
    "background": (
        Annotated[Literal["auto"], Form(description="The result keeps the image's transparency: only `auto`.")],
        "auto",
    ),
    "input_fidelity": (
        Annotated[Literal["high"] | None, Form(description="Everything outside the mask is unchanged: only `high`.")],
        None,
    ),
    "stream": (
        Annotated[bool, Form(description="Respond with server-sent events: partial images, then each result.")],
        False,
    ),
    "partial_images": (
        Annotated[
            int,
            Form(
                ge=0,
                le=PARTIAL_MAX,
                description="Number of partial images in a stream: previews, spread evenly over the edit; fewer for "
                "a quick edit.",
            ),
        ],
        0,
    ),
    "user": (
        Annotated[str | None, Form(max_length=_IDENTIFIER_MAX, description="End user of the request, only logged.")],
        None,
    ),
    "safety_identifier": (
        Annotated[
            str | None,
            Form(max_length=_IDENTIFIER_MAX, description="OpenAI's newer name for `user`; takes precedence."),
        ],
        None,
    ),
}
_CHANGED: Final[Mapping[str, Any]] = {
    "mask": (
        Annotated[
            list[UploadFile],
            File(
                default_factory=no_values,
                description="Where to edit: a PNG of the image's size whose transparent pixels are edited (see "
                "`mask_mode`). Repeat it for several regions, in order, or use `mask_shapes` or `mask_id`. Without "
                "any, the thing that `instruction` names is edited, or else the one that changes from "
                "`source_prompt` to `prompt`.",
            ),
        ],
        inspect.Parameter.empty,
    ),
    "mask_mode": (
        Annotated[
            MaskMode,
            Form(description="Part of the mask to edit: its transparent (`alpha`), `white` or `black` pixels."),
        ],
        "alpha",
    ),
    "target_prompt": (
        Annotated[Prompt | None, Form(description="Alias of `prompt`, as named in `POST /v1/edits`.")],
        None,
    ),
    "preset": (
        Annotated[PresetName | None, Form(description="As in `POST /v1/edits`; not together with `quality`.")],
        None,
    ),
}


def _parameter(name: str, hint: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


_PARAMETERS: Final = (
    *(_parameter(name, *told) for name, told in _OWN.items()),
    *(_parameter(each.name, *_CHANGED[each.name]) if each.name in _CHANGED else each for each in PARAMETERS),
)
FIELDS: Final = FormFields.of(_PARAMETERS)
require_known_images_fields = known_fields(FIELDS)


def read_images_form(**values: Any) -> ImagesForm:
    """The dependency behind `ImagesFormDep`; its parameters are `FIELDS`.

    Raises:
        RequestValidationError: parameters that are incompatible.
    """
    own = {name: values.pop(name) for name in _OWN}
    prompt, target = own["prompt"], values["target_prompt"]
    if prompt and target and prompt != target:
        raise invalid("prompt", "it differs from `target_prompt`: send only one of them, or the same text")
    if not (prompt or target or values["instruction"]):
        raise invalid("prompt", "it is required, and was not sent")
    if own["quality"] != "auto" and values["preset"] is not None:
        raise invalid("quality", "`quality` selects a `preset`: send only one of them")
    if own["partial_images"] and not own["stream"]:
        raise invalid("partial_images", "partial images require `stream=true`")
    if own["stream"] and own["response_format"] == "url":
        raise invalid("response_format", "a stream contains the pictures: only `b64_json` is supported")
    values |= {"target_prompt": prompt or target or None, "preset": values["preset"] or _PRESETS[own["quality"]]}
    size = None
    if own["size"] != "auto":
        width, _, height = own["size"].partition("x")
        size = int(width), int(height)
    form = dataclasses.replace(read_form(**values), size=size, adapt=without_source_prompt)
    return ImagesForm(
        edit=form,
        user=own["safety_identifier"] or own["user"],
        **{name: own[name] for name in ("response_format", "quality", "stream", "partial_images")},
    )


# FastAPI reads a dependency's parameters from its signature.
read_images_form.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    list(_PARAMETERS), return_annotation=ImagesForm
)


def without_source_prompt(asked: AskedEdit, info: ModelInfo) -> AskedEdit:
    """The request with a method that needs no source prompt, if it has neither a source prompt nor a method."""
    if asked.source_prompt is not None or asked.instruction is not None or asked.compare or "method" in asked.given:
        return asked
    able = [name for name in info.methods if "source_prompt" not in METHODS[name].inputs]
    if not able or asked.config.method in able:
        return asked
    return dataclasses.replace(
        asked, config=dataclasses.replace(asked.config, method=able[0]), given=asked.given | {"method"}
    )


ImagesFormDep = Annotated[ImagesForm, Depends(read_images_form)]
