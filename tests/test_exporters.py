"""Where OpenTelemetry's spans and metrics go: real processes, and a collector that listens."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

# What every script begins with: one finished request, and what the log says on stderr.
PREAMBLE = """
import json, logging, sys
logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
from trivet.ledger.exporters import spans
from trivet.ledger.rows import AttemptRow, Row
from trivet.ledger.settings import TelemetrySettings
from trivet.types import Chat, user
attempt = AttemptRow(model="openai/gpt-5.5", outcome="answered", began_s=0.0, took_s=1.0)
row = Row(id="r", at=1.79e9, task="chat", asked="smart", outcome="answered", took_s=1.0, attempts=(attempt,))
request = Chat(model="smart", messages=(user("hi"),))
"""
SERVE = PREAMBLE + "observer = spans(TelemetrySettings(), serving=True)\n"
SEND = SERVE + "observer.observe(row, request, None); observer.close(); observer.close()\n"


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: a global provider is set once in each."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=bare | environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done


class Collector(ThreadingHTTPServer):
    """A collector of OTLP over HTTP: what was posted, by its path."""

    def __init__(self) -> None:
        self.posted: dict[str, bytes] = {}
        super().__init__(("127.0.0.1", 0), _Post)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Post(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.posted[self.path] = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_an_endpoint_in_the_environment_gets_spans_and_metrics(collector: Collector) -> None:
    done = run(SEND, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    assert done.stderr == ""
    (spans,) = ExportTraceServiceRequest.FromString(collector.posted["/v1/traces"]).resource_spans
    assert [span.name for span in spans.scope_spans[0].spans] == ["chat gpt-5.5", "chat smart"]
    assert spans.scope_spans[0].schema_url == "https://opentelemetry.io/schemas/1.41.0"
    assert ("service.name", "trivet") in [(a.key, a.value.string_value) for a in spans.resource.attributes]
    (metrics,) = ExportMetricsServiceRequest.FromString(collector.posted["/v1/metrics"]).resource_metrics
    assert "gen_ai.client.operation.duration" in [metric.name for metric in metrics.scope_metrics[0].metrics]


def test_the_environment_names_the_service(collector: Collector) -> None:
    run(SEND, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_SERVICE_NAME="gateway", OTEL_METRICS_EXPORTER="none")
    (spans,) = ExportTraceServiceRequest.FromString(collector.posted["/v1/traces"]).resource_spans
    assert ("service.name", "gateway") in [(a.key, a.value.string_value) for a in spans.resource.attributes]
    assert "/v1/metrics" not in collector.posted


def test_the_console_is_an_exporter_too() -> None:
    done = run(SEND, OTEL_TRACES_EXPORTER="console")
    assert '"name": "chat smart"' in done.stdout
    assert done.stderr == ""


def test_a_collector_that_does_not_answer_does_not_hold_up_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # takes connections, and says nothing
        done = run(
            SERVE + "observer.observe(row, request, None)\nobserver.close(timeout_s=0.2)\n",
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{mute.getsockname()[1]}",
        )
    assert "has not taken the last spans and metrics within 0.2 s: they are lost" in done.stderr
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in done.stderr


NONE = "print(json.dumps([observer is None, 'opentelemetry' in sys.modules]))"


@pytest.mark.parametrize("environment", [{}, {"OTEL_TRACES_EXPORTER": "none", "OTEL_SERVICE_NAME": "x"}])
def test_where_nobody_listens_there_is_no_observer_and_nothing_is_imported(environment: dict[str, str]) -> None:
    assert json.loads(run(SERVE + NONE, **environment).stdout) == [True, False]


def test_an_sdk_that_is_disabled_is_not_set_up(collector: Collector) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SDK_DISABLED": "true"}
    assert json.loads(run(SERVE + NONE, **environment).stdout) == [True, False]


def test_in_a_program_of_ones_own_the_environment_sets_up_nothing(collector: Collector) -> None:
    script = PREAMBLE + "observer = spans(TelemetrySettings())\n" + NONE
    assert json.loads(run(script, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url).stdout) == [True, False]


def test_a_provider_that_the_program_has_set_is_used_and_left_open() -> None:
    script = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
kept, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(kept))
trace.set_tracer_provider(provider)
observer = spans(TelemetrySettings())
observer.observe(row, request, None)
observer.close()
provider.get_tracer("program").start_span("after").end()
print(json.dumps([span.name for span in kept.get_finished_spans()]))
"""
    assert json.loads(run(PREAMBLE + script).stdout) == ["chat gpt-5.5", "chat smart", "after"]


def test_the_api_alone_listens_to_nothing() -> None:
    """Other libraries import it: the official client of Anthropic does."""
    script = "import opentelemetry.trace, opentelemetry.metrics\nobserver = spans(TelemetrySettings())\n"
    assert json.loads(run(PREAMBLE + script + NONE).stdout) == [True, True]


@pytest.mark.parametrize("missing", ["opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter"])
def test_an_endpoint_without_the_extra_is_told_with_the_command_that_mends_it(missing: str) -> None:
    hidden = f"import sys; sys.modules[{missing!r}] = None  # as where it is not installed\n"
    done = run(hidden + SERVE + "print(observer)", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")
    assert done.stdout == "None\n"
    assert 'Install it with `pip install "trivet[otel]"`' in done.stderr


def test_a_protocol_that_trivet_does_not_speak_is_told() -> None:
    done = run(
        SERVE + "print(observer)",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4317",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
    )
    assert done.stdout == "None\n"
    assert "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc', and trivet speaks http/protobuf: it sends no traces." in done.stderr
    assert "it sends no metrics." in done.stderr


def test_an_exporter_that_trivet_has_not_is_told() -> None:
    done = run(SERVE + "print(observer)", OTEL_TRACES_EXPORTER="zipkin")
    assert "OTEL_TRACES_EXPORTER is 'zipkin', and trivet has otlp, console and none: it sends no traces." in done.stderr


def test_import_trivet_imports_neither_library() -> None:
    script = """
import sys, trivet
trivet.Config, trivet.Runtime, trivet.Chat
import trivet.ledger.spans, trivet.ledger.exporters, trivet.ledger.metrics
print({"opentelemetry", "prometheus_client"} & set(sys.modules))
"""
    assert run(script).stdout == "set()\n"
