"""OpenTelemetry, by its GenAI conventions: spans and metrics of each finished request.

The conventions are those of semantic-conventions 1.41.0, the last release that has them: they are written anew, with
other names, in a repository of their own (semantic-conventions-genai), which what reads traces does not know yet.
opentelemetry.io/docs/specs/semconv/gen-ai: `gen-ai-spans`, `gen-ai-metrics` and the schemas of messages.

A request is a span, and each attempt to answer it a span below. Tokens stand on the attempts alone: who adds up spans
would count them twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trivet.ledger.contents import contents, finish_reasons
from trivet.ledger.labels import Names
from trivet.ledger.rows import AttemptRow, Row
from trivet.types import Chat, Complete, Conversation, Embed, Request, Response, Usage

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Span, Tracer

__all__ = ["SCHEMA_URL", "Spans"]

_log = logging.getLogger("trivet.ledger")

SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.0"

# `gen_ai.operation.name`; a task that is not here is called by its own name.
OPERATIONS = {"complete": "text_completion", "embed": "embeddings"}
# `gen_ai.provider.name`, where the conventions' word is not ours.
PROVIDERS = {"gemini": "gcp.gemini", "mistral": "mistral_ai", "xai": "x_ai", "azure": "azure.ai.openai"}

# Bounds of the histograms, as the conventions advise them.
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_PER_TOKEN_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKENS = tuple(4**power for power in range(14))

_Attributes = dict[str, Any]


class Spans:
    """An observer of finished requests. `tracer` and `meter` may each be None; `content` puts prompts and answers into
    the request's span. `known` says whether a name is configured, as for `Metrics`. `shut` ends what exports, where
    that is ours."""

    def __init__(
        self,
        tracer: Tracer | None,
        meter: Meter | None,
        *,
        content: bool = False,
        known: Callable[[str], bool] = lambda name: False,
        shut: tuple[Callable[[], None], ...] = (),
    ) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = tracer
        self._histograms = None if meter is None else _Histograms(meter, Names(known))
        self._content = content
        self._shut = shut
        self._propagator = TraceContextTextMapPropagator()

    def observe(self, row: Row, request: Request, response: Response | None) -> None:
        if self._tracer is not None:
            self._trace(self._tracer, row, request, response)
        if self._histograms is not None:
            self._histograms.add(row)

    def _trace(self, tracer: Tracer, row: Row, request: Request, response: Response | None) -> None:
        from opentelemetry.trace import SpanKind, set_span_in_context

        # A request that came over HTTP keeps its source.
        kind = SpanKind.INTERNAL if request.source is None else SpanKind.SERVER
        operation = OPERATIONS.get(row.task, row.task)
        span = tracer.start_span(
            f"{operation} {row.asked}",
            context=self._parent(request),
            kind=kind,
            attributes={
                "gen_ai.operation.name": operation,
                "gen_ai.provider.name": "trivet",
                "gen_ai.request.model": row.asked,
            },
            start_time=_ns(row.at),
        )
        if span.is_recording():
            asked = _asked(request)
            span.set_attributes(asked | _told(row, response))
            if self._content:
                span.set_attributes(contents(request, response))
            _failed(span, row.outcome, row.error)
            below = set_span_in_context(span)
            for attempt in row.attempts:
                _attempt(tracer, below, row, attempt, asked, response)
        span.end(_ns(row.at + row.took_s))

    def _parent(self, request: Request) -> Context:
        """The client's span (w3.org/TR/trace-context), else the one that the program is in."""
        from opentelemetry.context import get_current

        headers = request.context.headers
        return self._propagator.extract(headers) if "traceparent" in headers else get_current()

    def close(self, timeout_s: float = 5.0) -> None:
        """Sends what waits, for `timeout_s` at most; what a collector has not taken by then is lost, and the log says
        so. Providers that the program has set are its own to close. Closing twice is fine."""
        shut, self._shut = self._shut, ()
        if not shut:
            return
        # The SDK's own bounds are 30 s and more, some of which it does not keep.
        thread = threading.Thread(target=lambda: [end() for end in shut], name="trivet-spans-close", daemon=True)
        thread.start()
        thread.join(timeout_s)
        if thread.is_alive():
            _log.warning(
                "OpenTelemetry's collector has not taken the last spans and metrics within %g s: they are lost. "
                "See whether OTEL_EXPORTER_OTLP_ENDPOINT can be reached.",
                timeout_s,
            )


