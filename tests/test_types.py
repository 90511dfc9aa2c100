"""The vocabulary: immutable, keyword-only, to JSON and back, wrong values refused with their place."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet import types
from trivet.errors import RequestError
from trivet.types import (
    AnyEvent,
    AnyRequest,
    Audio,
    CacheMark,
    Chat,
    ChatResponse,
    Choice,
    Context,
    Cost,
    Document,
    Done,
    Image,
    Message,
    Opaque,
    Output,
    Part,
    Sampling,
    Source,
    Text,
    TextDelta,
    Thinking,
    TokenLogprob,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
    Value,
    assistant,
    check,
    from_json,
    replace,
    system,
    task_name,
    tasks,
    to_json,
    user,
)

EVERY_PART: tuple[Part, ...] = (
    Text(text="Hi", cache=CacheMark(ttl="1h"), extra={"citations": [1]}),
    Image(data=b"\x89PNG", media_type="image/png", detail="low"),
    Image(url="https://example.com/a.jpg"),
    Audio(data=b"RIFF", media_type="audio/wav"),
    Document(data=b"%PDF", media_type="application/pdf", name="a.pdf"),
    Thinking(text="hm", signature="c2ln"),
    Thinking(redacted="b3BhcXVl"),
    ToolCall(id="1", name="f", arguments='{"a": 1'),
    ToolResult(call_id="1", content=(Text(text="no"), Image(data=b"\x89", media_type="image/png")), is_error=True),
    Opaque(provider="anthropic", raw={"type": "server_tool_use", "n": [1, None]}),
)

WHOLE = Chat(
    model="local/smollm2",
    messages=(system("S"), Message(role="developer", content=(Text(text="D"),)), user(*EVERY_PART), assistant("Yes")),
    tools=(Tool(name="f", description="d", parameters={"type": "object"}, strict=True, cache=CacheMark()),),
    tool_choice=ToolChoice(mode="named", name="f", parallel=False),
    output=Output(schema={"type": "object"}, name="o", strict=True),
    sampling=Sampling(temperature=0.5, top_p=0.9, top_k=3, seed=7, stop=("a", "b"), max_tokens=9, logprobs=0, n=2),
    context=Context(id="1", key="k", session="s", deadline_s=1.5, reservation="r"),
    source=Source(protocol="openai-chat", body=b'{"a":1}'),
    extra={"user": "u"},
)


def test_a_request_with_everything_goes_to_json_and_back() -> None:
    assert from_json(to_json(WHOLE), Chat) == WHOLE
    assert from_json(to_json(WHOLE), AnyRequest) == WHOLE


def test_a_response_and_an_event_go_to_json_and_back() -> None:
    logprob = TokenLogprob(token="a", logprob=-0.5, bytes=(97,), top=(TokenLogprob(token="b", logprob=-1.0),))
    choice = Choice(message=assistant("a"), finish_reason="stop", stop_sequence="b", logprobs=(logprob,))
    usage = Usage(uncached_input_tokens=1, cache_read_tokens=2, cache_write_tokens=0, output_tokens=4)
    done = Done(response=ChatResponse(model="m", id="i", choices=(choice,), usage=usage))
    assert from_json(to_json(done), AnyEvent) == done
    delta = TextDelta(text="x", raw=Source(protocol="p", body=b"\x00"))
    assert from_json(to_json(delta), AnyEvent) == delta


@given(st.text(), st.binary(), st.dictionaries(st.text(), st.none() | st.booleans() | st.integers(-9, 9) | st.text()))
def test_any_text_bytes_and_extra_survive_json(text: str, data: bytes, extra: dict[str, Any]) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate is no text in JSON
        return
    message = user(Text(text=text, extra=extra), Image(data=data))
    assert from_json(to_json(message), Message) == message


def test_json_is_the_same_bytes_each_time_whatever_the_order_of_keys() -> None:
    one, two = Text(text="a", extra={"x": 1, "y": 2}), Text(text="a", extra={"y": 2, "x": 1})
    assert to_json(one) == to_json(two)


def test_values_cannot_be_changed_and_take_keywords_alone() -> None:
    with pytest.raises(AttributeError):
        WHOLE.model = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Text("positional")  # type: ignore[misc, call-arg]
    assert replace(WHOLE, model="other").model == "other"
    assert WHOLE.model == "local/smollm2"


def test_every_value_is_frozen_and_keyword_only() -> None:
    found = [v for v in vars(types).values() if isinstance(v, type) and issubclass(v, Value)]
    assert len(found) > 30
    for kind in found:
        assert kind.__struct_config__.frozen
        with pytest.raises(TypeError, match=r"positional|Missing"):
            kind("x")


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ('{"task": "chat", "messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}', "messages[0]."),
        ('{"task": "chat", "messages": [{"role": "boss"}]}', "messages[0].role"),
        ('{"task": "chat", "messages": [], "sampling": {"temperature": "hot"}}', "sampling.temperature"),
        ('{"task": "chat", "messages": [], "sampling": {"n": 0}}', "sampling"),
        ('{"task": "chat", "messages": [], "sampling": {"temprature": 1}}', "sampling"),
        ('{"task": "chat", "messages": [], "tool_choice": {"mode": "named"}}', "tool_choice"),
        ('{"task": "chat"}', "messages"),
        ('{"task": "chat", "messages": [', "Chat: "),
    ],
)
def test_a_wrong_value_in_json_is_refused_with_its_place(data: str, where: str) -> None:
    with pytest.raises(RequestError) as caught:
        from_json(data, Chat)
    assert where in caught.value.message


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (Chat(messages=(Message(role="user", content=(Text(text=5),)),)), "messages[0].content[0].text"),  # type: ignore[arg-type]
        (Chat(messages=(), sampling=Sampling(temperature="hot")), "sampling.temperature"),  # type: ignore[arg-type]
        (Chat(messages=("Hi",)), "messages[0]"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_value_made_in_python_is_refused_by_check_with_its_place(value: Chat, where: str) -> None:
    with pytest.raises(RequestError) as caught:
        check(value)
    assert caught.value.field == where
    assert check(WHOLE) == WHOLE


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"top_p": 1.1},
        {"top_k": -1},
        {"frequency_penalty": 2.1},
        {"presence_penalty": -2.1},
        {"max_tokens": 0},
        {"logprobs": 21},
        {"n": 0},
        {"stop": ("",)},
    ],
)
def test_sampling_has_bounds_and_says_them(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Sampling(**wrong)


def test_media_is_bytes_or_an_address_and_never_both() -> None:
    for wrong in ({}, {"data": b"x", "url": "https://example.com"}):
        with pytest.raises(ValueError, match="exactly one of data and url"):
            Image(**wrong)


def test_the_three_input_counts_add_up_and_an_unknown_one_stays_unknown() -> None:
    known = Usage(
        uncached_input_tokens=1, cache_read_tokens=2, cache_write_tokens=3, output_tokens=4, reasoning_tokens=1
    )
    assert (known.input_tokens, known.total_tokens) == (6, 10)
    assert (known + known).total_tokens == 20
    unknown = replace(known, cache_read_tokens=None)
    assert (unknown.input_tokens, unknown.total_tokens) == (None, None)
    assert (known + unknown).cache_read_tokens is None
    assert b'"cache_read_tokens":null' in to_json(unknown)  # said, and not left out


def test_a_prompt_that_is_not_split_is_known_as_a_whole_and_stays_so_in_a_sum() -> None:
    whole = Usage(prompt_tokens=12, output_tokens=4)
    split = Usage(uncached_input_tokens=1, cache_read_tokens=2, cache_write_tokens=3, output_tokens=5)
    assert (whole.input_tokens, whole.total_tokens) == (12, 16)
    assert whole + split == split + whole == Usage(prompt_tokens=18, output_tokens=9)
    assert (split + split).prompt_tokens is None
    assert (split + split).input_tokens == 12
    assert (whole + Usage()).input_tokens is None


def test_every_task_has_a_name_and_a_response_of_the_same_name() -> None:
    assert set(tasks()) >= {"chat", "complete", "count_tokens", "embed"}
    for name, task in tasks().items():
        assert task_name(task) == name == task.response_type.__struct_config__.tag


def test_a_new_task_is_a_subclass_and_nothing_else() -> None:
    class Echoed(types.Response, tag="echo", frozen=True, kw_only=True):
        pass

    class Echo(types.Request, tag="echo", frozen=True, kw_only=True):
        response_type = Echoed

    try:
        assert tasks()["echo"] is Echo
    finally:
        del Echo, Echoed
        __import__("gc").collect()


def test_events_say_whether_they_carry_content() -> None:
    content = {kind.__struct_config__.tag: kind.content for kind in types.Event.__subclasses__()}
    assert content == {
        "start": False,
        "aside": False,
        "text": True,
        "thinking": True,
        "tool_call": True,
        "part": True,
        "segment": True,
        "audio": True,
        "usage": False,
        "done": False,
    }


@pytest.mark.parametrize(
    ("cost", "told"),
    [
        (Cost(usd=Decimal("0.00200"), source="trivet.toml"), "$0.002 (trivet.toml)"),
        (Cost(usd=Decimal(100), source="genai-prices 1", dated="2026-01-02"), "$100 (genai-prices 1 of 2026-01-02)"),
        (Cost(usd=Decimal("1E-7"), source="genai-prices 1", estimate=True), "~$0.0000001 (genai-prices 1)"),
        (Cost(usd=Decimal("0.000"), source="embedded"), "$0 (embedded)"),
        (Cost(unknown="acme/x: no price is known"), "unknown: acme/x: no price is known"),
    ],
)
def test_a_cost_reads_as_a_line(cost: Cost, told: str) -> None:
    assert str(cost) == told
