"""Conversations that grow, request by request, and what goes out of them: for the tests of prompt caches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import strategies as st

from tests.histories import WIRES
from trivet.adapt.prompt_cache import PromptCache
from trivet.fake import Fake
from trivet.types import (
    Chat,
    Document,
    Image,
    Message,
    Part,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    replace,
    system,
)
from trivet.wire import Target, gemini, source
from trivet.wire.gemini.front import PathFront

Json = dict[str, Any]
CLAUDE = "claude-opus-5-5"  # which keeps prefixes of 512 tokens
LONG = "You answer for the railways of the county, and know their timetables. " * 40
TOOL = Tool(
    name="weather", description="Looks.", parameters={"type": "object", "properties": {"c": {"type": "string"}}}
)


def edited(request: Chat, family: str = "anthropic", model: str = CLAUDE) -> Chat:
    out = PromptCache(Fake(), family, model).edit(request)
    assert isinstance(out, Chat)
    return out


def target(family: str, **quirks: Any) -> Target:
    return Target(model=CLAUDE, provider=family, family=family, quirks={"most_tokens": 4096, **quirks})


def asked_in(client: str, request: Chat) -> Chat:
    """The request as a client of the protocol has sent it."""
    wire = WIRES[client]
    family = {"anthropic": "anthropic", "gemini": "gemini"}.get(client, "openai")
    raw = msgspec.json.encode(wire.write(request, target(family, tool_images=True)))
    incoming = PathFront(gemini, "m").parse(raw) if client == "gemini" else wire.parse(raw)
    assert isinstance(incoming.request, Chat)
    source.remember(incoming.request)
    return incoming.request


KINDS: dict[str, Callable[[str], Part]] = {
    "text": lambda name: Text(text=f"{name} is said. " * 30),
    "image": lambda name: Image(data=name.encode(), media_type="image/png"),
    "paper": lambda name: Document(data=name.encode(), media_type="text/plain", name=name),
    "thought": lambda name: Thinking(text=name, signature="c2ln", provider="anthropic"),
}


@st.composite
def grown(draw: st.DrawFn, own: bool = True) -> list[Chat]:
    """A conversation's requests, one after the other. `own` has what only Anthropic's protocol has words for."""
    tools = tuple(replace(TOOL, name=f"tool{n}", description=LONG) for n in range(draw(st.integers(0, 2))))
    messages = [system(prompt)] if (prompt := draw(st.sampled_from(["", "Be terse.", LONG]))) else []
    requests, calls = [], 0
    seen, said = ["text", "image"] + ["paper"] * own, ["text"] + ["thought"] * own
    for turn in range(draw(st.integers(2, 4))):
        results = [ToolResult(call_id=f"{turn}-{i}", content=(Text(text="Rain"),)) for i in range(calls)]
        asked = draw(st.lists(st.sampled_from(seen), min_size=0 if results else 1, max_size=3))
        asked *= draw(st.sampled_from([1, 1, 9]))  # more than are looked back over
        parts = [KINDS[kind](f"asked {turn} {n}") for n, kind in enumerate(asked)]
        messages.append(Message(role="user", content=(*results, *parts)))
        requests.append(Chat(model="m", messages=tuple(messages), tools=tools, sampling=Sampling(max_tokens=9)))
        calls = draw(st.sampled_from([0, 1, 25])) if tools else 0
        told = draw(st.lists(st.sampled_from(said), max_size=2))
        parts = [KINDS[kind](f"said {turn} {n}") for n, kind in enumerate([*told, "text"])]
        parts += [ToolCall(id=f"{turn + 1}-{i}", name="tool0") for i in range(calls)]
        messages.append(Message(role="assistant", content=tuple(parts)))
    return requests
