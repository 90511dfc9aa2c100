"""What is surprising about xllamacpp, as the facts of the project number it, and that none of it reaches a user.

8, 9 and 14 are about measuring and about other libraries. 6 and the rest of 5 and 12 are in test_llama_output.py,
test_llama_schema.py and test_llama_chat.py.
"""

from __future__ import annotations

import asyncio
import http.client
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.engines import all_free, chat, complete, lora, opening, smollm2, write_gguf
from trivet import catalog
from trivet.errors import ConfigError, ContextLengthError, ProviderError, RequestError, UnsupportedError, WeightsError
from trivet.local import weights
from trivet.local.llama import Llama
from trivet.local.llama import body as bodies
from trivet.local.llama.engine import _Running
from trivet.local.provider import Local
from trivet.local.settings import LocalSettings
from trivet.runtime import Runtime
from trivet.types import Chat, Complete, CountTokens, Embed, Fold, Sampling, assistant, user

COLD = Sampling(temperature=0, max_tokens=12)
WEATHER = "Weather in Paris?"


# 1. The engine swallows what its callback raises, and its answer then looks complete.


async def test_1_an_exception_in_the_callback_is_carried_out(llama: Llama, monkeypatch: pytest.MonkeyPatch) -> None:
    put = _Running._put

    def broken(self: _Running, chunk: Any) -> bool:
        if chunk is not None:
            raise KeyError("lost")
        return put(self, chunk)  # the end of the call

    with monkeypatch.context() as patched:
        patched.setattr(_Running, "_put", broken)
        with pytest.raises(ProviderError, match="lost"):
            await chat(llama, "Hi", sampling=COLD)
    await all_free(llama)
    assert (await chat(llama, "Hi", sampling=COLD)).text


async def test_1_the_bare_engine_swallows_it(llama: Llama) -> None:
    await llama.load()

    def broken(chunk: Any) -> bool:
        raise KeyError("lost")

    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "stream": True}
    assert await asyncio.to_thread(llama.engine._server.handle_chat_completions, body, broken) is None


# 2. After a request with a LoRA adapter, one that does not mention it is answered from the adapter's cache.


async def test_2_an_adapter_leaves_nothing_behind_in_plain_answers(tmp_path: Path) -> None:
    async with opening() as model:
        adapted = model.adapted(lora(tmp_path / "lora.gguf"))
        plain = [await chat(model, WEATHER, sampling=COLD)]
        changed = await chat(adapted, WEATHER, sampling=COLD)  # type: ignore[arg-type]
        plain += [await chat(model, WEATHER, sampling=COLD)]
        again = await chat(adapted, WEATHER, sampling=COLD)  # type: ignore[arg-type]
        assert plain[0].text == plain[1].text != changed.text == again.text

        # The same by hand, and without a word of the adapter: this is why there always is one.
        body = bodies.chat(Chat(messages=(user(WEATHER),), sampling=COLD), await model._limits())
        silent = "".join([piece async for piece in pieces(model, body)])
        assert silent != plain[0].text


async def pieces(model: Llama, body: dict[str, Any]) -> Any:
    async with aclosing(model.engine.stream("chat", body)) as chunks:
        async for chunk in chunks:
            for choice in chunk["choices"]:
                yield choice["delta"].get("content") or ""


async def test_2_an_adapter_is_named_before_the_weights_load(llama: Llama, tmp_path: Path) -> None:
    await llama.load()
    with pytest.raises(ConfigError, match="before its first request"):
        llama.adapted(lora(tmp_path / "lora.gguf"))


# 3. The engine listens on a loopback port.


@pytest.mark.parametrize("key", [None, "Bearer ", "Bearer k", "Bearer sk-no-key-required"])
async def test_3_the_engines_port_takes_nobody_without_its_key(llama: Llama, key: str | None) -> None:
    await llama.load()
    host = llama.engine._server.listening_address.removeprefix("http://")
    assert host.startswith("127.0.0.1:")
    for path in ("/v1/chat/completions", "/completion", "/tokenize", "/props", "/slots"):
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request("POST", path, "{}", {} if key is None else {"authorization": key})
        assert connection.getresponse().status == 401
        connection.close()


