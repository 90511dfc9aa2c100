"""The real SmolLM2, loaded once for all tests that ask it something, and what they share.

Contexts are small, for memory: 1,024 tokens a slot where a model's own would be 8,192. There is one thread, because two
that share the cores with anything else wait for each other most of the time.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from trivet.local import weights
from trivet.local.llama import Llama
from trivet.local.settings import LocalSettings
from trivet.types import Chat, ChatResponse, Complete, CompleteResponse, Event, Request, user

NAME = "local/smollm2"
CEILING_S = 100.0  # how long a test waits for what must happen; never how long it takes

# A chat template that shows tools and calls, in the form that many models were trained on (SmolLM2 was not).
TEMPLATE = """{%- if tools %}<|im_start|>system
You may call tools. Tools: {% for t in tools %}{{ t | tojson }}
{% endfor %}Answer with <tool_call>{"name": ..., "arguments": ...}</tool_call><|im_end|>
{% endif %}{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}{% if message.tool_calls %}{% for tc in message.tool_calls %}<tool_call>
{"name": "{{ tc.function.name }}", "arguments": {{ tc.function.arguments | tojson }}}
</tool_call>{% endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def smollm2() -> Path:
    return weights.find("smollm2", weights.home())


@contextmanager
def opened(path: Path | None = None, **settings: Any) -> Iterator[Llama]:
    """A model of its own, one slot of 512 tokens unless told, closed afterwards."""
    model = Llama(path or smollm2(), LocalSettings(**{"context": 512, "slots": 1, "threads": 1} | settings), name=NAME)
    try:
        yield model
    finally:
        asyncio.run(model.close())


@asynccontextmanager
async def opening(path: Path | None = None, **settings: Any) -> AsyncIterator[Llama]:
    """The same inside an event loop."""
    model = Llama(path or smollm2(), LocalSettings(**{"context": 512, "slots": 1, "threads": 1} | settings), name=NAME)
    try:
        yield model
    finally:
        await model.close()


@pytest.fixture(scope="session")
def llama() -> Iterator[Llama]:
    """Four slots of 1,024 tokens."""
    with opened(context=1024, slots=4, batch=64) as model:
        yield model


@pytest.fixture(scope="session")
def tooled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    """One slot, with a template that shows tools."""
    template = tmp_path_factory.mktemp("template") / "tools.jinja"
    template.write_text(TEMPLATE)
    with opened(context=1024, chat_template=str(template)) as model:
        yield model


async def chat(model: Llama, text: str, **fields: Any) -> ChatResponse:
    response = await model.call(Chat(messages=(user(text),), **fields))
    assert isinstance(response, ChatResponse)
    return response


async def complete(model: Llama, prompt: str, **fields: Any) -> CompleteResponse:
    response = await model.call(Complete(prompt=prompt, **fields))
    assert isinstance(response, CompleteResponse)
    return response


async def events(model: Llama, request: Request) -> list[Event]:
    return [event async for event in model.stream(request)]


async def all_free(model: Llama) -> None:
    """Returns when no slot is busy and nobody waits for one: it asks for all of them, behind everybody else."""
    async with asyncio.timeout(CEILING_S):
        await model.slots.take(model.slots.total)
        model.slots.give(model.slots.total)
    assert model.slots.busy == 0


async def idle(model: Llama) -> None:
    """Returns when the engine itself says that all its slots are idle: it ends a cancelled one after a batch."""
    await all_free(model)
    async with asyncio.timeout(CEILING_S):
        while any(slot["is_processing"] for slot in await asyncio.to_thread(model.engine._http, "/slots", None)):
            pass  # each question waits for the engine, between two batches


def write_gguf(
    path: Path, metadata: dict[str, str | float | int], tensors: dict[str, tuple[tuple[int, ...], int]]
) -> Path:
    """A GGUF of random float32 tensors, which are given as shape and seed. The format: see trivet/local/gguf.py."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def typed(value: str | float | int) -> bytes:
        if isinstance(value, str):
            return struct.pack("<I", 8) + text(value)
        return struct.pack("<If", 6, value) if isinstance(value, float) else struct.pack("<II", 4, value)

    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    head += b"".join(text(key) + typed(value) for key, value in metadata.items())
    data = b""
    for name, (shape, seed) in tensors.items():
        draw = random.Random(seed)
        count = shape[0] * shape[1]
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        data += struct.pack(f"<{count}f", *(draw.gauss(0, 0.3) for _ in range(count)))
        data += b"\0" * (-len(data) % 32)
    path.write_bytes(head + b"\0" * (-len(head) % 32) + data)
    return path


def lora(path: Path) -> Path:
    """A random adapter of rank 4 for SmolLM2-135M, strong enough to change every answer."""
    tensors = {}
    for layer in range(0, 30, 3):
        tensors[f"blk.{layer}.attn_q.weight.lora_a"] = ((576, 4), 2 * layer)
        tensors[f"blk.{layer}.attn_q.weight.lora_b"] = ((4, 576), 2 * layer + 1)
    metadata = {
        "general.type": "adapter",
        "general.architecture": "llama",
        "adapter.type": "lora",
        "adapter.lora.alpha": 8.0,
    }
    return write_gguf(path, metadata, tensors)
