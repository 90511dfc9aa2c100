"""OpenAI plain completions: a client's JSON to `Complete`, and answers back, whole and in chunks."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion
from openai.types.completion_create_params import CompletionCreateParamsNonStreaming

from tests.openai_in_memory import InMemory
from trivet.errors import RequestError, TransportError
from trivet.types import (
    Complete,
    CompleteResponse,
    Done,
    Event,
    Sampling,
    Start,
    TextChoice,
    TextDelta,
    TokenLogprob,
    Usage,
)
from trivet.wire import Incoming, openai_completions

USAGE = Usage(uncached_input_tokens=2, cache_read_tokens=1, cache_write_tokens=0, output_tokens=4)
AB = (
    TokenLogprob(token="a", logprob=-0.5, top=(TokenLogprob(token="x", logprob=float("-inf")),)),
    TokenLogprob(token="bé", logprob=-1.0, top=(TokenLogprob(token="bé", logprob=-1.0),)),
)


def incoming(**fields: Any) -> Incoming:
    return openai_completions.parse(json.dumps({"model": "m", "prompt": "Once"} | fields).encode())


def parse(**fields: Any) -> Complete:
    request = incoming(**fields).request
    assert isinstance(request, Complete)
    return request


def answer(text: str = "upon", finish_reason: Any = "stop", usage: Usage = USAGE, **choice: Any) -> CompleteResponse:
    chosen = TextChoice(text=text, finish_reason=finish_reason, **choice)
    return CompleteResponse(model="local/m", choices=(chosen,), usage=usage)


def whole(response: CompleteResponse) -> dict[str, Any]:
    return json.loads(openai_completions.Renderer(incoming(), id="cmpl-1", created=1700000000).whole(response))


def chunks(*events: Event, **fields: Any) -> list[Any]:
    """The data of every server-sent event, parsed; `[DONE]` as a string."""
    renderer = openai_completions.Renderer(incoming(stream=True, **fields), id="cmpl-1", created=1700000000)
    out = b"".join(renderer.event(e) for e in events).decode()
    data = [block.removeprefix("data: ") for block in out.split("\n\n")[:-1]]
    return [d if d == "[DONE]" else json.loads(d) for d in data]


# --- requests ----------------------------------------------------------------------------------------------


def test_the_prompt_and_its_suffix_are_read() -> None:
    request = parse(prompt="def f(", suffix="return 1")
    assert (request.prompt, request.suffix) == ("def f(", "return 1")
    assert parse(prompt=["one"]).prompt == "one"


@pytest.mark.parametrize("prompt", [["a", "b"], ["", ""], [1, 2], [[1], [2, 3]], [[7]]])
def test_several_prompts_and_token_ids_are_kept_for_those_who_read_them(prompt: Any) -> None:
    request = parse(prompt=prompt)
    assert (request.prompt, request.extra) == ("", {"prompt": prompt})


@pytest.mark.parametrize(
    ("prompt", "what"),
    [
        *(([], "array"), (None, "missing")),
        *((odd, "neither texts nor token ids") for odd in (["a", 1], [True], [[]], [-1], [[1], "a"])),
    ],
)
def test_any_other_form_of_prompt_is_refused_with_what_to_send(prompt: Any, what: str) -> None:
    with pytest.raises(RequestError, match=what) as caught:
        parse(prompt=prompt)
    assert caught.value.field == "prompt"


def test_the_sampling_fields_are_read() -> None:
    request = parse(
        max_tokens=5, temperature=0, top_p=1, top_k=3, n=2, best_of=2, seed=1, stop="x", logprobs=4, presence_penalty=1
    )
    assert request.sampling == Sampling(
        max_tokens=5, temperature=0, top_p=1, top_k=3, n=2, seed=1, stop=("x",), logprobs=4, presence_penalty=1
    )
    assert request.extra == {}


def test_without_a_bound_the_protocols_own_of_16_tokens_holds() -> None:
    # "max_tokens ... defaults to 16": the reference of POST /v1/completions
    assert parse().sampling.max_tokens == 16


def test_logprobs_of_0_ask_for_the_drawn_token_alone() -> None:
    assert parse(logprobs=0).sampling.logprobs == 0
    assert parse().sampling.logprobs is None


def test_what_only_some_hosts_have_is_kept_for_them() -> None:
    assert parse(echo=True, best_of=3, n=2).extra == {"echo": True, "best_of": 3}


def test_fields_that_only_state_the_default_are_taken() -> None:
    assert parse(echo=False, best_of=1, logit_bias={}, user=None).extra == {}


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"echo": 1}, RequestError),
        ({"best_of": 1, "n": 2}, RequestError),
        ({"logprobs": True}, RequestError),
        ({"logprobs": 21}, RequestError),
        ({"max_tokens": 0}, RequestError),
        ({"suffix": 5}, RequestError),
        ({"stream_options": {}}, RequestError),
        ({"model": None}, RequestError),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(fields: dict[str, Any], kind: type[RequestError]) -> None:
    with pytest.raises(kind) as caught:
        parse(**fields)
    assert caught.value.field == next(iter(fields))


def test_the_source_is_the_body_as_received() -> None:
    body = b'{ "prompt": "Once", "model": "m" }'
    source = openai_completions.parse(body).request.source
    assert source is not None
    assert (source.protocol, source.body) == ("openai-completions", body)


# A value that is no default, for each field of the SDK's parameters: see the same table for chat.
FIELDS: dict[str, Any] = {
    "model": "other",
    "prompt": "Twice",
    "best_of": 2,
    "echo": True,
    "frequency_penalty": 0.5,
    "logit_bias": {"5": 1},
    "logprobs": 2,
    "max_tokens": 5,
    "n": 2,
    "presence_penalty": 0.5,
    "seed": 1,
    "stop": ["x"],
    "stream": True,
    "stream_options": {"include_usage": True},
    "suffix": "end",
    "temperature": 0.5,
    "top_p": 0.5,
    "user": "ann",
}


def test_every_field_of_the_sdk_has_a_value_in_the_table() -> None:
    assert set(FIELDS) == set(CompletionCreateParamsNonStreaming.__annotations__)


@pytest.mark.parametrize("name", FIELDS)
def test_no_field_of_a_request_vanishes(name: str) -> None:
    def seen(given: Incoming) -> Any:
        request = given.request
        return [getattr(request, f) for f in request.__struct_fields__ if f != "source"], given.stream

    try:
        changed = incoming(**{name: FIELDS[name]})
    except RequestError as e:
        assert e.field == name  # noqa: PT017  # refused is fine, vanished is not
    else:
        assert seen(changed) != seen(incoming())


LOOP = InMemory(openai_completions, answer())


@given(prompt=st.text(), suffix=st.none() | st.text(), stop=st.lists(st.text(min_size=1), max_size=3))
def test_any_text_that_the_sdk_sends_is_read_whole(prompt: str, suffix: str | None, stop: list[str]) -> None:
    LOOP.client.completions.create(model="m", prompt=prompt, suffix=suffix, stop=stop)
    assert LOOP.incoming is not None
    request = LOOP.incoming.request
    assert isinstance(request, Complete)
    assert (request.prompt, request.suffix, request.sampling.stop) == (prompt, suffix, tuple(stop))


# --- answers -----------------------------------------------------------------------------------------------


def test_a_whole_answer_has_every_field_that_the_protocol_requires() -> None:
    body = whole(answer())
    assert body == {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1700000000,
        "model": "local/m",
        "system_fingerprint": None,
        "choices": [{"index": 0, "text": "upon", "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 4,
            "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        },
    }
    Completion.model_validate(body, strict=True)


def test_unknown_usage_is_left_out_and_never_0() -> None:
    assert "usage" not in whole(answer(usage=Usage(uncached_input_tokens=1, output_tokens=3)))


def test_logprobs_are_lists_side_by_side_with_offsets_from_the_start_of_the_prompt() -> None:
    body = whole(answer("abé", logprobs=AB))
    assert body["choices"][0]["logprobs"] == {
        "tokens": ["a", "bé"],
        "token_logprobs": [-0.5, -1.0],
        "top_logprobs": [{"x": -9999.0, "a": -0.5}, {"bé": -1.0}],
        "text_offset": [4, 5],  # "Once" is 4 characters long
    }
    Completion.model_validate(body, strict=True)


def test_logprobs_without_alternatives_have_none() -> None:
    alone = (TokenLogprob(token="a", logprob=-0.5),)
    assert whole(answer("a", logprobs=alone))["choices"][0]["logprobs"]["top_logprobs"] is None


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("stop", "stop"), ("length", "length"), ("refusal", "content_filter"), ("tool_calls", "stop")],
)
def test_a_finish_reason_is_the_protocols(ours: Any, theirs: str) -> None:
    assert whole(answer(finish_reason=ours))["choices"][0]["finish_reason"] == theirs


def test_a_stream_is_text_then_reason_then_usage_then_done() -> None:
    events = (Start(model="local/m", id="x-1"), TextDelta(text="up"), TextDelta(text="on"), Done(response=answer()))
    *out, last, done = chunks(*events, stream_options={"include_usage": True})
    assert done == "[DONE]"
    assert [(c["choices"][0]["text"], c["choices"][0]["finish_reason"]) for c in out] == [
        ("up", None),
        ("on", None),
        ("", "stop"),
    ]
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 7)
    assert all(c["usage"] is None for c in out)
    for chunk in (*out, last):
        Completion.model_validate(chunk | {"choices": []}, strict=True)
        assert (chunk["id"], chunk["created"], chunk["object"]) == ("x-1", 1700000000, "text_completion")
    assert "usage" not in chunks(*events)[0]


def test_offsets_go_on_from_chunk_to_chunk_of_a_choice() -> None:
    out = chunks(
        TextDelta(text="bé", logprobs=AB[1:]),
        TextDelta(text="zzz", choice=1),
        TextDelta(text="a", logprobs=AB[:1]),
        Done(response=answer("béa", logprobs=(*AB[1:], *AB[:1]))),
    )
    assert [c["choices"][0]["logprobs"]["text_offset"] for c in (out[0], out[2])] == [[4], [6]]


def test_a_model_that_answers_all_at_once_is_streamed_too() -> None:
    out = chunks(Done(response=answer("upon")))
    assert [c["choices"][0]["text"] for c in out[:-1]] == ["upon", ""]


def test_the_sdk_reads_a_stream_and_raises_its_failure() -> None:
    loop = InMemory(openai_completions, [TextDelta(text="up"), TransportError("cut: ask again")])
    stream = loop.client.completions.create(model="m", prompt="Once", stream=True)
    assert next(stream).choices[0].text == "up"
    with pytest.raises(openai.APIError, match="cut"):
        next(stream)


def test_a_refused_request_is_a_bad_request_of_the_sdk_that_names_the_field() -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        LOOP.client.completions.create(model="m", prompt=[])
    assert caught.value.param == "prompt"