# 4. Its errors differ from case to case.


@pytest.mark.parametrize("which", ["chat", "complete"])
async def test_4_a_prompt_too_long_is_refused_with_both_numbers(llama: Llama, which: str) -> None:
    ask = chat if which == "chat" else complete
    with pytest.raises(ContextLengthError) as refused:
        await ask(llama, "word " * 1100)  # type: ignore[operator]
    assert refused.value.context_tokens == 1024
    assert 1100 < refused.value.prompt_tokens < 1150
    assert "1,024" in refused.value.message
    assert f"{refused.value.prompt_tokens:,}" in refused.value.message
    await all_free(llama)


async def test_4_messages_that_the_template_refuses_are_our_error(tmp_path: Path) -> None:
    template = tmp_path / "strict.jinja"
    template.write_text(
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ raise_exception('no assistants here') }}{% endif %}"
        "{{ m.content }}{% endfor %}"
    )
    async with opening(chat_template=str(template), context=256) as model:
        with pytest.raises(RequestError, match="no assistants here"):
            await model.call(Chat(messages=(user("Hi"), assistant("Hello"), user("Hi"))))
        assert (await chat(model, "Hi", sampling=COLD)).text


async def test_4_no_messages_are_our_error(llama: Llama) -> None:
    for request in (Chat(messages=()), CountTokens(messages=())):
        with pytest.raises(RequestError, match="empty") as refused:
            await llama.call(request)
        assert refused.value.field == "messages"


def damaged(path: Path, how: str) -> Path:
    if how == "foreign":
        path.write_bytes(b"PK\x03\x04" + b"\0" * 100)
    elif how == "truncated":
        with smollm2().open("rb") as whole:
            path.write_bytes(whole.read(20_000_000))
    return path


@pytest.mark.parametrize("how", ["missing", "truncated", "foreign"])
async def test_4_weights_that_are_not_whole_are_a_weights_error_that_names_the_file(tmp_path: Path, how: str) -> None:
    path = damaged(tmp_path / "own.gguf", how)
    local = Local(LocalSettings(home=str(tmp_path)))
    local.home = tmp_path
    with pytest.raises(WeightsError, match=how) as refused:
        local.at(str(path))
    assert str(path) in refused.value.message
    await local.close()


async def test_4_weights_that_only_llama_cpp_can_tell_are_wrong_are_a_weights_error_too(tmp_path: Path) -> None:
    """A whole GGUF, of an architecture that does not exist; and when it has been mended, the same model loads it."""
    path = tmp_path / "own.gguf"
    write_gguf(path, {"general.architecture": "trivet-test", "trivet-test.context_length": 512}, {"a": ((32, 4), 1)})
    assert weights.verify_path(path, tmp_path) == path
    async with opening(path, context=256) as model:
        for _ in range(2):
            with pytest.raises(WeightsError, match=r"own\.gguf") as refused:
                await complete(model, "Hi", sampling=COLD)
        assert "architecture" in refused.value.message
        assert not model.engine.loaded
        assert model.slots.busy == 0
        path.unlink()
        path.symlink_to(smollm2())
        assert (await complete(model, "Hi", sampling=COLD)).text


# 5 and 12. Tools are ignored in silence where the template has none: see test_llama_output.py. The bare engine:


async def test_5_and_12_the_bare_engine_lets_plain_text_through_for_a_required_tool(llama: Llama) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    body = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 5, "temperature": 0}
    await llama.load()
    call = llama.engine._server.handle_chat_completions
    answer = await asyncio.to_thread(call, {**body, "tools": [tool], "tool_choice": "required"})
    assert not answer["choices"][0]["message"].get("tool_calls")


# 7. A draft needs its kind named.


