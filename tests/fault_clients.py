"""The four official ways to ask, and what each client is told: the text, and the error that its SDK raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import anthropic
import openai
from google import genai
from google.genai import errors as gemini_errors

from tests.servers import CEILING_S

ASK = "Which river runs through Paris?"
RAISED = (openai.APIError, anthropic.APIError, gemini_errors.APIError)


class Sees(NamedTuple):
    """The text as far as it came; then the end of the answer, where `error` is None, else what the SDK raises, with its
    status where it has one. An answer that just stops is `unfinished`."""

    text: str
    error: str | None = None
    status: int | None = None


Ask = Callable[[bool], Sees]
Pieces = Iterator[tuple[str, bool]]  # text, and whether it was the end


@contextmanager
def clients(url: str) -> Iterator[Mapping[str, Ask]]:
    """By provider's name in `tests/exchanges`; each asks for the model `m`."""
    theirs = {"api_key": "none", "timeout": CEILING_S, "max_retries": 0}
    google = genai.Client(api_key="none", http_options={"base_url": url, "timeout": CEILING_S * 1000})
    with openai.OpenAI(base_url=f"{url}/v1", **theirs) as one, anthropic.Anthropic(base_url=url, **theirs) as two:  # type: ignore[arg-type]
        yield {
            "anthropic": lambda stream: sees(_messages(two, stream)),
            "openai-chat": lambda stream: sees(_chat(one, stream)),
            "openai": lambda stream: sees(_responses(one, stream)),
            "gemini": lambda stream: sees(_contents(google, stream)),
        }
    google.close()


def sees(pieces: Pieces) -> Sees:
    text, ended = "", False
    try:
        for piece, ends in pieces:
            text, ended = text + piece, ended or ends
    except RAISED as error:
        return Sees(text, type(error).__name__, getattr(error, "status_code", getattr(error, "code", None)))
    except Failed:
        return Sees(text, "response.failed")
    return Sees(text) if ended else Sees(text, "unfinished")


class Failed(Exception):
    """A response that says so itself, for which the SDK raises nothing."""


def _messages(client: anthropic.Anthropic, stream: bool) -> Pieces:
    asked: Any = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": ASK}]}
    if not stream:
        whole: Any = client.messages.create(**asked)
        yield whole.content[0].text, True
        return
    for event in client.messages.create(**asked, stream=True):
        delta = event.delta.text if event.type == "content_block_delta" else ""
        yield delta, event.type == "message_stop"


def _chat(client: openai.OpenAI, stream: bool) -> Pieces:
    asked: Any = {"model": "m", "messages": [{"role": "user", "content": ASK}]}
    if not stream:
        whole: Any = client.chat.completions.create(**asked)
        yield whole.choices[0].message.content, True
        return
    for chunk in client.chat.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            yield choice.delta.content or "", choice.finish_reason is not None


def _responses(client: openai.OpenAI, stream: bool) -> Pieces:
    asked: Any = {"model": "m", "input": ASK}
    if not stream:
        whole: Any = client.responses.create(**asked)
        yield whole.output_text, True
        return
    for event in client.responses.create(**asked, stream=True):
        if event.type == "response.failed":
            raise Failed
        yield event.delta if event.type == "response.output_text.delta" else "", event.type == "response.completed"


def _contents(client: genai.Client, stream: bool) -> Pieces:
    asked: Any = {"model": "m", "contents": ASK}
    chunks: Any = (
        client.models.generate_content_stream(**asked) if stream else [client.models.generate_content(**asked)]
    )
    for chunk in chunks:
        for candidate in chunk.candidates or ():
            text = "".join(part.text or "" for part in (candidate.content and candidate.content.parts) or ())
            yield text, candidate.finish_reason is not None
