"""The prompt adapter."""

from __future__ import annotations

import pytest

from trivet.adapt.prompt import Prompt
from trivet.fake import Fake
from trivet.types import Chat, Complete, Context, CountTokens, Embed, Request, Source, replace, system, user


async def asked(request: Request) -> Request:
    fake = Fake()
    await Prompt(fake, "You are terse.").call(request)
    return fake.requests[0]


@pytest.mark.parametrize("kind", [Chat, CountTokens])
async def test_its_system_prompt_stands_before_the_conversation(kind: type[Chat | CountTokens]) -> None:
    inside = await asked(kind(messages=(user("Hi"),)))
    assert inside.messages == (system("You are terse."), user("Hi"))  # type: ignore[attr-defined]


async def test_a_clients_own_system_prompt_follows_it() -> None:
    inside = await asked(Chat(messages=(system("Speak French."), user("Hi"))))
    assert inside.messages == (system("You are terse."), system("Speak French."), user("Hi"))  # type: ignore[attr-defined]


@pytest.mark.parametrize("request_", [Complete(prompt="Once"), Embed(texts=("a",))])
async def test_tasks_without_a_conversation_pass_untouched(request_: Request) -> None:
    assert await asked(request_) == replace(request_, context=Context(whole=True))


async def test_the_source_stays_so_that_what_was_changed_can_be_found() -> None:
    source = Source(protocol="openai-chat", body=b"{}")
    inside = await asked(replace(Chat(messages=(user("Hi"),)), source=source))
    assert inside.source is source
