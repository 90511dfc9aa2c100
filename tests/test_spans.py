"""OpenTelemetry's spans and metrics, from rows to what the SDK exports, attribute by attribute.

The conventions are those of semantic-conventions 1.41.0 (opentelemetry.io/docs/specs/semconv/gen-ai: `gen-ai-spans`,
`gen-ai-metrics`); the installed `opentelemetry.semconv` has their names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.trace import SpanKind, StatusCode, use_span

from trivet.ledger.rows import AttemptRow, Row
from trivet.ledger.spans import SCHEMA_URL, Spans
from trivet.types import (
    Chat,
    ChatResponse,
    Choice,
    Complete,
    CompleteResponse,
    Context,
    Cost,
    Embed,
    Image,
    Message,
    Output,
    Request,
    Response,
    Sampling,
    Source,
    Text,
    TextChoice,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
    assistant,
    replace,
    system,
    user,
)

AT = 1_790_000_000.25
ANSWERED = AttemptRow(
    model="openai/gpt-5.5",
    outcome="answered",
    began_s=0.5,
    took_s=1.5,
    first_content_s=0.25,
    said_model="gpt-5.5-2026-09-01",
    response_id="chatcmpl-1",
    usage=Usage(
        uncached_input_tokens=100, cache_read_tokens=40, cache_write_tokens=7, output_tokens=21, reasoning_tokens=5
    ),
    cost=Cost(usd=Decimal("0.0015")),
)
FAILED = AttemptRow(
    model="anthropic/claude-opus-4-7", outcome="failed", began_s=0.0, took_s=0.5, error="RateLimitError"
)
ROW = Row(
    id="req-1",
    at=AT,
    task="chat",
    asked="smart",
    model="openai/gpt-5.5",
    key="team",
    session="conversation-1",
    outcome="answered",
    took_s=2.0,
    first_content_s=0.75,
    usage=ANSWERED.usage,
    cost=Cost(usd=Decimal("0.0015"), source="genai-prices 0.2.3"),
    attempts=(ANSWERED,),
)
REQUEST = Chat(model="smart", messages=(user("What is 2+2?"),))
RESPONSE = ChatResponse(model="openai/gpt-5.5", choices=(Choice(message=assistant("4"), finish_reason="stop"),))


@dataclass
class Told:
    """An observer, and what the SDK has got of it."""

    content: bool = False
    spans_to: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans_to))
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.observer = Spans(
            self.tracers.get_tracer("trivet", schema_url=SCHEMA_URL),
            self.meters.get_meter("trivet", schema_url=SCHEMA_URL),
            content=self.content,
            known=lambda name: name in ("smart", "openai/gpt-5.5", "anthropic/claude-opus-4-7"),
        )

    def __call__(
        self, row: Row, request: Request = REQUEST, response: Response | None = RESPONSE
    ) -> tuple[ReadableSpan, list[ReadableSpan]]:
        """The request's span, and those of its attempts, in their order."""
        self.spans_to.clear()
        self.observer.observe(row, request, response)
        *attempts, whole = self.spans_to.get_finished_spans()
        return whole, attempts

    def points(self, name: str) -> list[HistogramDataPoint]:
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
            if isinstance(point, HistogramDataPoint)
        ]


@pytest.fixture
def told() -> Iterator[Told]:
    found = Told()
    yield found
    found.tracers.shutdown()
    found.meters.shutdown()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


# ── a request, and its attempts ──


def test_a_request_is_a_span_with_a_span_for_its_attempt_below(told: Told) -> None:
    whole, (attempt,) = told(ROW)
    assert (whole.name, attempt.name) == ("chat smart", "chat gpt-5.5")
    assert whole.parent is None
    assert attempt.parent == whole.context
    assert (whole.kind, attempt.kind) == (SpanKind.INTERNAL, SpanKind.CLIENT)
    assert whole.status.status_code is attempt.status.status_code is StatusCode.UNSET


def test_they_begin_and_end_when_it_happened(told: Told) -> None:
    whole, (attempt,) = told(ROW)
    assert (whole.start_time, whole.end_time) == (int(AT * 1e9), int((AT + 2.0) * 1e9))
    assert (attempt.start_time, attempt.end_time) == (int((AT + 0.5) * 1e9), int((AT + 2.0) * 1e9))


