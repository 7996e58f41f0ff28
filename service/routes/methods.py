"""Routes of methods, inversions and their parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from fastapi import APIRouter, Request, Response
from pydantic import Field, TypeAdapter
from typing_extensions import Doc

from magedit.card import Paper
from magedit.config import EditConfig
from magedit.config.parameters import hints_of
from magedit.inversion.registry import INVERSIONS
from magedit.measures.meter import planned
from magedit.measures.passes import Passes
from magedit.methods.registry import METHODS
from service.deps import READER, Backend
from service.edits.views import View
from service.etag import json_answer
from service.openapi.responses import ETAGGED, REDIS_AWAY, problems

router = APIRouter(prefix="/v1/methods", tags=["models"])


class Cost(View):
    """Planned UNet passes with the default settings; the two halves of guidance, in one batch, count as one."""

    forward: float = Field(description="Whole forward passes.")
    truncated: float = Field(description="Forward passes that end at the last attention map that is needed.")
    backward: float
    whole: float = Field(description="Total work in whole forward passes, for comparing methods.")


class PaperReference(View):
    """A paper."""

    title: str
    url: str


class Choice(View):
    """A method or an inversion."""

    name: str
    models: tuple[str, ...] = Field(description="The models with a live worker that support it.")
    summary: str
    papers: tuple[PaperReference, ...]
    parameters: tuple[str, ...] = Field(description="The parameters that it reads; it ignores others.")
    passes: Cost
    unsuited: dict[str, str] = Field(
        description="Traits of models (`GET /v1/models`) that it does not support, each with the reason."
    )


class Method(Choice):
    """A method; its passes are those of an edit with the default inversion, if it has one."""

    inputs: tuple[str, ...] = Field(description="The parts of a request that it reads.")
    inversions: tuple[str, ...] = Field(description="Inversions that it can start from; empty: it does not invert.")
    takes_instruction: bool = Field(description="Whether `target_prompt` is an instruction instead of a caption.")


class Inversion(Choice):
    """An inversion; its passes are its own, trajectory included."""


class Methods(View):
    """All methods and inversions of this version."""

    methods: tuple[Method, ...] = Field(description="Values of `method`.")
    inversions: tuple[Inversion, ...] = Field(description="Values of `inversion`.")
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
    """Methods and inversions with their requirements, cost and live models, and every parameter with its bounds."""
    live = {name: status.info for name, status in backend.models.all().items() if status.workers}
    methods = tuple(
        Method(
            name=card.name,
            models=tuple(model for model, info in live.items() if card.name in info.methods),
            summary=card.summary,
            papers=tuple(map(_source, card.papers)),
            parameters=card.parameters,
            unsuited={str(trait): why for trait, why in card.unsuited.items()},
            passes=cost(planned(EditConfig(method=card.name), inverted=False).values()),
            inputs=card.inputs,
            inversions=card.inversions,
            takes_instruction=card.own_checkpoint,
        )
        for card in METHODS.values()
    )
    inversions = tuple(
        Inversion(
            name=card.name,
            models=tuple(model for model, info in live.items() if card.name in info.inversions),
            summary=card.summary,
            papers=tuple(map(_source, card.papers)),
            parameters=("steps", *card.parameters),
            unsuited={str(trait): why for trait, why in card.unsuited.items()},
            passes=cost([Passes(forward=EditConfig().steps), *card.plan(EditConfig(inversion=card.name)).values()]),
        )
        for card in INVERSIONS.values()
    )
    return json_answer(request, Methods(methods=methods, inversions=inversions, parameters=_parameters()))


def _source(paper: Paper) -> PaperReference:
    return PaperReference(title=paper.title, url=f"https://arxiv.org/abs/{paper.arxiv}")


def cost(stages: Iterable[Passes]) -> Cost:
    """All passes of these."""
    total = sum(stages, Passes())
    return Cost(forward=total.forward, truncated=total.truncated, backward=total.backward, whole=round(total.work, 1))


def _parameters() -> dict[str, Any]:
    schemas = TypeAdapter(EditConfig).json_schema()["properties"]
    hints = hints_of(EditConfig)
    for name, schema in schemas.items():
        documented = (extra.documentation for extra in get_args(hints[name]) if isinstance(extra, Doc))
        schema["description"] = next(documented)
        del schema["title"]
    return dict(schemas)
