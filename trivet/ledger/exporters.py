"""Where OpenTelemetry's spans and metrics go: to what the program has set up, or as the environment says."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from trivet.ledger.settings import TelemetrySettings
from trivet.ledger.spans import SCHEMA_URL, Spans

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.trace import TracerProvider

__all__ = ["spans"]

_log = logging.getLogger("trivet.ledger")

_Signal = Literal["TRACES", "METRICS"]
_SIGNALS: tuple[_Signal, ...] = ("TRACES", "METRICS")


def spans(
    settings: TelemetrySettings, *, known: Callable[[str], bool] = lambda name: False, serving: bool = False
) -> Spans | None:
    """An observer that reports to OpenTelemetry, or None where nobody listens; then it costs nothing, and is not
    imported either.

    A program listens that has set a global provider before. `serving` says that the program is trivet's own: then the
    environment decides (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER and the others of
    opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables). Where it asks for what cannot be had,
    the log says so, and trivet goes on without."""
    if _said("OTEL_SDK_DISABLED") == "true":
        return None
    asked = {signal: _exporter(signal) for signal in _SIGNALS} if serving else {}
    if not any(asked.values()) and not {"opentelemetry.trace", "opentelemetry.metrics"} & set(sys.modules):
        return None
    try:
        from opentelemetry import metrics, trace
    except ImportError:
        _missing()
        return None
    tracers: Any = trace.get_tracer_provider()
    meters: Any = metrics.get_meter_provider()
    shut: list[Callable[[], None]] = []
    try:
        if not _listens(tracers):
            tracers = _tracers(exporter, shut) if (exporter := asked.get("TRACES")) else None
        if not _listens(meters):
            meters = _meters(exporter, shut) if (exporter := asked.get("METRICS")) else None
    except ImportError:
        _missing()
        return None
    if tracers is None and meters is None:
        return None
    from trivet import __version__

    return Spans(
        None if tracers is None else tracers.get_tracer("trivet", __version__, schema_url=SCHEMA_URL),
        None if meters is None else meters.get_meter("trivet", __version__, schema_url=SCHEMA_URL),
        content=settings.content,
        known=known,
        shut=tuple(shut),
    )


def _listens(provider: object) -> bool:
    """Whether somebody has set it: what the API itself has in its place does nothing."""
    module = type(provider).__module__
    return provider is not None and not module.startswith(("opentelemetry.trace", "opentelemetry.metrics"))


def _said(variable: str) -> str:
    return os.environ.get(variable, "").strip().lower()


def _exporter(signal: _Signal) -> Literal["otlp", "console"] | None:
    """What the environment asks for, None where it does not, or for what trivet has not."""
    variable = f"OTEL_{signal}_EXPORTER"
    name = _said(variable)
    endpoint = _said("OTEL_EXPORTER_OTLP_ENDPOINT") or _said(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    if name == "none" or not (name or endpoint):
        return None
    if name == "console":
        return "console"
    if name not in ("", "otlp"):
        _log.warning("%s is %r, and trivet has otlp, console and none: it sends no %s.", variable, name, signal.lower())
        return None
    protocol = _said(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or _said("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in ("", "http/protobuf"):
        _log.warning(
            "OTEL_EXPORTER_OTLP_PROTOCOL is %r, and trivet speaks http/protobuf: it sends no %s. Set it to that, and "
            "OTEL_EXPORTER_OTLP_ENDPOINT to the collector's port for it (usually 4318).",
            protocol,
            signal.lower(),
        )
        return None
    return "otlp"


def _missing() -> None:
    _log.warning(
        "The environment asks for OpenTelemetry, which is not installed: nothing is sent. "
        'Install it with `pip install "trivet[otel]"`, or set OTEL_SDK_DISABLED=true.'
    )


def _tracers(exporter: str, shut: list[Callable[[], None]]) -> TracerProvider:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

    to: SpanExporter = ConsoleSpanExporter()
    if exporter == "otlp":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        to = OTLPSpanExporter()
    # `Spans.close` ends it, within a bound; at the interpreter's exit it would wait for a collector that is not there.
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(to))
    shut.append(provider.shutdown)
    return provider


def _meters(exporter: str, shut: list[Callable[[], None]]) -> MeterProvider:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter, PeriodicExportingMetricReader

    to: MetricExporter = ConsoleMetricExporter()
    if exporter == "otlp":
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        to = OTLPMetricExporter()
    provider = MeterProvider([PeriodicExportingMetricReader(to)], resource=_resource(), shutdown_on_exit=False)
    shut.append(provider.shutdown)
    return provider


def _resource() -> Resource:
    """The environment's attributes (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES); the service is `trivet` where it
    says no other."""
    from opentelemetry.sdk.resources import Resource

    named = _said("OTEL_SERVICE_NAME") or "service.name=" in _said("OTEL_RESOURCE_ATTRIBUTES")
    return Resource.create({} if named else {"service.name": "trivet"})
