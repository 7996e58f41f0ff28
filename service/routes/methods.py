"""The ways of editing, and their parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args, get_type_hints

from fastapi import APIRouter, Request, Response
from pydantic import Field, TypeAdapter
from typing_extensions import Doc

from magedit.config import EditConfig, InversionName, MethodName
from service.answers import json_answer
from service.deps import READER, Backend
from service.routes.documented import ETAGGED, problems
from service.routes.edits import REDIS_AWAY
from service.views import View

router = APIRouter(prefix="/v1/methods", tags=["models"])


class Choice(View):
    """A way that can be asked for."""

    name: str
    models: tuple[str, ...] = Field(description="The models with a live worker that have it.")


class Methods(View):
    """Every way of editing that this version knows."""

    methods: tuple[Choice, ...] = Field(description="Values of `method`.")
    inversions: tuple[Choice, ...] = Field(description="Values of `inversion`.")
    parameters: dict[str, Any] = Field(
        description="The parameters of an edit by name, each as JSON Schema: type, bounds, default, description."
    )


@router.get(
    "",
    summary="List methods",
    response_model=Methods,
    dependencies=[READER],
    responses={**ETAGGED, **problems(REDIS_AWAY)},
)
def list_methods(request: Request, backend: Backend) -> Response:
    """Methods and inversions with the live models that have them, and every parameter with its bounds."""
    live = {name: status.info for name, status in backend.models.all().items() if status.workers}

    def choices(names: Iterable[str], field: str) -> tuple[Choice, ...]:
        return tuple(
            Choice(name=name, models=tuple(model for model, info in live.items() if name in getattr(info, field)))
            for name in names
        )

    answer = Methods(
        methods=choices(get_args(MethodName), "methods"),
        inversions=choices(get_args(InversionName), "inversions"),
        parameters=_parameters(),
    )
    return json_answer(request, answer)


def _parameters() -> dict[str, Any]:
    schemas = TypeAdapter(EditConfig).json_schema()["properties"]
    hints = get_type_hints(EditConfig, include_extras=True)
    for name, schema in schemas.items():
        documented = (extra.documentation for extra in get_args(hints[name]) if isinstance(extra, Doc))
        schema["description"] = next(documented)
        del schema["title"]
    return dict(schemas)
