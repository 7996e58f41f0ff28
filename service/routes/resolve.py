"""`POST /v1/edits/resolve`: a request resolved without pictures, and without making an edit."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, get_origin

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic import Field, create_model
from starlette.datastructures import FormData

from jobs import errors as job
from jobs.models import ModelInfo
from magedit.edits.asked import AskedModel, asked
from magedit.edits.resolution import Origin, Resolution
from magedit.edits.resolve import resolve
from magedit.errors import InvalidEdit
from magedit.instructions.reading import Instruction
from magedit.measures.report import EditWarning
from magedit.prompts.alignment import find_word, new_words
from magedit.prompts.kinds import EditKind
from magedit.prompts.words import whole_words
from service.deps import READER, Backend, Reader
from service.edits.form import invalid
from service.edits.multipart import MULTIPART, read_multipart
from service.edits.validation import limits_of
from service.edits.views import EDITS, View
from service.errors import UnsupportedBody, UploadTooLarge
from service.openapi.responses import INVALID, MALFORMED, REDIS_AWAY, TOO_SLOW, problems
from service.routes.methods import Cost, cost

JSON, FORMS = "application/json", (MULTIPART, "application/x-www-form-urlencoded")

ResolveRequest = create_model(
    "ResolveRequest",
    __base__=AskedModel,
    model=(str | None, Field(None, max_length=64, description="A model of `GET /v1/models`. Empty: the default.")),
    masks=(
        int | None,
        Field(
            None,
            ge=0,
            le=64,
            description="Number of masks. Empty: as many as `regions`; 0: none, so that `instruction` must locate "
            "the edit.",
        ),
    ),
    source_edit=(
        str | None,
        Field(None, pattern=r"^[0-9a-f]{32}$", description="The edit whose result would be edited further."),
    ),
)
"""The fields of `POST /v1/edits` without pictures, plus facts known from the pictures."""


class Piece(View):
    """A part of the target prompt; in order, the parts form the prompt."""

    text: str
    is_new: bool = Field(description="A word that is new relative to the source prompt.")
    is_unknown: bool = Field(description="A word outside the model's closed vocabulary.")


class GuidedWord(View):
    """A word or phrase of a region."""

    word: str
    is_found: bool = Field(description="Whether it occurs in the target prompt.")


class ResolvedRegion(View):
    """The words of one mask."""

    words: tuple[GuidedWord, ...]
    negative_words: tuple[GuidedWord, ...]
    weight: float


class Prompt(View):
    """A prompt as the model reads it."""

    text: str
    tokens: int = Field(description="Without start and end token.")
    max_tokens: int
    unknown: tuple[str, ...] = Field(description="Its words outside the model's closed vocabulary.")


class ResolvedParameter(View):
    """The value of a parameter and its source."""

    value: Any
    origin: Origin


class Refusal(View):
    """A reason for which `POST /v1/edits` would reject the edit, with the same message."""

    code: str
    field: str | None
    message: str
    values: dict[str, Any] = Field(description="Figures and words of the message, as in problem documents.")


class Resolved(View):
    """The resolved request."""

    model: str
    kind: EditKind
    is_guided: bool = Field(description="Whether any result is guided, so that words matter.")
    methods: tuple[str, ...]
    results: int
    instruction: Instruction | None = Field(description="The parsed instruction.")
    pieces: tuple[Piece, ...] = Field(description="The target prompt in parts.")
    regions: tuple[ResolvedRegion, ...] = Field(description="The guided words, one entry per mask.")
    prompts: dict[str, Prompt] = Field(description="By field: `source_prompt`, `target_prompt`, `negative_prompt`.")
    parameters: dict[str, ResolvedParameter] = Field(
        description="Every parameter that the (first) method reads. `origin`: `given` explicitly, set by `preset`, "
        "`kind`, `method` or `checkpoint`, or `default`."
    )
    passes: Cost = Field(description="Planned cost of all results, including the inversion.")
    warnings: tuple[EditWarning, ...]
    problems: tuple[Refusal, ...] = Field(description="Empty: with valid pictures, the edit would be accepted.")


class JsonOrForm(APIRoute):
    """A route whose JSON body may be sent as a form too, field by field."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def read(request: Request) -> Response:
            media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if media_type in FORMS:
                form = await (read_multipart(request) if media_type == MULTIPART else request.form())
                request = _as_json(request, _values(form))
            elif media_type != JSON:
                sent = media_type or "of no declared type"
                raise UnsupportedBody(f"the body is {sent}; send it as {JSON} or {FORMS[0]}")
            return await handle(request)

        return read


router = APIRouter(prefix=EDITS, tags=["edits"], route_class=JsonOrForm)