async def test_7_a_draft_changes_no_greedy_text() -> None:
    text = "The sun rises in the"
    async with opening() as plain, opening(draft=str(smollm2())) as drafted:
        expected = await complete(plain, text, sampling=Sampling(temperature=0, max_tokens=20))
        answer = await complete(drafted, text, sampling=Sampling(temperature=0, max_tokens=20))
        assert answer.text == expected.text
        limits = await drafted._limits()
        body = bodies.complete(Complete(prompt=text, sampling=COLD), limits) | {"timings_per_token": True}
        async with aclosing(drafted.engine.stream("complete", body)) as chunks:
            last = [chunk async for chunk in chunks][-1]
        assert last["timings"]["draft_n_accepted"] > 0
        with pytest.raises(UnsupportedError, match="no probability of a token that was drafted"):
            await complete(drafted, text, sampling=Sampling(logprobs=0))


async def test_7_a_draft_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with opening(draft=str(tmp_path / "none.gguf")) as model:
        with pytest.raises(WeightsError, match=r"none\.gguf"):
            await complete(model, "Hi", sampling=COLD)


# 10. Any truthy answer of the callback cancels, and only a batch can be: see test_llama_cancel.py.


async def test_10_the_callback_answers_true_or_false_and_nothing_else(llama: Llama) -> None:
    running = _Running(1, llama.engine)
    assert running._chunk(b'{"a": 1}') is False
    running.left = True
    assert running._chunk(b'{"a": 1}') is True
    assert running.failure is None


async def test_10_a_prompt_is_read_in_bounded_batches(llama: Llama) -> None:
    prompt = " ".join(f"{i} plums" for i in range(60))
    body = bodies.complete(Complete(prompt=prompt, sampling=Sampling(max_tokens=1)), await llama._limits())
    async with aclosing(llama.engine.stream("complete", body)) as chunks:
        found = [c["prompt_progress"]["processed"] async for c in chunks if "prompt_progress" in c]
    steps = [b - a for a, b in pairwise(found)]
    assert len(steps) > 3
    assert max(steps) <= 64  # the fixture's `batch`


# 11. A context over several slots was split among them, and n cannot exceed the slots.


async def test_11_each_slot_has_the_whole_context(llama: Llama) -> None:
    """1,024 tokens and four slots: a prompt of 300 would not fit into a quarter."""
    answers = await asyncio.gather(
        complete(llama, "word " * 300, sampling=Sampling(max_tokens=1)),
        complete(llama, "Hi", sampling=Sampling(max_tokens=1)),
    )
    assert answers[0].usage.input_tokens > 300  # type: ignore[operator]
    assert llama.about.context_tokens == 1024


async def test_11_a_context_that_the_engine_rounds_up_is_told_as_it_is() -> None:
    async with opening(context=300) as model:
        assert model.about.context_tokens == 512
        with pytest.raises(ContextLengthError) as refused:
            await complete(model, "word " * 600)
        assert refused.value.context_tokens == 512
        assert (await complete(model, "word " * 310, sampling=Sampling(max_tokens=1))).finish_reason == "length"


# 13. This model's embeddings are poor.


async def test_13_a_language_model_embeds_where_it_is_named_and_only_there() -> None:
    async with Runtime() as runtime:
        with pytest.raises(RequestError, match="no default"):
            runtime.model(request=Fold(sequence="EVQLV"))
        assert "embed" in runtime.model("local/smollm2").about.tasks
    default = catalog.for_task("embed")
    assert default is not None
    assert default.name != "smollm2"


# Half a character, as Python has them of names of files that are no Unicode: the engine calls it an error in JSON.


@pytest.mark.parametrize("first", [True, False])
async def test_half_a_character_is_told_as_that(llama: Llama, first: bool) -> None:
    half = chr(0xD800 if first else 0xDC80)
    told = (user(half),)
    for request in (Chat(messages=told), Complete(prompt=half), CountTokens(messages=told), Embed(texts=(half,))):
        with pytest.raises(RequestError, match="half a character"):
            await llama.call(request)
    await all_free(llama)