def test_the_requests_span_says_what_was_asked_what_came_of_it_and_what_it_cost(told: Told) -> None:
    whole, _ = told(ROW)
    assert attributes(whole) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "trivet",
        "gen_ai.request.model": "smart",
        "gen_ai.response.model": "openai/gpt-5.5",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.conversation.id": "conversation-1",
        "trivet.request.id": "req-1",
        "trivet.outcome": "answered",
        "trivet.status": 200,
        "trivet.cache": "none",
        "trivet.key": "team",
        "trivet.cost.usd": 0.0015,
        "trivet.cost.source": "genai-prices 0.2.3",
    }


def test_the_attempts_span_has_the_tokens_the_prompt_with_what_was_cached_of_it(told: Told) -> None:
    _, (attempt,) = told(ROW)
    assert attributes(attempt) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5.5",
        "gen_ai.response.model": "gpt-5.5-2026-09-01",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 147,  # "SHOULD include all types of input tokens, including cached tokens"
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.cache_creation.input_tokens": 7,
        "gen_ai.usage.output_tokens": 21,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "trivet.outcome": "answered",
        "trivet.cost.usd": 0.0015,
    }


def test_unknown_usage_and_cost_are_left_out(told: Told) -> None:
    bare = replace(ANSWERED, usage=Usage(), cost=Cost(), said_model=None, response_id=None)
    row = replace(ROW, attempts=(bare,), cost=Cost(unknown="no price is known"), usage=Usage())
    whole, (attempt,) = told(row, REQUEST, None)
    assert not [name for name in attributes(attempt) if "usage" in name or "cost" in name or "response" in name]
    assert "trivet.cost.usd" not in attributes(whole)
    assert attributes(whole)["trivet.cost.unknown"] == "no price is known"


def test_a_known_nothing_is_told(told: Told) -> None:
    free = replace(ANSWERED, usage=replace(ANSWERED.usage, cache_read_tokens=0), cost=Cost(usd=Decimal()))
    _, (attempt,) = told(replace(ROW, attempts=(free,)))
    assert attributes(attempt)["gen_ai.usage.cache_read.input_tokens"] == 0
    assert attributes(attempt)["trivet.cost.usd"] == 0.0


def test_a_prompt_that_is_not_split_is_told_whole(told: Told) -> None:
    _, (attempt,) = told(replace(ROW, attempts=(replace(ANSWERED, usage=Usage(prompt_tokens=90)),)))
    found = {name: value for name, value in attributes(attempt).items() if "usage" in name}
    assert found == {"gen_ai.usage.input_tokens": 90}


def test_what_was_asked_for_is_on_both(told: Told) -> None:
    sampling = Sampling(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        seed=7,
        stop=("END",),
        max_tokens=100,
        n=2,
    )
    whole, (attempt,) = told(ROW, replace(REQUEST, sampling=sampling, output=Output()))
    expected = {
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40.0,
        "gen_ai.request.frequency_penalty": 0.1,
        "gen_ai.request.presence_penalty": 0.2,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.choice.count": 2,
        "gen_ai.output.type": "json",
    }
    assert expected.items() <= attributes(whole).items()
    assert expected.items() <= attributes(attempt).items()
    assert isinstance(attributes(whole)["gen_ai.request.top_k"], float)  # a double in 1.41.0


def test_a_stream_says_so_and_when_its_first_content_came(told: Told) -> None:
    whole, (attempt,) = told(replace(ROW, stream=True))
    assert attributes(whole)["gen_ai.request.stream"] is attributes(attempt)["gen_ai.request.stream"] is True
    assert attributes(whole)["gen_ai.response.time_to_first_chunk"] == 0.75
    assert attributes(attempt)["gen_ai.response.time_to_first_chunk"] == 0.25


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("gemini/gemini-3-pro", "gcp.gemini", "gemini-3-pro"),
        ("mistral/mistral-large", "mistral_ai", "mistral-large"),
        ("xai/grok-5", "x_ai", "grok-5"),
        ("azure/our-gpt", "azure.ai.openai", "our-gpt"),
        ("deepseek/deepseek-chat", "deepseek", "deepseek-chat"),
        ("together/meta/llama-4", "together", "meta/llama-4"),
        ("scripted", "trivet", "scripted"),
    ],
)
def test_providers_have_the_conventions_names(told: Told, name: str, provider: str, model: str) -> None:
    _, (attempt,) = told(replace(ROW, attempts=(replace(ANSWERED, model=name),)))
    assert attributes(attempt)["gen_ai.provider.name"] == provider
    assert attributes(attempt)["gen_ai.request.model"] == model


def test_an_embedded_model_is_asked_in_this_process(told: Told) -> None:
    _, (attempt,) = told(replace(ROW, attempts=(replace(ANSWERED, model="local/smollm2"),)))
    assert attempt.kind is SpanKind.INTERNAL