def _attempt(
    tracer: Tracer, below: Context, row: Row, attempt: AttemptRow, asked: _Attributes, response: Response | None
) -> None:
    from opentelemetry.trace import SpanKind

    provider, model = _whose(attempt.model)
    operation = OPERATIONS.get(row.task, row.task)
    start = row.at + attempt.began_s
    span = tracer.start_span(
        f"{operation} {model}",
        context=below,
        kind=SpanKind.INTERNAL if provider == "local" else SpanKind.CLIENT,  # in this process, or not
        attributes={
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": PROVIDERS.get(provider, provider),
            "gen_ai.request.model": model,
        },
        start_time=_ns(start),
    )
    if span.is_recording():
        said = asked | _used(attempt.usage)
        said["trivet.outcome"] = attempt.outcome
        if row.stream:
            said["gen_ai.request.stream"] = True
            _set(said, "gen_ai.response.time_to_first_chunk", attempt.first_content_s)
        _set(said, "gen_ai.response.model", attempt.said_model)
        _set(said, "gen_ai.response.id", attempt.response_id)
        if attempt.cost.usd is not None:
            said["trivet.cost.usd"] = float(attempt.cost.usd)
        if attempt.outcome == "answered" and response is not None and (reasons := finish_reasons(response)):
            said["gen_ai.response.finish_reasons"] = reasons
        span.set_attributes(said)
        _failed(span, attempt.outcome, attempt.error)
    span.end(_ns(start + attempt.took_s))


def _told(row: Row, response: Response | None) -> _Attributes:
    """What the conventions have no name for is called `trivet.…`."""
    told: _Attributes = {
        "trivet.request.id": row.id,
        "trivet.outcome": row.outcome,
        "trivet.status": row.status,
        "trivet.cache": row.cache,
    }
    if row.stream:
        told["gen_ai.request.stream"] = True
        _set(told, "gen_ai.response.time_to_first_chunk", row.first_content_s)
    _set(told, "gen_ai.response.model", row.model)
    _set(told, "gen_ai.conversation.id", row.session)
    _set(told, "trivet.key", row.key)
    cost = row.cost
    _set(told, "trivet.cost.usd", None if cost.usd is None else float(cost.usd))
    _set(told, "trivet.cost.unknown", cost.unknown)
    _set(told, "trivet.cost.source", cost.source)
    _set(told, "trivet.cost.saved_usd", None if cost.saved_usd is None else float(cost.saved_usd))
    if cost.estimate:
        told["trivet.cost.estimate"] = True
    if response is not None and (reasons := finish_reasons(response)):
        told["gen_ai.response.finish_reasons"] = reasons
    return told


def _asked(request: Request) -> _Attributes:
    """What the client has asked for; a wrapper may have asked a model for something else."""
    asked: _Attributes = {}
    if isinstance(request, Chat | Complete):
        sampling = request.sampling
        for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty", "max_tokens", "seed"):
            _set(asked, f"gen_ai.request.{name}", getattr(sampling, name))
        _set(asked, "gen_ai.request.top_k", None if sampling.top_k is None else float(sampling.top_k))  # 1.41: a double
        if sampling.stop:
            asked["gen_ai.request.stop_sequences"] = sampling.stop
        if sampling.n != 1:
            asked["gen_ai.request.choice.count"] = sampling.n
    if isinstance(request, Conversation) and request.output is not None:
        asked["gen_ai.output.type"] = "json"
    if isinstance(request, Embed):
        _set(asked, "gen_ai.embeddings.dimension.count", request.dimensions)
    return asked