@router.post(
    "/resolve",
    summary="Resolve a request",
    response_model=Resolved,
    dependencies=[READER],
    responses=problems(
        MALFORMED,
        TOO_SLOW,
        INVALID,
        UploadTooLarge("`negative_prompt` is a text of more than 1024 KiB.", field="negative_prompt"),
        UnsupportedBody("the body is text/plain; send it as application/json or multipart/form-data"),
        job.UnknownModel("there is no model 'sd9'; known are: demo"),
        job.NoWorkerForModel("no worker serves the model 'demo' at present; try again later"),
        job.JobNotFound("there is no edit '0190...'"),
        REDIS_AWAY,
    ),
)
def resolve_edit(body: ResolveRequest, caller: Reader, backend: Backend) -> Resolved:  # type: ignore[valid-type]
    """Resolve these fields as `POST /v1/edits` would: kind, words, parameters, cost, and reasons for rejection. No
    pictures are needed, and no edit is created. The fields may also be sent as a form, as in `POST /v1/edits`."""
    values = {name: getattr(body, name) for name in body.model_fields_set}  # type: ignore[attr-defined]
    model, masks, source = (values.pop(name, None) for name in ("model", "masks", "source_edit"))
    info = backend.models.require(model, backend.settings).info
    settings = backend.settings
    shows = None if source is None else backend.records.require(source, caller.tenant).request.target_prompt
    found = resolve(
        asked(values),
        info.as_checkpoint(backend.tokenizer(info)),
        masks=masks,
        limits=limits_of(settings),
        shows=shows,
        read=backend.read_instruction,
    )
    return _view(found, info)


def _view(found: Resolution, info: ModelInfo) -> Resolved:
    prompts = {
        "source_prompt": found.source_prompt,
        "target_prompt": found.target_prompt,
        "negative_prompt": found.configs[0].negative_prompt,
    }
    return Resolved(
        model=info.name,
        kind=found.kind,
        is_guided=found.is_guided,
        methods=tuple(config.method for config in found.configs),
        results=sum(config.results for config in found.configs),
        instruction=found.instruction,
        pieces=_pieces(found),
        regions=tuple(
            ResolvedRegion(
                words=_words(region.words, found.target_prompt),
                negative_words=_words(region.negative_words, found.target_prompt),
                weight=region.weight,
            )
            for region in found.regions
        ),
        prompts={
            name: Prompt(
                text=prompts[name],
                tokens=tokens,
                max_tokens=info.max_prompt_tokens - 2,
                unknown=found.unknown[name],
            )
            for name, tokens in found.tokens.items()
        },
        parameters={
            name: ResolvedParameter(value=each.value, origin=each.origin) for name, each in found.parameters.items()
        },
        passes=cost([found.passes]),
        warnings=found.warnings,
        problems=tuple(
            Refusal(code=each.code, field=each.field, message=each.message, values=each.values)
            for each in found.problems
        ),
    )


def _words(words: tuple[str, ...], prompt: str) -> tuple[GuidedWord, ...]:
    return tuple(GuidedWord(word=word, is_found=_is_found(prompt, word)) for word in words)


def _is_found(prompt: str, word: str) -> bool:
    try:
        return bool(find_word(prompt, word))
    except InvalidEdit:
        return False


def _pieces(found: Resolution) -> tuple[Piece, ...]:
    prompt, unknown = found.target_prompt, set(found.unknown.get("target_prompt", ()))
    new = new_words(found.source_prompt, prompt)
    pieces, at = [], 0
    for start, end in whole_words(prompt):
        if at < start:
            pieces.append(Piece(text=prompt[at:start], is_new=False, is_unknown=False))
        word = prompt[start:end]
        pieces.append(Piece(text=word, is_new=(start, end) in new, is_unknown=word in unknown))
        at = end
    if at < len(prompt):
        pieces.append(Piece(text=prompt[at:], is_new=False, is_unknown=False))
    return tuple(pieces)


def _values(form: FormData) -> dict[str, Any]:
    """A form's fields as in the JSON body; empty ones count as missing.

    Raises:
        RequestValidationError: a field that takes one value was sent several times.
    """
    fields: Mapping[str, Any] = ResolveRequest.model_fields
    values: dict[str, Any] = {}
    for name in form:
        sent = [value for value in form.getlist(name) if isinstance(value, str) and value != ""]
        if not sent:
            continue
        kind = fields[name].annotation if name in fields else None
        if len(sent) > 1 and (get_origin(kind) is not tuple or name == "regions"):
            raise invalid(name, f"it was sent {len(sent)} times but takes one value: send it once")
        if get_origin(kind) is Mapping or name == "regions":
            values[name] = _json(sent[-1])
        elif get_origin(kind) is tuple:
            values[name] = sent
        else:
            values[name] = sent[-1]
    return values


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        # Errors are reported where the value is checked.
        return text


def _as_json(request: Request, values: Mapping[str, Any]) -> Request:
    """The request as if ``values`` had been sent as JSON."""
    body = json.dumps(values).encode()
    headers = [
        (name, value) for name, value in request.scope["headers"] if name not in {b"content-type", b"content-length"}
    ]
    headers += [(b"content-type", JSON.encode()), (b"content-length", b"%d" % len(body))]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({**request.scope, "headers": headers}, receive)