@pytest.mark.parametrize(
    ("request_", "operation"),
    [
        (Complete(model="smart", prompt="Once"), "text_completion"),
        (Embed(model="smart", texts=("a",), dimensions=256), "embeddings"),
    ],
)
def test_tasks_have_the_conventions_names(told: Told, request_: Request, operation: str) -> None:
    task = "complete" if isinstance(request_, Complete) else "embed"
    whole, (attempt,) = told(replace(ROW, task=task), request_, None)
    assert (whole.name, attempt.name) == (f"{operation} smart", f"{operation} gpt-5.5")
    assert attributes(whole)["gen_ai.operation.name"] == operation
    assert attributes(whole).get("gen_ai.embeddings.dimension.count") == (256 if task == "embed" else None)


# ── what goes wrong ──


def test_a_fallback_is_two_attempts_the_first_with_its_error(told: Told) -> None:
    whole, (first, second) = told(replace(ROW, attempts=(FAILED, ANSWERED)))
    assert (first.name, second.name) == ("chat claude-opus-4-7", "chat gpt-5.5")
    assert attributes(first)["error.type"] == first.status.description == "RateLimitError"
    assert first.status.status_code is StatusCode.ERROR
    assert "gen_ai.response.finish_reasons" not in attributes(first)
    assert first.end_time == second.start_time
    assert whole.status.status_code is second.status.status_code is StatusCode.UNSET


def test_a_request_that_failed_has_the_class_of_its_error_and_no_more(told: Told) -> None:
    row = replace(ROW, outcome="failed", model=None, error="RateLimitError", status=429, attempts=(FAILED,))
    whole, _ = told(row, REQUEST, None)
    assert whole.status.status_code is StatusCode.ERROR
    assert attributes(whole)["error.type"] == "RateLimitError"
    assert attributes(whole)["trivet.status"] == 429
    assert "gen_ai.response.model" not in attributes(whole)


def test_a_refused_request_has_no_attempts(told: Told) -> None:
    row = replace(ROW, outcome="refused", model=None, error="BudgetError", attempts=())
    whole, attempts = told(row, REQUEST, None)
    assert attempts == []
    assert attributes(whole)["error.type"] == "BudgetError"


def test_whoever_leaves_has_not_met_an_error(told: Told) -> None:
    left = replace(ANSWERED, outcome="cancelled")
    row = replace(ROW, stream=True, outcome="cancelled", attempts=(left,), cost=replace(ROW.cost, estimate=True))
    whole, (attempt,) = told(row, REQUEST, None)
    for span in (whole, attempt):
        assert attributes(span)["trivet.outcome"] == "cancelled"
        assert "error.type" not in attributes(span)
        assert span.status.status_code is StatusCode.UNSET
    assert attributes(attempt)["gen_ai.usage.output_tokens"] == 21
    assert attributes(whole)["trivet.cost.estimate"] is True


def test_an_answer_from_the_cache_has_no_attempts_and_no_tokens(told: Told) -> None:
    whole, attempts = told(replace(ROW, cache="hit", attempts=(), cost=Cost(usd=Decimal())))
    assert attempts == []
    assert attributes(whole)["trivet.cache"] == "hit"
    assert attributes(whole)["trivet.cost.usd"] == 0
    assert not [name for name in attributes(whole) if "usage" in name]


# ── whose child it is ──

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"  # the example of w3.org/TR/trace-context


def traced(**headers: str) -> Chat:
    return replace(REQUEST, context=Context(headers=headers), source=Source(protocol="openai-chat", body=b"{}"))


def test_a_request_over_http_is_the_child_of_the_clients_span(told: Told) -> None:
    whole, _ = told(ROW, traced(traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="congo=t61rcWkgMzE"))
    assert whole.kind is SpanKind.SERVER
    assert whole.parent is not None
    assert (f"{whole.parent.trace_id:032x}", f"{whole.parent.span_id:016x}") == (TRACE, SPAN)
    assert whole.parent.is_remote
    assert whole.parent.trace_state["congo"] == "t61rcWkgMzE"


def test_a_client_that_does_not_sample_is_not_recorded(told: Told) -> None:
    told.observer.observe(ROW, traced(traceparent=f"00-{TRACE}-{SPAN}-00"), RESPONSE)
    assert told.spans_to.get_finished_spans() == ()


@pytest.mark.parametrize("header", ["", "nonsense", f"00-{'0' * 32}-{SPAN}-01", f"ff-{TRACE}-{SPAN}-01"])
def test_a_traceparent_that_is_none_begins_a_trace(told: Told, header: str) -> None:
    whole, _ = told(ROW, traced(traceparent=header))
    assert whole.parent is None


