"""Chat, completion, counts and embeddings, on the real SmolLM2."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from tests.engines import NAME, chat, complete, events, opened, opening
from trivet.errors import ConfigError, ContextLengthError, RequestError, UnsupportedError
from trivet.local.llama import Llama
from trivet.types import (
    Audio,
    CacheMark,
    Chat,
    Complete,
    CountTokens,
    CountTokensResponse,
    Document,
    Done,
    Embed,
    EmbedResponse,
    Image,
    Message,
    Opaque,
    Output,
    Request,
    Sampling,
    Start,
    Text,
    TextDelta,
    Thinking,
    Tool,
    ToolChoice,
    UsageUpdate,
    assistant,
    replace,
    system,
    user,
)

CAPITAL = "What is the capital of France? Answer in one sentence."
COLD = Sampling(temperature=0, max_tokens=24)


async def test_it_answers(llama: Llama) -> None:
    answer = await chat(llama, CAPITAL, sampling=COLD)
    assert "Paris" in answer.text
    assert (answer.model, answer.finish_reason, answer.message.role) == (NAME, "stop", "assistant")


async def test_about_says_what_it_is(llama: Llama) -> None:
    await llama.load()
    about = llama.about
    assert about.tasks == ("chat", "complete", "count_tokens", "embed")
    assert (about.name, about.where, about.context_tokens, about.tools) == (NAME, "embedded", 1024, False)
    assert about.license == "apache-2.0"


# --- streams -----------------------------------------------------------------------------------------------


async def test_a_stream_starts_tells_the_prompts_usage_gives_deltas_and_is_done_once(llama: Llama) -> None:
    found = await events(llama, Chat(messages=(user(CAPITAL),), sampling=COLD))
    start, counted, *deltas, done = found
    assert isinstance(start, Start)
    assert start.model == NAME
    assert isinstance(counted, UsageUpdate)
    assert counted.usage.output_tokens is None
    assert all(isinstance(d, TextDelta) and d.text and d.choice == d.part == 0 for d in deltas)
    assert len(deltas) > 3
    assert isinstance(done, Done)
    assert done.response.text == "".join(d.text for d in deltas)  # type: ignore[union-attr]
    assert done.response.usage.input_tokens == counted.usage.input_tokens


async def test_characters_of_several_tokens_come_whole(llama: Llama) -> None:
    emoji = Output(schema={"const": "😀 안녕"})
    found = await events(llama, Chat(messages=(user("Say it."),), output=emoji, sampling=COLD))
    assert "".join(e.text for e in found if isinstance(e, TextDelta)) == '"😀 안녕"'


async def test_the_input_counts_are_apart_and_add_up(llama: Llama) -> None:
    prompt = "A long prefix that is seen twice, word for word, and kept by the engine. "
    first = await complete(llama, prompt + "One", sampling=COLD)
    again = await complete(llama, prompt + "One", sampling=COLD)
    for usage in (first.usage, again.usage):
        assert usage.cache_write_tokens == 0
        assert usage.input_tokens == usage.uncached_input_tokens + usage.cache_read_tokens  # type: ignore[operator]
        assert usage.reasoning_tokens == 0  # it did not think
    assert first.usage.input_tokens == again.usage.input_tokens
    assert again.usage.cache_read_tokens >= 10  # type: ignore[operator]
    assert again.usage.uncached_input_tokens >= 1  # type: ignore[operator]
    assert again.usage.output_tokens == 24


async def test_the_usage_of_several_choices_counts_the_prompt_once(llama: Llama) -> None:
    one = await chat(llama, CAPITAL, sampling=Sampling(max_tokens=3, temperature=0))
    three = await chat(llama, CAPITAL, sampling=Sampling(max_tokens=3, temperature=0, n=3))
    assert three.usage.input_tokens == one.usage.input_tokens
    assert three.usage.output_tokens == 9


# --- sampling ----------------------------------------------------------------------------------------------


async def test_the_same_seed_gives_the_same_text_and_others_do_not(llama: Llama) -> None:
    texts = [
        (await complete(llama, "Once", sampling=Sampling(temperature=1, seed=seed, max_tokens=12))).text
        for seed in (7, 7, 8, -1, 2**32 - 1)
    ]
    assert texts[0] == texts[1]
    assert len(set(texts[1:])) == 4


async def test_without_a_seed_one_is_drawn(llama: Llama) -> None:
    sampling = Sampling(temperature=1.5, max_tokens=12)
    texts = await asyncio.gather(*(complete(llama, "Once", sampling=sampling) for _ in range(4)))
    assert len({t.text for t in texts}) > 1


async def test_top_k_of_one_is_greedy(llama: Llama) -> None:
    cold = await complete(llama, "The sun is", sampling=Sampling(temperature=0, max_tokens=8))
    top = await complete(llama, "The sun is", sampling=Sampling(temperature=2, top_k=1, seed=3, max_tokens=8))
    small = await complete(llama, "The sun is", sampling=Sampling(temperature=2, top_p=0.0, seed=3, max_tokens=8))
    assert cold.text == top.text == small.text


async def test_a_presence_penalty_reaches_the_engine(llama: Llama) -> None:
    cold = Sampling(temperature=0, max_tokens=16)
    free = await complete(llama, "Once upon a time", sampling=cold)
    for penalty in ({"presence_penalty": 2.0}, {"frequency_penalty": 2.0}):
        assert (await complete(llama, "Once upon a time", sampling=replace(cold, **penalty))).text != free.text


async def test_a_stop_sequence_ends_the_text_before_it_and_is_named(llama: Llama) -> None:
    answer = await complete(llama, "1, 2, 3, 4,", sampling=Sampling(temperature=0, max_tokens=30, stop=(" 9", " 7")))
    assert (answer.finish_reason, answer.choices[0].stop_sequence) == ("stop", " 7")
    assert answer.text == " 5, 6,"


async def test_the_end_of_a_turn_is_no_stop_sequence(llama: Llama) -> None:
    answer = await chat(llama, CAPITAL, sampling=Sampling(temperature=0, max_tokens=60, stop=("zebra",)))
    assert (answer.finish_reason, answer.choices[0].stop_sequence) == ("stop", None)


async def test_max_tokens_end_an_answer_with_length(llama: Llama) -> None:
    answer = await chat(llama, CAPITAL, sampling=Sampling(max_tokens=3))
    assert (answer.finish_reason, answer.usage.output_tokens) == ("length", 3)


async def test_the_end_of_the_context_ends_an_answer_with_length() -> None:
    async with opening(context=256) as model:
        answer = await complete(model, "word " * 200, sampling=Sampling(temperature=0), extra={"ignore_eos": True})
    assert answer.finish_reason == "length"
    assert answer.usage.total_tokens in (255, 256)


@pytest.mark.parametrize("number", [0, 1, 5])
async def test_logprobs_come_with_as_many_alternatives_as_asked_for(llama: Llama, number: int) -> None:
    answer = await chat(llama, CAPITAL, sampling=Sampling(temperature=0, max_tokens=4, logprobs=number))
    probs = answer.choices[0].logprobs
    assert probs is not None
    assert "".join(p.token for p in probs) == answer.text
    assert all(len(p.top) == number and p.logprob <= 0 for p in probs)
    assert all(bytes(p.bytes or ()).decode() == p.token for p in probs)
    if number:
        assert all(p.top[0].token == p.token for p in probs)  # greedy


async def test_logprobs_come_with_completions_too_and_not_unasked(llama: Llama) -> None:
    asked = await complete(llama, "The sun", sampling=Sampling(temperature=0, max_tokens=3, logprobs=2))
    assert [len(p.top) for p in asked.choices[0].logprobs or ()] == [2, 2, 2]
    assert (await complete(llama, "The sun", sampling=COLD)).choices[0].logprobs is None


async def test_n_choices_differ(llama: Llama) -> None:
    answer = await chat(llama, "Tell me a story.", sampling=Sampling(temperature=1.2, n=3, max_tokens=12, seed=5))
    assert len({choice.message.text for choice in answer.choices}) == 3
    assert [choice.finish_reason for choice in answer.choices] == ["length"] * 3


async def test_more_choices_than_slots_are_refused(llama: Llama) -> None:
    with pytest.raises(UnsupportedError, match="slots") as refused:
        await chat(llama, "Hi", sampling=Sampling(n=5))
    assert refused.value.field == "n"


async def test_an_option_of_the_engine_passes_and_a_label_too(llama: Llama) -> None:
    banned = {"logit_bias": {" Paris": -100}, "user": "someone", "metadata": {"a": 1}}
    answer = await chat(llama, CAPITAL, sampling=COLD, extra=banned)
    assert "Paris" not in answer.text


@pytest.mark.parametrize(
    ("field", "value"), [("min_p", "0.1"), ("ignore_eos", 1), ("logit_bias", "x"), ("repeat_penalty", True)]
)
async def test_an_option_of_the_wrong_type_is_refused(llama: Llama, field: str, value: Any) -> None:
    with pytest.raises(RequestError, match=field) as refused:
        await chat(llama, "Hi", extra={field: value})
    assert refused.value.field == field


# --- messages ----------------------------------------------------------------------------------------------


async def test_a_system_prompt_is_followed_and_counted(llama: Llama) -> None:
    plain = await chat(llama, "Who are you?", sampling=COLD)
    messages = (system("You are a pirate named Bo."), user("Who are you?"))
    told = await llama.call(Chat(messages=messages, sampling=COLD))
    assert told.text != plain.text  # type: ignore[attr-defined]
    assert told.usage.input_tokens != plain.usage.input_tokens


async def test_earlier_turns_are_remembered(llama: Llama) -> None:
    messages = (user("My name is Zebulon."), assistant("Hello, Zebulon."), user("What is my name? One word."))
    answer = await llama.call(Chat(messages=messages, sampling=COLD))
    assert "Zebulon" in answer.text  # type: ignore[attr-defined]


async def test_the_last_message_of_an_assistant_is_gone_on_with(llama: Llama) -> None:
    messages = (user(CAPITAL), assistant("The capital of France is"))
    answer = await llama.call(Chat(messages=messages, sampling=COLD))
    assert answer.text.lstrip().startswith("Paris")  # type: ignore[attr-defined]


async def test_a_cache_mark_and_developer_and_system_messages_are_taken(llama: Llama) -> None:
    marked = Message(role="developer", content=(Text(text="Be brief.", cache=CacheMark()),))
    messages = (system("You are kind."), marked, user("Hi", " there"))
    as_one = (system("You are kind.\n\nBe brief."), user("Hi\n there"))
    counts = [await llama.call(CountTokens(messages=m)) for m in (messages, as_one)]
    assert counts[0].input_tokens == counts[1].input_tokens  # type: ignore[attr-defined]


# --- counts ------------------------------------------------------------------------------------------------

TOOL = Tool(name="f", description="Does it", parameters={"type": "object", "properties": {"a": {"type": "boolean"}}})
CONVERSATIONS: dict[str, dict[str, Any]] = {
    "plain": {"messages": (user(CAPITAL),)},
    "system": {"messages": (system("Be brief."), user(CAPITAL), assistant("Paris"), user("And of Spain?"))},
    "prefix": {"messages": (user(CAPITAL), assistant("The capital"))},
    "output": {"messages": (user(CAPITAL),), "output": Output(schema={"type": "boolean"})},
    "tools": {"messages": (user(CAPITAL),), "tools": (TOOL,), "tool_choice": ToolChoice(mode="required")},
}


@pytest.mark.parametrize("kind", CONVERSATIONS)
@pytest.mark.parametrize("which", ["llama", "tooled"])
async def test_the_count_of_tokens_is_what_the_prompt_has(
    which: str, kind: str, request: pytest.FixtureRequest
) -> None:
    model: Llama = request.getfixturevalue(which)
    fields = CONVERSATIONS[kind]
    answer = await model.call(Chat(sampling=Sampling(max_tokens=1), **fields))
    counted = await model.call(CountTokens(**fields))
    assert isinstance(counted, CountTokensResponse)
    assert counted.input_tokens == answer.usage.input_tokens


# --- embeddings --------------------------------------------------------------------------------------------


async def test_embeddings_have_length_one_and_tell_texts_apart(llama: Llama) -> None:
    answer = await llama.call(Embed(texts=("A cat sleeps.", "A cat sleeps.", "Stock markets fell."), dimensions=576))
    assert isinstance(answer, EmbedResponse)
    first, same, other = answer.vectors
    assert [len(v) for v in answer.vectors] == [576] * 3
    assert all(math.isclose(sum(x * x for x in v), 1, rel_tol=1e-4) for v in answer.vectors)
    alike, unlike = (sum(a * b for a, b in zip(first, v, strict=True)) for v in (same, other))
    assert alike > 0.999 > unlike
    assert answer.usage.input_tokens == answer.usage.uncached_input_tokens == 5 + 5 + 4
    assert answer.usage.output_tokens == 0


async def test_a_text_too_long_to_embed_is_refused_with_both_numbers(llama: Llama) -> None:
    with pytest.raises(ContextLengthError) as refused:
        await llama.call(Embed(texts=("short", "word " * 1100)))
    assert refused.value.context_tokens == 1024
    assert refused.value.prompt_tokens > 1024


async def test_an_empty_text_is_not_embedded(llama: Llama) -> None:
    with pytest.raises(RequestError, match="empty") as refused:
        await llama.call(Embed(texts=("a", "")))
    assert refused.value.field == "input[1]"


# --- what it cannot ----------------------------------------------------------------------------------------

HI = (user("Hi"),)
PICTURE = Image(data=b"\x89PNG", media_type="image/png")
CANNOT: list[tuple[str, Request, str]] = [
    ("an image", Chat(messages=(user("What?", PICTURE),)), "messages[0].content"),
    ("audio", Chat(messages=(user(Audio(data=b"x")),)), "messages[0].content"),
    ("a document", Chat(messages=(*HI, assistant("Yes?"), user(Document(data=b"%PDF")))), "messages[2].content"),
    ("an opaque part", Chat(messages=(user(Opaque(provider="p", raw={})),)), "messages[0].content"),
    ("an unknown field", Chat(messages=HI, extra={"frobnicate": 1}), "frobnicate"),
    ("a name", Chat(messages=(Message(role="user", content=HI[0].content, name="Bo"),)), "messages[0].name"),
    ("a message's field", Chat(messages=(Message(role="user", extra={"weight": 1}),)), "messages[0].weight"),
    ("a part's field", Chat(messages=(user(Text(text="Hi", extra={"citations": []})),)), "messages[0].content"),
    ("thinking", Chat(messages=(*HI, assistant(Thinking(text="hm")), *HI)), "messages[1].content"),
    (
        "signed thinking",
        Chat(messages=(*HI, assistant(Thinking(text="hm", signature="s")), *HI)),
        "messages[1].content",
    ),
    ("a suffix", Complete(prompt="a", suffix="b"), "suffix"),
    ("an unknown field", Complete(prompt="a", extra={"best_of": 3}), "best_of"),
    ("template arguments", Complete(prompt="a", extra={"chat_template_kwargs": {}}), "chat_template_kwargs"),
    ("dimensions", Embed(texts=("a",), dimensions=3), "dimensions"),
    ("truncation", Embed(texts=("a",), truncate=True), "truncate"),
    ("an unknown field", Embed(texts=("a",), extra={"min_p": 0.1}), "min_p"),
    ("an unknown field", CountTokens(messages=HI, extra={"frobnicate": 1}), "frobnicate"),
]


@pytest.mark.parametrize(("request_", "field"), [c[1:] for c in CANNOT], ids=[f"{c[0]} {c[2]}" for c in CANNOT])
async def test_what_it_cannot_do_is_refused_by_name(llama: Llama, request_: Request, field: str) -> None:
    with pytest.raises(UnsupportedError) as refused:
        await llama.call(request_)
    assert refused.value.field == field


# --- life --------------------------------------------------------------------------------------------------


def test_two_event_loops_one_after_the_other_are_answered() -> None:
    with opened() as model:
        texts = [asyncio.run(chat(model, CAPITAL, sampling=COLD)).text for _ in range(2)]
    assert texts[0] == texts[1]


async def test_closing_twice_is_fine_and_then_it_says_so() -> None:
    async with opening() as model:
        await model.close()
        await model.close()
        with pytest.raises(ConfigError, match="closed"):
            await chat(model, "Hi")


def test_a_context_above_what_the_model_was_trained_for_is_refused() -> None:
    with pytest.raises(ConfigError, match="8,192"), opened(context=8193):
        pass
