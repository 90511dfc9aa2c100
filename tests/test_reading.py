"""The text in an image, read by models that chat and see: what a host is asked, and what is made of its answer, whose
shape is that of its published API reference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.upstream import Reply, sse, upstream
from trivet.adapt.reading import Reading
from trivet.catalog import known
from trivet.errors import ProviderError, UnsupportedError
from trivet.model import About
from trivet.providers.anthropic import Anthropic
from trivet.providers.compatible import Compatible
from trivet.providers.settings import ProviderSettings
from trivet.types import Done, Image, Read, ReadResponse, replace

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
ASKED = Read(image=Image(data=PNG, media_type="image/png"))
USAGE = {"prompt_tokens": 800, "completion_tokens": 9, "total_tokens": 809, "prompt_tokens_details": {}}


def chat(text: str, reason: str = "stop", **message: Any) -> Reply:
    told = {"index": 0, "message": {"role": "assistant", "content": text} | message, "finish_reason": reason}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m-2", "choices": [told], "usage": USAGE}
    return Reply(200, [json.dumps(body).encode()])


async def asked(reply: Reply, request: Read = ASKED, host: str = "groq") -> tuple[ReadResponse, Any]:
    async with upstream(reply) as up:
        provider = Compatible(ProviderSettings(base_url=f"{up.url}/v1", api_key="sk"), name=host)
        try:
            response = await Reading(provider.model("m")).call(request)
        finally:
            await provider.close()
    assert isinstance(response, ReadResponse)
    return response, up.asked[0]


async def test_a_model_that_chats_is_shown_the_image_and_its_text_is_the_lines() -> None:
    response, seen = await asked(chat("INVOICE 42\n\n  Total: 3 €  \n"))
    assert [line.text for line in response.lines] == ["INVOICE 42", "Total: 3 €"]
    assert response.text == "INVOICE 42\nTotal: 3 €"
    assert (response.model, response.id, response.usage.input_tokens) == ("m-2", "c1", 800)
    assert seen.path == "/v1/chat/completions"
    (message,) = seen.json["messages"]
    image, words = message["content"]
    assert image["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert "text in this image" in words["text"]


async def test_that_there_are_no_boxes_and_no_scores_is_told() -> None:
    response, _ = await asked(chat("A"))
    assert (response.lines[0].box, response.lines[0].score) == ((), None)
    assert response.notes == ("groq/m has read it as a chat: it tells neither boxes nor scores",)


@pytest.mark.parametrize(("text", "lines"), [("[no text]", []), ("", []), ("```\nA\nB\n```", ["A", "B"])])
async def test_no_text_is_no_lines_and_a_fence_around_it_is_none_of_it(text: str, lines: list[str]) -> None:
    response, _ = await asked(chat(text))
    assert [line.text for line in response.lines] == lines


async def test_a_text_that_is_cut_says_so() -> None:
    response, _ = await asked(chat("A", "length"))
    assert "cut" in response.notes[-1]


async def test_a_refusal_is_an_error_and_no_text_of_the_image() -> None:
    with pytest.raises(ProviderError, match="groq/m refuses to read the image: I cannot") as refused:
        await asked(chat("", refusal="I cannot"))
    assert (refused.value.retry, refused.value.fallback) == (False, True)


async def test_an_image_whose_type_nobody_has_said_is_told_with_it() -> None:
    _, seen = await asked(chat("A"), Read(image=Image(data=PNG)))
    assert seen.json["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")


async def test_an_address_goes_on_to_the_host() -> None:
    _, seen = await asked(chat("A"), replace(ASKED, image=Image(url="https://example.org/a.png")))
    assert seen.json["messages"][0]["content"][0]["image_url"]["url"] == "https://example.org/a.png"


async def test_a_stream_ends_in_the_lines() -> None:
    chunk = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    pieces = [
        {**chunk, "choices": [{"index": 0, "delta": {"content": t}, "finish_reason": None}]} for t in ("A\n", "B")
    ]
    last = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    async with upstream(Reply(200, sse(*pieces, last, "[DONE]"))) as up:
        provider = Compatible(ProviderSettings(base_url=f"{up.url}/v1", api_key="sk"), name="groq")
        events = [event async for event in Reading(provider.model("m")).stream(ASKED)]
        await provider.close()
    assert isinstance(events[-1], Done)
    assert isinstance(events[-1].response, ReadResponse)
    assert events[-1].response.text == "A\nB"


async def test_anthropics_models_read_in_their_own_protocol() -> None:
    body: Mapping[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": "A"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 1},
    }
    async with upstream(Reply(200, [json.dumps(body).encode()])) as up:
        provider = Anthropic(ProviderSettings(base_url=up.url, api_key="sk"), name="anthropic")
        response = await Reading(provider.model("claude")).call(ASKED)
        await provider.close()
    assert isinstance(response, ReadResponse)
    assert response.text == "A"
    assert up.asked[0].json["messages"][0]["content"][0]["type"] == "image"


async def test_a_host_without_chats_does_not_read() -> None:
    with pytest.raises(UnsupportedError, match="voyage/m has no task 'read'"):
        await Compatible(ProviderSettings(api_key="sk"), name="voyage").model("m").call(ASKED)


def test_a_model_that_is_known_to_see_nothing_does_not_read() -> None:
    told = About(name="x", tasks=("chat", "read"), inputs=("text", "image"))
    blind, sees = known.Known(image=False), known.Known(image=True)
    assert known.about(told, blind).tasks == ("chat",)
    assert known.about(told, sees).tasks == ("chat", "read")
