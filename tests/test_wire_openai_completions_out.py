"""OpenAI plain completions asked of a host: `Complete` to its JSON, and its answers back. The shapes are those of the
published API reference and of the official client's types."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai.types import Completion
from openai.types.completion_create_params import CompletionCreateParamsNonStreaming

from trivet.errors import ProviderError, RateLimitError, TransportError, UnsupportedError
from trivet.types import (
    Complete,
    CompleteResponse,
    Done,
    Event,
    Sampling,
    Source,
    Start,
    TextDelta,
    TokenLogprob,
    Usage,
    UsageUpdate,
    replace,
)
from trivet.wire import Target, openai_completions, source, sse

TARGET = Target(model="m", provider="up", family="up")
STREAM = replace(TARGET, stream=True)
ASKED = Complete(prompt="Once")
FULL = Sampling(
    temperature=0.5,
    top_p=0.9,
    top_k=0,
    frequency_penalty=1,
    presence_penalty=-1,
    seed=7,
    stop=("x",),
    max_tokens=9,
    logprobs=2,
    n=2,
)
CHUNK = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m-2"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "prompt_tokens_details": {"cached_tokens": 3}}
READ = Usage(uncached_input_tokens=2, cache_read_tokens=3, cache_write_tokens=0, output_tokens=2)


def choice(text: str = "", reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": reason, **more}


def client(**fields: Any) -> Complete:
    """A request as a client wrote it."""
    request = openai_completions.parse(json.dumps({"model": "own", "prompt": "Once"} | fields).encode()).request
    assert isinstance(request, Complete)
    return request


def dumped(told: dict[str, Any]) -> bytes:
    return json.dumps(told).encode()


def sent(request: Complete, target: Target = TARGET) -> Any:
    return json.loads(source.body(request, target, openai_completions))


def whole(request: Complete = ASKED, **fields: Any) -> CompleteResponse:
    body = {**CHUNK, "choices": [choice("upon", "stop")], "usage": USAGE} | fields
    response = openai_completions.Reader(request, TARGET).whole(json.dumps(body).encode())
    assert isinstance(response, CompleteResponse)
    return response


def read(*chunks: Any, request: Complete = ASKED, target: Target = STREAM) -> list[Event]:
    """The events of a stream of these chunks."""
    reader = openai_completions.Reader(request, target)
    events: list[Event] = []
    for chunk in chunks:
        raw = sse.event(chunk.encode() if isinstance(chunk, str) else json.dumps(chunk).encode())
        events += reader.event(sse.Event(data=raw.strip().removeprefix(b"data: "), raw=raw))
    return [*events, *reader.end()]


def answer(events: list[Event]) -> CompleteResponse:
    assert isinstance(events[-1], Done)
    assert sum(isinstance(e, Done) for e in events) == 1
    assert isinstance(events[-1].response, CompleteResponse)
    return events[-1].response


# --- requests ----------------------------------------------------------------------------------------------


def test_a_request_says_all_that_it_has_and_no_more() -> None:
    assert openai_completions.write(ASKED, TARGET) == {"model": "m", "prompt": "Once"}
    assert openai_completions.write(replace(ASKED, suffix="end", sampling=FULL), TARGET) == {
        "model": "m",
        "prompt": "Once",
        "suffix": "end",
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": -1,
        "frequency_penalty": 1,
        "presence_penalty": -1,
        "seed": 7,
        "stop": ["x"],
        "n": 2,
        "logprobs": 2,
    }


def test_what_is_written_are_fields_of_the_sdks() -> None:
    written = openai_completions.write(replace(ASKED, suffix="end", sampling=FULL), STREAM)
    assert set(written) - set(CompletionCreateParamsNonStreaming.__annotations__) == {"top_k"}


def test_what_is_written_reads_as_what_it_was_written_of() -> None:
    request = replace(ASKED, model="m", suffix="end", sampling=FULL, extra={"echo": True, "logit_bias": {"5": 1}})
    again = openai_completions.parse(json.dumps(openai_completions.write(request, STREAM)).encode())
    assert replace(again.request, source=None) == request
    assert (again.stream, again.stream_usage) == (True, True)


def test_a_stream_is_asked_for_with_its_usage_where_the_host_can_be_told() -> None:
    assert openai_completions.write(ASKED, STREAM)["stream_options"] == {"include_usage": True}
    without = replace(STREAM, quirks={"stream_options": False})
    assert openai_completions.write(ASKED, without) == {"model": "m", "prompt": "Once", "stream": True}


def test_the_clients_own_body_goes_out_as_it_is_but_for_model_and_streaming() -> None:
    own = {"model": "own", "prompt": ["Once"], "echo": True, "x": {"y": None}, "top_k": 4}
    assert sent(client(**own)) == {**own, "model": "m"}
    streamed = client(**own | {"stream": True, "stream_options": {"z": 1}})
    assert sent(streamed, STREAM)["stream_options"] == {"z": 1, "include_usage": True}
    assert sent(streamed) == {**own, "model": "m", "stream": False}


def test_a_wrappers_change_goes_out_and_the_rest_stays() -> None:
    request = client(x=1, temperature=0.5)
    changed = replace(request, prompt="Twice", sampling=replace(request.sampling, temperature=None))
    assert sent(changed) == {"model": "m", "prompt": "Twice", "x": 1}


def test_a_host_is_told_the_seed_by_its_own_name() -> None:
    target = replace(TARGET, quirks={"seed": "random_seed"})
    assert openai_completions.write(replace(ASKED, sampling=Sampling(seed=1)), target)["random_seed"] == 1
    assert sent(client(seed=1), target) == {"model": "m", "prompt": "Once", "random_seed": 1}


@pytest.mark.parametrize(
    ("request_", "target", "field"),
    [
        (replace(ASKED, sampling=Sampling(top_k=4)), replace(TARGET, family="openai"), "top_k"),
        (replace(ASKED, suffix="end"), replace(TARGET, quirks={"no": ("suffix",)}), "suffix"),
        (replace(ASKED, extra={"x": 1}, source=Source(protocol="other", body=b"{}")), TARGET, "x"),
    ],
)
def test_what_the_host_cannot_be_told_is_refused_by_name(request_: Complete, target: Target, field: str) -> None:
    with pytest.raises(UnsupportedError, match=f"up takes no {field}") as caught:
        openai_completions.write(request_, target)
    assert caught.value.field == field


# --- whole answers -----------------------------------------------------------------------------------------


def test_a_whole_answer_is_read() -> None:
    response = whole(system_fingerprint="fp")
    assert (response.text, response.finish_reason, response.model, response.id) == ("upon", "stop", "m-2", "cmpl-1")
    assert response.usage == READ
    assert response.extra == {"system_fingerprint": "fp"}
    assert response.raw is None


def test_a_client_of_the_protocol_gets_the_hosts_bytes() -> None:
    raw = whole(client(), x=1).raw
    assert raw is not None
    assert raw.protocol == "openai-completions"
    assert json.loads(raw.body)["x"] == 1


def test_choices_are_read_by_their_index() -> None:
    response = whole(choices=[choice("b", "length", index=1), choice("a", "stop", index=0)])
    assert [(c.text, c.finish_reason) for c in response.choices] == [("a", "stop"), ("b", "length")]


@pytest.mark.parametrize(
    ("told", "reason", "stop"),
    [
        (choice("x", "content_filter"), "refusal", None),
        (choice("x", "eos"), "stop", None),
        (choice("x", "stop", stop_reason="\n"), "stop", "\n"),  # vLLM
        (choice("x", "stop", stop_reason=2), "stop", None),  # vLLM: a token's number
        (choice("x", "stop", matched_stop="\n"), "stop", "\n"),  # SGLang
    ],
)
def test_why_it_ended_is_read(told: dict[str, Any], reason: str, stop: str | None) -> None:
    ended = whole(choices=[told]).choices[0]
    assert (ended.finish_reason, ended.stop_sequence) == (reason, stop)


def test_an_end_for_no_known_reason_is_noted() -> None:
    assert whole(choices=[choice("x", "abort")]).notes == ("up ended with 'abort', which is told as 'stop'",)


def test_logprobs_are_read_in_either_shape() -> None:
    legacy = {
        "tokens": ["up", "on"],
        "token_logprobs": [None, -0.5],
        "top_logprobs": [None, {"on": -0.5, "x": -1}],
        "text_offset": [4, 6],
    }
    on = TokenLogprob(token="on", logprob=-0.5)
    x = TokenLogprob(token="x", logprob=-1)
    assert whole(choices=[choice("upon", "stop", logprobs=legacy)]).choices[0].logprobs == (replace(on, top=(on, x)),)
    item = {"token": "on", "logprob": -0.5, "bytes": [111, 110], "top_logprobs": [{"token": "x", "logprob": -1}]}
    as_chat = whole(choices=[choice("upon", "stop", logprobs={"content": [item]})]).choices[0].logprobs
    assert as_chat == (replace(on, bytes=(111, 110), top=(x,)),)


def test_usage_that_is_not_told_is_unknown() -> None:
    assert whole(usage=None).usage == Usage()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices": []}', b"\xff"])
def test_what_is_no_answer_is_an_error_of_the_host(body: bytes) -> None:
    with pytest.raises(ProviderError, match="up sent"):
        openai_completions.Reader(ASKED, TARGET).whole(body)


def test_an_error_in_the_place_of_an_answer_is_raised() -> None:
    with pytest.raises(RateLimitError, match="slow"):
        whole(error={"message": "slow", "code": 429})


# --- streams -----------------------------------------------------------------------------------------------

PIECES = [
    {**CHUNK, "choices": [choice("up")]},
    {**CHUNK, "choices": [choice("on")]},
    {**CHUNK, "choices": [choice("", "length")]},
    {**CHUNK, "choices": [], "usage": USAGE},
    "[DONE]",
]


def test_a_stream_says_what_the_whole_answer_would() -> None:
    events = read(*PIECES)
    assert [type(e) for e in events] == [Start, TextDelta, TextDelta, UsageUpdate, Done]
    assert events[0] == Start(model="m-2", id="cmpl-1")
    response = answer(events)
    assert (response.text, response.finish_reason, response.usage) == ("upon", "length", READ)
    assert response.id == "cmpl-1"


def test_a_clients_own_stream_passes_byte_for_byte() -> None:
    events = read(*PIECES, request=client(stream=True, stream_options={"include_usage": True}))
    bodies = b"".join(e.raw.body for e in events if e.raw is not None)
    assert all(e.raw is not None for e in events)
    assert bodies == b"".join(sse.event(p.encode() if isinstance(p, str) else json.dumps(p).encode()) for p in PIECES)


def test_usage_that_only_we_have_asked_for_is_taken_out_again() -> None:
    pieces = [{**p, "usage": p.get("usage")} if isinstance(p, dict) else p for p in PIECES]
    events = read(*pieces, request=client(stream=True))
    bodies = b"".join(e.raw.body for e in events if e.raw is not None)
    assert b"usage" not in bodies
    assert bodies.count(b"data: ") == 4
    assert answer(events).usage == READ


def test_choices_side_by_side_are_kept_apart() -> None:
    pieces = [choice("a", index=0), choice("b", index=1), choice("c", "stop", index=0), choice("", "length", index=1)]
    response = answer(read(*({**CHUNK, "choices": [p]} for p in pieces), "[DONE]"))
    assert [(c.text, c.finish_reason) for c in response.choices] == [("ac", "stop"), ("b", "length")]


def test_a_stream_without_done_is_over_when_all_choices_are() -> None:
    assert answer(read(*PIECES[:-1])).text == "upon"


@pytest.mark.parametrize("pieces", [PIECES[:1], PIECES[:2], [], ["[DONE]"]])
def test_a_stream_that_is_cut_is_no_answer(pieces: list[Any]) -> None:
    with pytest.raises(TransportError, match="up: the stream was cut"):
        read(*pieces)


def test_an_error_in_mid_stream_is_raised() -> None:
    with pytest.raises(RateLimitError, match="slow"):
        read(PIECES[0], {"error": {"message": "slow", "type": "rate_limit_exceeded"}})


@pytest.mark.parametrize(
    "told",
    [
        {"object": "error", "message": "slow", "type": "rate_limit_exceeded"},
        {"message": "slow", "type": "rate_limit_exceeded", "param": None, "code": None},
        {"detail": "slow", "code": 429},
        {**CHUNK, "choices": [], "message": "slow", "code": "429"},
    ],
)
def test_an_error_that_stands_unwrapped_is_one_in_a_stream_and_in_the_place_of_an_answer(told: dict[str, Any]) -> None:
    for ask in (lambda: read(PIECES[0], told), lambda: openai_completions.Reader(ASKED, TARGET).whole(dumped(told))):
        with pytest.raises(RateLimitError, match="slow") as caught:
            ask()
        assert caught.value.raw == Source(protocol="openai-completions", body=dumped(told))


@pytest.mark.parametrize("told", [{"error": "slow"}, {"error": {"message": "slow"}, "error_type": "overloaded"}])
def test_an_error_may_be_a_text_or_have_its_type_beside_it(told: dict[str, Any]) -> None:
    with pytest.raises(ProviderError, match="slow"):
        read(PIECES[0], told)


def test_an_event_named_error_is_one_whatever_it_says() -> None:
    reader = openai_completions.Reader(ASKED, STREAM)
    with pytest.raises(ProviderError, match="no shape that trivet knows"):
        list(reader.event(sse.Event(name="error", data=b'{"reason": "x"}', raw=b"")))


def test_a_chunk_without_choices_or_words_says_nothing() -> None:
    assert answer(read(PIECES[0], {**CHUNK, "choices": []}, *PIECES[1:])).text == "upon"


def test_the_renderer_and_the_reader_agree() -> None:
    request = client(stream=True, stream_options={"include_usage": True})
    first = answer(read(*PIECES))
    renderer = openai_completions.Renderer(openai_completions.parse(request.source.body))  # type: ignore[union-attr]
    parser = sse.Parser()
    reader = openai_completions.Reader(ASKED, STREAM)
    events = [e for event in parser.feed(renderer.event(Done(response=first))) for e in reader.event(event)]
    again = answer([*events, *reader.end()])
    assert replace(again, extra={}) == replace(first, extra={})
    Completion.model_validate(json.loads(renderer.whole(first)))


def test_told_leaves_the_clients_other_fields_alone() -> None:
    own = msgspec.json.decode(b'{"model": "own", "x": 1}', type=dict[str, msgspec.Raw])
    assert openai_completions.told(own, TARGET) == {"model": "m"}