def test_a_program_in_a_span_of_its_own_is_the_parent(told: Told) -> None:
    span = told.tracers.get_tracer("program").start_span("work")
    with use_span(span):
        whole, _ = told(ROW)
    assert whole.parent == span.get_span_context()


# ── content ──

CONVERSATION = Chat(
    model="smart",
    messages=(
        system("Be brief."),
        Message(role="developer", content=(Text(text="In English."),)),
        user("What is this?", Image(data=b"12345", media_type="image/png"), Image(url="https://x.test/a.png")),
        assistant(Thinking(text="Look."), ToolCall(id="c1", name="look", arguments='{"at": 1}')),
        Message(role="user", content=(ToolResult(call_id="c1", content=(Text(text="A cat."),)), Text(text="So?"))),
        system("Now hurry."),
    ),
    tools=(Tool(name="look", description="Looks.", parameters={"type": "object"}),),
)
ANSWER = ChatResponse(
    model="m",
    choices=(
        Choice(message=assistant("A cat."), finish_reason="stop"),
        Choice(message=assistant(ToolCall(id="c2", name="look", arguments='{"at":')), finish_reason="tool_calls"),
        Choice(message=assistant(), finish_reason="refusal"),
    ),
)


def told_content(request: Request, response: Response | None) -> dict[str, Any]:
    whole, attempts = Told(content=True)(ROW, request, response)
    assert not [name for span in attempts for name in attributes(span) if name in CONTENT]
    return {name: json.loads(value) for name, value in attributes(whole).items() if name in CONTENT}


CONTENT = ("gen_ai.system_instructions", "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions")


def test_by_default_no_word_of_prompt_and_answer_is_told(told: Told) -> None:
    whole, attempts = told(ROW, CONVERSATION, ANSWER)
    said = " ".join(span.to_json() for span in (whole, *attempts))
    for word in ("brief", "English", "this?", "cat", "Look", "look", "hurry", "x.test"):
        assert word not in said


def test_where_it_is_asked_for_the_requests_span_has_prompt_and_answer() -> None:
    assert told_content(CONVERSATION, ANSWER) == {
        "gen_ai.system_instructions": [
            {"type": "text", "content": "Be brief."},
            {"type": "text", "content": "In English."},
        ],
        "gen_ai.input.messages": [
            {
                "role": "user",
                "parts": [
                    {"type": "text", "content": "What is this?"},
                    {"type": "image", "mime_type": "image/png", "size_bytes": 5},
                    {"type": "uri", "modality": "image", "mime_type": None, "uri": "https://x.test/a.png"},
                ],
            },
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "Look."},
                    {"type": "tool_call", "id": "c1", "name": "look", "arguments": {"at": 1}},
                ],
            },
            {
                "role": "tool",
                "parts": [
                    {"type": "tool_call_response", "id": "c1", "response": [{"type": "text", "content": "A cat."}]}
                ],
            },
            {"role": "user", "parts": [{"type": "text", "content": "So?"}]},
            {"role": "system", "parts": [{"type": "text", "content": "Now hurry."}]},
        ],
        "gen_ai.tool.definitions": [
            {"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}}
        ],
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": "A cat."}], "finish_reason": "stop"},
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "id": "c2", "name": "look", "arguments": '{"at":'}],
                "finish_reason": "tool_call",
            },
            {"role": "assistant", "parts": [], "finish_reason": "content_filter"},
        ],
    }


def test_a_completion_and_texts_to_embed_are_content_too() -> None:
    answer = CompleteResponse(model="m", choices=(TextChoice(text=" upon", finish_reason="length"),))
    assert told_content(Complete(prompt="Once"), answer) == {
        "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Once"}]}],
        "gen_ai.output.messages": [
            {"role": "assistant", "parts": [{"type": "text", "content": " upon"}], "finish_reason": "length"}
        ],
    }
    assert len(told_content(Embed(texts=("a", "b")), None)["gen_ai.input.messages"]) == 2


def test_a_developers_prompt_within_a_conversation_has_the_conventions_role_and_what_is_not_there_no_attribute() -> (
    None
):
    later = replace(REQUEST, messages=(user("hi"), Message(role="developer", content=(Text(text="Be brief."),))))
    found = told_content(later, RESPONSE)
    assert [message["role"] for message in found["gen_ai.input.messages"]] == ["user", "system"]
    assert set(found) == {"gen_ai.input.messages", "gen_ai.output.messages"}


