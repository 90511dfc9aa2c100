"""Numbers for Prometheus: what was asked, what it took and cost, and how the ledger is.

`observe` only counts, in plain numbers; `prometheus_client` is imported by the first scrape, which gives them their
format. (Its own counters take a lock for each number: 15 of them for a request.)
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from trivet.ledger.labels import OTHER, Names
from trivet.ledger.rows import Row
from trivet.types import Request, Response, Usage

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

__all__ = ["Metrics"]

_log = logging.getLogger("trivet.ledger")

# Bounds in seconds. Below 0.1 are embedded models, and answers from trivet's own cache.
FIRST_CONTENT_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0)
TOTAL_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_LABELS = ("asked", "model", "task", "outcome", "key")
_Labels = tuple[str, str, str, str, str]


class _Histogram:
    __slots__ = ("bounds", "buckets", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.buckets[bisect_left(self.bounds, value)] += 1  # a bound belongs to its own bucket
        self.total += value


class _Counts:
    """The numbers of one set of labels. `usd` is None until a cost is known: 0 would say that it costs nothing."""

    __slots__ = (
        "audio_s",
        "cache_read",
        "cache_write",
        "fallbacks",
        "first",
        "hits",
        "output",
        "reasoning",
        "requests",
        "saved_usd",
        "took",
        "uncached",
        "unpriced",
        "unsplit",
        "usd",
    )

    def __init__(self, took: _Histogram, first: _Histogram) -> None:
        self.took = took
        self.first = first
        self.requests = self.fallbacks = self.hits = self.unpriced = 0
        self.uncached = self.cache_read = self.cache_write = self.unsplit = self.output = self.reasoning = 0
        self.audio_s = 0.0
        self.usd: Decimal | None = None
        self.saved_usd: Decimal | None = None

    def add(self, row: Row) -> None:
        self.requests += 1
        self.took.add(row.took_s)
        if row.first_content_s is not None:
            self.first.add(row.first_content_s)
        self.add_usage(row.usage)
        cost = row.cost
        if cost.usd is not None:
            self.usd = cost.usd if self.usd is None else self.usd + cost.usd
        elif row.attempts:  # where nobody was asked, there is nothing to know
            self.unpriced += 1
        if cost.saved_usd is not None:
            self.saved_usd = cost.saved_usd if self.saved_usd is None else self.saved_usd + cost.saved_usd
        if row.cache == "hit":
            self.hits += 1
        if row.audio_s is not None:
            self.audio_s += row.audio_s
        if row.model is not None and row.attempts and row.attempts[0].model != row.model:
            self.fallbacks += 1

    def add_usage(self, usage: Usage) -> None:
        if usage.uncached_input_tokens:
            self.uncached += usage.uncached_input_tokens
        if usage.cache_read_tokens:
            self.cache_read += usage.cache_read_tokens
        if usage.cache_write_tokens:
            self.cache_write += usage.cache_write_tokens
        if usage.output_tokens:
            self.output += usage.output_tokens
        if usage.reasoning_tokens:
            self.reasoning += usage.reasoning_tokens
        if usage.prompt_tokens and usage.uncached_input_tokens is None:
            self.unsplit += usage.prompt_tokens


class _Watched:
    __slots__ = ("kind", "name", "read", "what")

    def __init__(self, name: str, what: str, read: Callable[[], float], kind: Literal["gauge", "counter"]) -> None:
        self.name = name
        self.what = what
        self.read = read
        self.kind = kind


class Metrics:
    """An observer of finished requests.

    `known` says whether a name is configured. A client may ask for any name at a host: those that are not configured
    and have not answered either are counted under `other`, as is everything once there are `max_label_sets`.
    """

    def __init__(self, *, known: Callable[[str], bool] = lambda name: False, max_label_sets: int = 1_000) -> None:
        self._names = Names(known, max_label_sets)
        self._most = max_label_sets
        self._lock = threading.Lock()
        self._counts: dict[_Labels, _Counts] = {}
        self._took: dict[tuple[str, str, str, str], _Histogram] = {}
        self._first: dict[tuple[str, str, str], _Histogram] = {}
        self._attempts: dict[tuple[str, str, str], int] = {}
        self._watched: list[_Watched] = []
        self._registry: CollectorRegistry | None = None

    def watch(
        self, name: str, what: str, read: Callable[[], float], kind: Literal["gauge", "counter"] = "gauge"
    ) -> None:
        """Shows what `read` says at each scrape. A counter's `name` has no `_total`, which comes by itself."""
        self._watched.append(_Watched(name, what, read, kind))

    def observe(self, row: Row, request: Request, response: Response | None) -> None:
        labels = (row.asked, row.model or "", row.task, row.outcome, row.key or "")
        with self._lock:
            counts = self._counts.get(labels)
            if counts is None:
                counts = self._counts_of(labels, answered=row.outcome == "answered")
            counts.add(row)
            for attempt in row.attempts:
                asked: tuple[str, str, str] = (attempt.model, attempt.outcome, attempt.error or "")
                if asked not in self._attempts:
                    asked = self._attempt_of(*asked)
                self._attempts[asked] += 1

    def _counts_of(self, labels: _Labels, *, answered: bool) -> _Counts:
        asked, model, task, outcome, key = labels
        name = self._names.label
        labels = (name(asked, answered=answered), model and name(model, answered=answered), task, outcome, key)
        if labels not in self._counts and len(self._counts) >= self._most:
            labels = (OTHER, OTHER, task, outcome, OTHER)
        if labels not in self._counts:
            asked, model, *_ = labels
            took = self._took.setdefault((asked, model, task, outcome), _Histogram(TOTAL_S))
            first = self._first.setdefault((asked, model, task), _Histogram(FIRST_CONTENT_S))
            self._counts[labels] = _Counts(took, first)
        return self._counts[labels]

    def _attempt_of(self, model: str, outcome: str, error: str) -> tuple[str, str, str]:
        labels = (self._names.label(model, answered=outcome == "answered"), outcome, error)
        if labels not in self._attempts and len(self._attempts) >= self._most:
            labels = (OTHER, outcome, OTHER)
        self._attempts.setdefault(labels, 0)
        return labels

    def render(self, accept: bytes = b"") -> tuple[bytes, bytes]:
        """A content type and a body, in the format that an `Accept` header asks for: OpenMetrics, or Prometheus's
        older one. Any thread may call it."""
        from prometheus_client import CollectorRegistry, ProcessCollector
        from prometheus_client.exposition import choose_encoder

        if self._registry is None:
            self._registry = CollectorRegistry(auto_describe=False)
            ProcessCollector(registry=self._registry)
            self._registry.register(self)
        try:
            encode, content_type = choose_encoder(accept.decode("latin-1"))
        except (ValueError, TypeError):  # a version that is none: the library compares letters with numbers
            encode, content_type = choose_encoder("")
        return content_type.encode(), encode(self._registry)

    def text(self) -> bytes:
        """The body in Prometheus's older format."""
        return self.render()[1]

    def collect(self) -> Iterator[Metric]:
        """What `prometheus_client` asks its collectors."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        with self._lock:
            counts = dict(self._counts)
            attempts = dict(self._attempts)
            took, first = dict(self._took), dict(self._first)
        yield from _counted(counts)
        yield _tokens(counts)
        yield _asked(attempts)
        yield _timed(
            "trivet_request_seconds",
            "Seconds from a request's beginning to its end.",
            ("asked", "model", "task", "outcome"),
            took,
        )
        yield _timed(
            "trivet_first_content_seconds",
            "Seconds to the first content of an answer.",
            ("asked", "model", "task"),
            first,
        )
        for watched in self._watched:
            family = (GaugeMetricFamily if watched.kind == "gauge" else CounterMetricFamily)(watched.name, watched.what)
            try:
                family.add_metric((), watched.read())
            except Exception:
                _log.exception("%s could not be read: it is missing from this scrape of /metrics", watched.name)
            else:
                yield family


def _counted(counts: dict[_Labels, _Counts]) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    for name, what, read in _COUNTERS:
        counter = CounterMetricFamily(f"trivet_{name}", what, labels=_LABELS)
        for labels, of in counts.items():
            if (value := read(of)) is not None:
                counter.add_metric(labels, float(value))
        yield counter
    # No counter: it falls where a cache's writes have cost more than its reads have spared.
    saved = GaugeMetricFamily("trivet_prompt_cache_saved_usd", "USD that prompt caches have spared.", labels=_LABELS)
    for labels, of in counts.items():
        if of.saved_usd is not None:
            saved.add_metric(labels, float(of.saved_usd))
    yield saved


# None: nothing to say of it. What never happened is left out, but for the requests themselves.
_COUNTERS: tuple[tuple[str, str, Callable[[_Counts], float | Decimal | None]], ...] = (
    ("requests", "Finished requests.", lambda of: of.requests),
    ("cost_usd", "USD that requests have cost, as far as it is known.", lambda of: of.usd),
    ("unknown_cost_requests", "Requests whose cost is not known.", lambda of: of.unpriced or None),
    ("response_cache_hits", "Requests answered from trivet's own cache of answers.", lambda of: of.hits or None),
    ("fallbacks", "Requests that another model answered than the first asked.", lambda of: of.fallbacks or None),
    ("reasoning_tokens", "Tokens of the output that were thoughts.", lambda of: of.reasoning or None),
    ("audio_seconds", "Seconds of audio.", lambda of: of.audio_s or None),
)
# Disjoint, so that they may be added up; `input` is a prompt of which nobody has said what came from a cache.
_KINDS: tuple[tuple[str, Callable[[_Counts], int]], ...] = (
    ("uncached", lambda of: of.uncached),
    ("cache_read", lambda of: of.cache_read),
    ("cache_write", lambda of: of.cache_write),
    ("input", lambda of: of.unsplit),
    ("output", lambda of: of.output),
)


def _tokens(counts: dict[_Labels, _Counts]) -> Metric:
    from prometheus_client.metrics_core import CounterMetricFamily

    family = CounterMetricFamily("trivet_tokens", "Tokens, as far as they are known.", labels=(*_LABELS, "kind"))
    for kind, read in _KINDS:
        for labels, of in counts.items():
            if value := read(of):
                family.add_metric((*labels, kind), value)
    return family


def _asked(attempts: dict[tuple[str, str, str], int]) -> Metric:
    from prometheus_client.metrics_core import CounterMetricFamily

    family = CounterMetricFamily(
        "trivet_attempts", "Times that a model was asked.", labels=("model", "outcome", "error")
    )
    for labels, value in attempts.items():
        family.add_metric(labels, value)
    return family


def _timed(name: str, what: str, labels: tuple[str, ...], histograms: Mapping[Any, _Histogram]) -> Metric:
    from prometheus_client.metrics_core import HistogramMetricFamily

    family = HistogramMetricFamily(name, what, labels=labels)
    for of, histogram in histograms.items():
        if not any(histogram.buckets):
            continue
        bounds = [*(str(bound) for bound in histogram.bounds), "+Inf"]
        family.add_metric(of, list(zip(bounds, accumulate(histogram.buckets), strict=True)), histogram.total)
    return family
