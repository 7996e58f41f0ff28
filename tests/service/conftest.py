"""A real front end over real HTTP, on a real Redis, with a model that a worker has announced."""

from __future__ import annotations

import io
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from jobs.connection import connect
from jobs.models import ModelInfo, Models, tokenizer_sha256
from jobs.queue import JobQueue
from jobs.records.previews import EditPreview
from jobs.records.store import Records
from jobs.schema import JobRecord, Problem, State, StoredObject
from jobs.settings import Settings
from jobs.storage import ObjectStore, artifact_key, result_key, sha256
from magedit.measures.report import EditMeasures, Progress, Ratios, ResultMeasures, Stage
from service.app import create_app
from tests.conftest import PATIENCE_S, wait_until

SIZE = (64, 48)
WORDS = ("a", "room", "with", "green", "purple", "carpet")


def encode(image: Image.Image, encoding: str = "PNG", **options: Any) -> bytes:
    """The file that a caller would send."""
    target = io.BytesIO()
    image.save(target, encoding, **options)
    return target.getvalue()


def picture(size: tuple[int, int] = SIZE) -> bytes:
    """A PNG image with different pixels."""
    return encode(Image.linear_gradient("L").resize(size).convert("RGB"))


def mask(size: tuple[int, int] = SIZE, box: tuple[int, int, int, int] | None = (10, 10, 30, 30)) -> bytes:
    """A PNG mask that selects ``box`` (None: nothing)."""
    image = Image.new("L", size, 0)
    if box:
        image.paste(255, box)
    return encode(image)


@dataclass
class Form:
    """A submission, valid as it is; tests change one thing."""

    files: list[tuple[str, bytes]]
    data: dict[str, Any]

    def send(self, client: httpx.Client, headers: Mapping[str, str] | None = None) -> httpx.Response:
        files = [(name, (f"{name}.png", content, "image/png")) for name, content in self.files]
        return client.post("/v1/edits", files=files, data=self.data, headers=headers)


@pytest.fixture
def form() -> Form:
    data = {"source_prompt": "a room with a green carpet", "target_prompt": "a room with a purple carpet"}
    return Form(files=[("image", picture()), ("mask", mask())], data=data)