def test_a_prompt_that_was_refused_is_told_as_well() -> None:
    whole, _ = Told(content=True)(replace(ROW, outcome="refused", attempts=()), REQUEST, None)
    assert "2+2" in attributes(whole)["gen_ai.input.messages"]
    assert "gen_ai.output.messages" not in attributes(whole)


# ── metrics ──


def test_tokens_of_an_attempt_are_told_by_their_type(told: Told) -> None:
    told(ROW)
    of = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5.5",
        "gen_ai.response.model": "gpt-5.5-2026-09-01",
    }
    points = {point.attributes["gen_ai.token.type"]: point for point in told.points("gen_ai.client.token.usage")}
    assert {kind: point.sum for kind, point in points.items()} == {"input": 147, "output": 21}
    assert dict(points["input"].attributes or {}) == of | {"gen_ai.token.type": "input"}
    bounds = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
    assert tuple(points["input"].explicit_bounds) == bounds


def test_unknown_tokens_are_no_measurement(told: Told) -> None:
    told(replace(ROW, attempts=(replace(ANSWERED, usage=Usage()),)))
    assert told.points("gen_ai.client.token.usage") == []


def test_each_attempt_has_its_duration_with_its_error(told: Told) -> None:
    told(replace(ROW, attempts=(FAILED, ANSWERED)))
    failed, answered = told.points("gen_ai.client.operation.duration")
    assert dict(failed.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-opus-4-7",
        "error.type": "RateLimitError",
    }
    assert (failed.sum, answered.sum) == (0.5, 1.5)
    bounds = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
    assert tuple(failed.explicit_bounds) == bounds


def test_the_first_chunk_is_measured_in_streams_alone(told: Told) -> None:
    told(ROW)
    assert told.points("gen_ai.client.operation.time_to_first_chunk") == []
    told(replace(ROW, stream=True))
    assert [point.sum for point in told.points("gen_ai.client.operation.time_to_first_chunk")] == [0.25]


def test_what_trivet_itself_serves_is_measured_too(told: Told) -> None:
    told(replace(ROW, stream=True))
    (duration,) = told.points("gen_ai.server.request.duration")
    assert dict(duration.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "trivet",
        "gen_ai.request.model": "smart",
        "gen_ai.response.model": "openai/gpt-5.5",
    }
    assert duration.sum == 2.0
    (first,) = told.points("gen_ai.server.time_to_first_token")
    assert first.sum == 0.75
    assert tuple(first.explicit_bounds)[:3] == (0.001, 0.005, 0.01)
    (per_token,) = told.points("gen_ai.server.time_per_output_token")
    assert per_token.sum == pytest.approx((2.0 - 0.75) / 20)  # of the tokens after the first


def test_names_that_do_not_exist_are_one_label(told: Told) -> None:
    for n in range(20):
        name = f"openai/made-up-{n}"
        tried = replace(FAILED, model=name, error="UnknownModelError")
        told(replace(ROW, asked=name, model=None, outcome="failed", error="UnknownModelError", attempts=(tried,)))
    (duration,) = told.points("gen_ai.client.operation.duration")
    assert (duration.count, (duration.attributes or {})["gen_ai.request.model"]) == (20, "other")
    assert len(told.points("gen_ai.server.request.duration")) == 1


# ── the conventions' names ──


def test_every_name_is_one_of_the_conventions(told: Told) -> None:
    theirs = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI_")}
    theirs |= {value for name, value in vars(gen_ai_metrics).items() if name.startswith("GEN_AI_")}
    sampling = Sampling(temperature=0.5, top_p=0.9, top_k=4, seed=7, stop=("E",), max_tokens=9, n=2)
    full = replace(CONVERSATION, sampling=sampling, output=Output())
    ours: set[str] = set()
    for request in (full, Embed(texts=("a",), dimensions=2)):
        all_told = Told(content=True)
        whole, attempts = all_told(replace(ROW, stream=True, attempts=(FAILED, ANSWERED)), request, ANSWER)
        ours |= {name for span in (whole, *attempts) for name in attributes(span)}
        data = all_told.reader.get_metrics_data()
        assert data is not None
        metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
        ours |= {metric.name for metric in metrics}
        ours |= {name for m in metrics for point in m.data.data_points for name in point.attributes or {}}
    assert {name for name in ours if not name.startswith("trivet.")} - {"error.type"} <= theirs
    assert len([name for name in ours if name.startswith("gen_ai.")]) > 30


def test_the_version_of_the_conventions_goes_along(told: Told) -> None:
    whole, _ = told(ROW)
    assert whole.instrumentation_scope is not None
    assert whole.instrumentation_scope.schema_url == "https://opentelemetry.io/schemas/1.41.0"