def _used(usage: Usage) -> _Attributes:
    """`input_tokens` is the whole prompt, cached tokens included. What is unknown is left out."""
    used: _Attributes = {}
    _set(used, "gen_ai.usage.input_tokens", usage.input_tokens)
    _set(used, "gen_ai.usage.cache_read.input_tokens", usage.cache_read_tokens)
    _set(used, "gen_ai.usage.cache_creation.input_tokens", usage.cache_write_tokens)
    _set(used, "gen_ai.usage.output_tokens", usage.output_tokens)
    _set(used, "gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens)
    return used


def _failed(span: Span, outcome: str, error: str | None) -> None:
    """The class of the error, never its message, which may quote the prompt. Who leaves has not met an error."""
    from opentelemetry.trace import Status, StatusCode

    if outcome in ("failed", "refused"):
        span.set_attribute("error.type", error or "_OTHER")
        span.set_status(Status(StatusCode.ERROR, error))


def _set(attributes: _Attributes, name: str, value: Any) -> None:
    if value is not None:
        attributes[name] = value


def _whose(name: str) -> tuple[str, str]:
    """`openai/gpt-5.5`: whose it is, and what it is called there."""
    provider, slash, model = name.partition("/")
    return (provider, model) if slash else ("trivet", name)


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


class _Histograms:
    """`gen_ai.client.…` is of each attempt, `gen_ai.server.…` of each request."""

    def __init__(self, meter: Meter, names: Names) -> None:
        def histogram(name: str, unit: str, what: str, bounds: tuple[float, ...]) -> Any:
            return meter.create_histogram(
                f"gen_ai.{name}", unit=unit, description=what, explicit_bucket_boundaries_advisory=bounds
            )

        self._names = names
        self._duration = histogram("client.operation.duration", "s", "GenAI operation duration.", _SECONDS)
        self._tokens = histogram("client.token.usage", "{token}", "Number of input and output tokens used.", _TOKENS)
        self._first = histogram(
            "client.operation.time_to_first_chunk", "s", "Time to receive the first chunk.", _SECONDS
        )
        self._served = histogram("server.request.duration", "s", "Generative AI server request duration.", _SECONDS)
        self._served_first = histogram(
            "server.time_to_first_token", "s", "Time to generate first token for successful responses.", _FIRST_S
        )
        self._per_token = histogram(
            "server.time_per_output_token", "s", "Time per output token after the first.", _PER_TOKEN_S
        )

    def add(self, row: Row) -> None:
        operation = OPERATIONS.get(row.task, row.task)
        for attempt in row.attempts:
            self._add_attempt(operation, row.stream, attempt)
        answered = row.outcome == "answered"
        of: _Attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "trivet",
            "gen_ai.request.model": self._names.label(row.asked, answered=answered),
        }
        if row.model is not None:
            of["gen_ai.response.model"] = self._names.label(row.model, answered=answered)
        if answered and row.first_content_s is not None:
            self._served_first.record(row.first_content_s, of)
            tokens = row.usage.output_tokens
            if row.stream and tokens is not None and tokens > 1:
                self._per_token.record((row.took_s - row.first_content_s) / (tokens - 1), of)
        self._served.record(row.took_s, _with_error(of, row.outcome, row.error))

    def _add_attempt(self, operation: str, stream: bool, attempt: AttemptRow) -> None:
        answered = attempt.outcome == "answered"
        provider, model = _whose(self._names.label(attempt.model, answered=answered))
        of: _Attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": PROVIDERS.get(provider, provider),
            "gen_ai.request.model": model,
        }
        if answered and attempt.said_model is not None:
            of["gen_ai.response.model"] = self._names.label(attempt.said_model, answered=True)
        self._duration.record(attempt.took_s, _with_error(of, attempt.outcome, attempt.error))
        usage = attempt.usage
        for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            if tokens is not None:
                self._tokens.record(tokens, of | {"gen_ai.token.type": kind})
        if stream and attempt.first_content_s is not None:
            self._first.record(attempt.first_content_s, of)


def _with_error(attributes: _Attributes, outcome: str, error: str | None) -> _Attributes:
    return {**attributes, "error.type": error or "_OTHER"} if outcome in ("failed", "refused") else attributes
