"""Instructions read by a language model behind an OpenAI-compatible chat endpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from typing import Annotated, Final

import httpx
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from magedit.errors import InvalidEdit, LanguageModelUnavailable
from magedit.instructions.reading import Instruction, read_by_rules
from magedit.masks.shapes import WORDS_MAX

ANSWER_MAX: Final = 64 * 1024
"""Longest accepted response, in bytes."""
PROMPT_MAX: Final = 1000
"""Longest prompt in a response, in characters."""
PAUSE_S: Final = 30.0
"""Pause in seconds after a request without a response, or queued requests would each wait for the timeout."""

_SYSTEM: Final = """
You prepare edits of photographs. Given an instruction, and sometimes a caption of the picture, answer with one JSON
object:
"phrase": the thing in the present picture whose area changes, as few words as tell it from others ("left sofa", "man in
a hat"); null if the instruction names nothing that is there.
"source_prompt": a caption of the picture as it is: the given caption, word for word where there is one.
"target_prompt": the same caption after the edit, all else word for word the same.
Write all three in English, whatever the language of the instruction.
""".strip()
_EXAMPLES: Final = (
    (
        "make the left sofa blue",
        "a living room with two red sofas",
        "left sofa",
        "a living room with a red sofa and a blue sofa",
    ),
    ("take the hat off the old man", None, "hat", "an old man", "an old man with a hat"),
    ("Ersetze die Lampe durch eine Pflanze", None, "lamp", "a plant", "a lamp"),
)


_Prompt = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=PROMPT_MAX)]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")

    phrase: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=WORDS_MAX)] | None
    source_prompt: _Prompt
    target_prompt: _Prompt


_FORMAT: Final = {
    "type": "json_schema",
    "json_schema": {
        "name": "edit",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "phrase": {"type": ["string", "null"]},
                "source_prompt": {"type": "string"},
                "target_prompt": {"type": "string"},
            },
            "required": ["phrase", "source_prompt", "target_prompt"],
            "additionalProperties": False,
        },
    },
}


class LanguageModel:
    """Client of a chat endpoint that parses instructions, with the rules as fallback. Thread-safe."""

    def __init__(self, url: str, model: str, *, key: str | None = None, timeout_s: float = 20.0) -> None:
        """``url`` is the API's base, as `http://127.0.0.1:11434/v1`; ``timeout_s`` bounds a request, in seconds."""
        self._url, self._model, self._timeout_s = url.rstrip("/") + "/chat/completions", model, timeout_s
        self._resumes_at = 0.0
        # Key files end with a line break. Bytes, because httpx cannot encode non-ASCII text.
        headers = {b"Authorization": f"Bearer {key.strip()}".encode()} if key else {}
        self._http = httpx.Client(headers=headers, timeout=timeout_s)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __call__(self, text: str, source: str | None, vocabulary: Collection[str] | None = None) -> Instruction:
        """Parse an instruction (`magedit.instructions.reading.ReadInstruction`).

        Raises:
            LanguageModelUnavailable: the endpoint gave no usable response, and the rules do not understand the
                instruction either; names both reasons.
        """
        began = time.monotonic()
        try:
            answer = self._ask(text, source, vocabulary)
        except LanguageModelUnavailable as error:
            try:
                read = read_by_rules(text, source, vocabulary)
            except InvalidEdit as unread:
                raise LanguageModelUnavailable(
                    f"{error.message}. The rules do not understand it either: {unread.message}"
                ) from error
            return read.model_copy(update={"warning": error.message, "seconds": round(time.monotonic() - began, 4)})
        return Instruction(
            text=text,
            phrase=answer.phrase,
            source_prompt=source or answer.source_prompt,
            target_prompt=answer.target_prompt,
            read_by="language-model",
            seconds=round(time.monotonic() - began, 4),
        )

    def _ask(self, text: str, source: str | None, vocabulary: Collection[str] | None) -> _Answer:
        system = _SYSTEM
        if vocabulary is not None:
            system += f"\nUse no other words than these in the captions: {' '.join(sorted(vocabulary))}"
        messages = [{"role": "system", "content": system}]
        for said, caption, phrase, after, *before in _EXAMPLES:
            wanted = {"phrase": phrase, "source_prompt": before[0] if before else caption, "target_prompt": after}
            messages += [_asked(said, caption), {"role": "assistant", "content": json.dumps(wanted)}]
        messages.append(_asked(text, source))
        body = {"model": self._model, "messages": messages, "temperature": 0, "response_format": _FORMAT}
        content = self._post(body)
        try:
            message = json.loads(content)["choices"][0]["message"]["content"]
            return _Answer.model_validate_json(message)
        except (ValueError, KeyError, IndexError, TypeError, ValidationError) as error:
            raise LanguageModelUnavailable(
                f"the language model's response does not match the schema: {_line(error)}"
            ) from error

    def _post(self, body: dict[str, object]) -> bytes:
        """The response body. Raises LanguageModelUnavailable."""
        now = time.monotonic()
        if now < self._resumes_at:
            raise LanguageModelUnavailable(
                f"the language model did not respond a moment ago; the next attempt is in "
                f"{self._resumes_at - now:.0f} s"
            )
        ends = now + self._timeout_s
        try:
            with self._http.stream("POST", self._url, json=body) as response:
                content = b""
                for part in response.iter_bytes():
                    content += part
                    if len(content) > ANSWER_MAX:
                        raise LanguageModelUnavailable(
                            f"the language model's response is longer than {ANSWER_MAX} bytes"
                        )
                    if time.monotonic() > ends:
                        raise httpx.ReadTimeout("the response was incomplete at the timeout")
        except httpx.TimeoutException as error:
            self._resumes_at = time.monotonic() + PAUSE_S
            raise LanguageModelUnavailable(
                f"the language model did not respond within {self._timeout_s:g} s"
            ) from error
        except httpx.LocalProtocolError as error:
            # The error quotes the header, including the key.
            raise LanguageModelUnavailable(
                "the language model cannot be called: its key (MAGEDIT_INSTRUCTION_KEY) has characters that are not "
                "allowed in an HTTP header"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise LanguageModelUnavailable(f"the language model cannot be reached: {_line(error)}") from error
        if not response.is_success:
            raise LanguageModelUnavailable(f"the language model answered with status {response.status_code}")
        return content


def _asked(text: str, source: str | None) -> dict[str, str]:
    return {"role": "user", "content": json.dumps({"instruction": text, "caption": source}, ensure_ascii=False)}


def _line(error: Exception) -> str:
    """First line of an error's message."""
    return str(error).partition("\n")[0][:200] or type(error).__name__