def tokenizer_json() -> str:
    """A small closed tokenizer with begin and end tokens, as CLIP's has."""
    tokens = ["<start>", "<end>", "<unknown>", *WORDS]
    tokenizer = Tokenizer(WordLevel({token: n for n, token in enumerate(tokens)}, unk_token="<unknown>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 0), ("<end>", 1)]
    )
    return str(tokenizer.to_str())


def model_info(name: str = "demo", **changes: Any) -> ModelInfo:
    """A model as a worker announces it."""
    known = {
        "name": name,
        "checkpoint": "test",
        "image_size": 64,
        "max_prompt_tokens": 12,
        "vocabulary": WORDS,
        "tokenizer_sha256": tokenizer_sha256(tokenizer_json()),
        "methods": ("mag-edit", "p2p"),
        "inversions": ("direct",),
        "device": "cpu",
        "dtype": "float32",
    }
    return ModelInfo.model_validate(known | changes)


Announce = Callable[..., ModelInfo]


@pytest.fixture
def announce(settings: Settings) -> Iterator[Announce]:
    """Announce a model for a time to live in seconds, as a worker does."""
    with connect(settings) as redis:
        # It outlives the test on a busy machine.
        def announce(ttl_s: float = 3600.0, **changes: Any) -> ModelInfo:
            info = model_info(**changes)
            Models(redis).announce(info, "worker-1", ttl_s, tokenizer_json())
            return info

        yield announce


@contextmanager
def serving(settings: Settings, *, app: FastAPI | None = None) -> Iterator[httpx.Client]:
    """A front end (or ``app``) on a free port, and a client of it."""
    app = app or create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), what="front end")
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def shared_settings(redis_session: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of `shared_client`, which is to remember nothing of the test before."""
    return Settings(redis_url=redis_session, state_dir=tmp_path_factory.mktemp("state"), model_cache_s=0)


@pytest.fixture(scope="session")
def shared_client(shared_settings: Settings) -> Iterator[httpx.Client]:
    """One front end for all tests: it keeps nothing itself."""
    with serving(shared_settings) as client:
        yield client


@pytest.fixture
def settings(shared_settings: Settings, redis_url: str) -> Settings:
    """Settings on an empty Redis server and an empty storage folder."""
    assert redis_url == shared_settings.redis_url
    shutil.rmtree(shared_settings.state_dir / "objects", ignore_errors=True)
    return shared_settings


@pytest.fixture(scope="module")
def locked_settings(redis_session: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a service that asks for keys."""
    state = tmp_path_factory.mktemp("state")
    return Settings(redis_url=redis_session, state_dir=state, auth="keys", key_cache_s=0, model_cache_s=0)


@pytest.fixture(scope="module")
def locked(locked_settings: Settings) -> Iterator[httpx.Client]:
    """That service; a module that uses it makes its `settings` these."""
    with serving(locked_settings) as client:
        yield client


@pytest.fixture
def client(shared_client: httpx.Client, announce: Announce) -> httpx.Client:
    """A client of a front end whose model "demo" has a live worker."""
    announce()
    return shared_client


@dataclass
class WorkerSide:
    """Does with a submitted edit what a worker would, without computing anything."""

    settings: Settings
    records: Records
    queue: JobQueue
    models: Models
    store: ObjectStore

    def keeping(self, seconds: float) -> WorkerSide:
        """The same worker with results that are kept so long."""
        settings = self.settings.model_copy(update={"result_ttl_s": seconds})
        return replace(self, records=Records(self.records.redis, settings))

    def claim(self, edit_id: str, tenant: str = "local") -> JobRecord:
        """Take it out of the line and begin an attempt."""
        record = self.records.require(edit_id, tenant)
        self.queue.remove(record)
        claim = self.records.claim(edit_id, "worker-1")
        assert claim is not None
        return claim

    def progress(self, claim: JobRecord, fraction: float) -> None:
        """Report progress of the edit stage."""
        steps = Progress(stage=Stage.EDIT, step=int(10 * fraction), steps=10, fraction=fraction)
        self.records.renew(claim, steps)

    def show(self, claim: JobRecord, step: int) -> None:
        """Show a preview of a step, the same picture each time."""
        self.records.renew(claim, None, EditPreview(image=picture((8, 8)), result=0, step=step, steps=10))

    def succeed(self, claim: JobRecord) -> tuple[bytes, bytes]:
        """Store a result and an artifact and commit; their bytes."""
        content, heat = picture(), picture((8, 8))
        result = self._store(result_key(claim, "result-0.png"), "result-0.png", content)
        artifact = self._store(artifact_key(claim, "attention-after-0.png"), "attention-after-0.png", heat)
        after = (Ratios(token=0.5, spatial=0.25),)
        config = claim.request.config
        own = ResultMeasures(seed=config.seed, strength=config.strength, after=after)
        measures = EditMeasures(after=after, words=(("purple",),), unet_forward=20, results=(own,))
        assert self.records.commit_success(claim, measures, [result], [artifact]) is State.SUCCEEDED
        return content, heat

    def fail(self, claim: JobRecord) -> None:
        """Commit a failure."""
        problem = Problem(title="Diverged", status=422, detail="the latent became infinite", code="edit_diverged")
        assert self.records.commit_failure(claim, problem) is State.FAILED

    def _store(self, key: str, name: str, content: bytes) -> StoredObject:
        self.store.put(key, content, "image/png")
        return StoredObject(
            name=name, key=key, content_type="image/png", size=len(content), sha256=sha256(content), width=1, height=1
        )


@pytest.fixture
def worker_side(settings: Settings) -> Iterator[WorkerSide]:
    """The worker's side of what the front end's client submits."""
    with connect(settings) as redis:
        records = Records(redis, settings)
        yield WorkerSide(
            settings, records, JobQueue(redis, records), Models(redis), ObjectStore.from_settings(settings)
        )


def assert_problem(response: httpx.Response, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    """A problem document with this status and code that names this field."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["title"]
    assert problem["detail"]
    assert "Traceback" not in response.text
    assert [error["field"] for error in problem["errors"]] == ([field] if field else [])
    return problem
