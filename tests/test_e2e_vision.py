"""Images by the four official ways to chat, against a real server process on the real SmolLM2 with a projector whose
numbers are known (`small_projector`): a picture of colours must be answered as the words for them are."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import types as gemini

from tests.servers import CEILING_S, start_trivet
from tests.small_projector import MODEL as WEIGHTS
from tests.small_projector import file, pixels, projector

MODEL = "local/smollm2"
WORDS = ("red", "blue", "green", "white")
PNG = file(pixels(*WORDS))
BASE64 = base64.b64encode(PNG).decode()
BEFORE, AFTER = "Repeat after me:", " and stop."
TOLD = "Repeat after me: red blue green white and stop."

Said = tuple[str, int]
"""The answer, and the prompt's tokens."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("e2e")
    projector(folder / "mmproj.gguf")
    (folder / "trivet.toml").write_text('[local]\ncontext = 512\nslots = 1\nthreads = 1\nprojector = "mmproj.gguf"\n')
    weights = folder / "weights" / "smollm2"  # the projector's digest is recorded beside them
    weights.mkdir(parents=True)
    (weights / WEIGHTS.name).hardlink_to(WEIGHTS)
    with start_trivet(cwd=folder, env={"TRIVET_HOME": str(weights.parent)}) as server:
        yield server.url


def openai_chat(url: str, *content: Any) -> Said:
    parts: list[Any] = [
        {"type": "text", "text": c}
        if isinstance(c, str)
        else {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{BASE64}"}}
        for c in content
    ]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=CEILING_S, max_retries=0) as client:
        answer = client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": parts}], temperature=0, max_tokens=8
        )
    assert answer.usage is not None
    return answer.choices[0].message.content or "", answer.usage.prompt_tokens


def openai_responses(url: str, *content: Any) -> Said:
    parts: list[Any] = [
        {"type": "input_text", "text": c}
        if isinstance(c, str)
        else {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{BASE64}"}
        for c in content
    ]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=CEILING_S, max_retries=0) as client:
        answer = client.responses.create(
            model=MODEL, input=[{"role": "user", "content": parts}], temperature=0, max_output_tokens=8, store=False
        )
    assert answer.usage is not None
    return answer.output_text, answer.usage.input_tokens


def anthropic_messages(url: str, *content: Any) -> Said:
    parts: list[Any] = [
        {"type": "text", "text": c}
        if isinstance(c, str)
        else {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BASE64}}
        for c in content
    ]
    with anthropic.Anthropic(base_url=url, api_key="none", timeout=CEILING_S, max_retries=0) as client:
        messages: list[Any] = [{"role": "user", "content": parts}]
        answer = client.messages.create(model=MODEL, messages=messages, max_tokens=8, extra_body={"temperature": 0})
        counted = client.messages.count_tokens(model=MODEL, messages=messages)
    (block,) = answer.content
    assert block.type == "text"
    tokens = answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)
    assert tokens == counted.input_tokens
    return block.text, tokens


def google(url: str, *content: Any) -> Said:
    parts = [
        gemini.Part.from_text(text=c) if isinstance(c, str) else gemini.Part.from_bytes(data=PNG, mime_type="image/png")
        for c in content
    ]
    options = gemini.HttpOptions(base_url=url, timeout=CEILING_S * 1000)
    with genai.Client(api_key="none", http_options=options) as client:
        answer = client.models.generate_content(
            model=MODEL,
            contents=gemini.UserContent(parts=parts),
            config=gemini.GenerateContentConfig(temperature=0, max_output_tokens=8),
        )
    assert answer.usage_metadata is not None
    return answer.text or "", answer.usage_metadata.prompt_token_count or 0


WAYS: list[Callable[..., Said]] = [openai_chat, openai_responses, anthropic_messages, google]


@pytest.mark.parametrize("ask", WAYS, ids=lambda way: way.__name__)
def test_a_picture_reaches_the_embedded_model(url: str, ask: Callable[..., Said]) -> None:
    seen = ask(url, BEFORE, PNG, AFTER)
    assert seen[0]
    assert seen == ask(url, TOLD)


def test_what_is_no_picture_is_refused_in_the_clients_words(url: str) -> None:
    broken = "data:image/png;base64," + base64.b64encode(b"no picture").decode()
    content: list[Any] = [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {"url": broken}}]
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=CEILING_S, max_retries=0) as client,
        pytest.raises(openai.BadRequestError, match="not an image") as refused,
    ):
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": content}])
    assert (refused.value.param or "").startswith("messages[0].content[1]")
