"""What Prometheus reads: counted from rows, parsed back by Prometheus's own parser."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from trivet.ledger.metrics import FIRST_CONTENT_S, TOTAL_S, Metrics
from trivet.ledger.rows import AttemptRow, Row
from trivet.types import Chat, Cost, Usage, replace, user

REQUEST = Chat(messages=(user("hi"),))
ANSWERED = AttemptRow(model="openai/gpt-5.5", outcome="answered", began_s=0.0, took_s=1.5)
ROW = Row(
    id="r1",
    at=1_790_000_000.0,
    task="chat",
    asked="smart",
    model="openai/gpt-5.5",
    key="team",
    outcome="answered",
    took_s=1.5,
    first_content_s=0.4,
    usage=Usage(
        uncached_input_tokens=100, cache_read_tokens=40, cache_write_tokens=7, output_tokens=20, reasoning_tokens=5
    ),
    cost=Cost(usd=Decimal("0.0015"), saved_usd=Decimal("-0.0001")),
    attempts=(ANSWERED,),
)
LABELS = {"asked": "smart", "model": "openai/gpt-5.5", "task": "chat", "outcome": "answered", "key": "team"}


def metrics(*rows: Row, configured: tuple[str, ...] = ("smart", "openai/gpt-5.5"), most: int = 1_000) -> Metrics:
    found = Metrics(known=lambda name: name in configured, max_label_sets=most)
    for row in rows:
        found.observe(row, REQUEST, None)
    return found


def samples(of: Metrics, name: str) -> list[tuple[dict[str, str], float]]:
    """Labels and value of each sample of this name."""
    families = parser.text_string_to_metric_families(of.text().decode())
    return [(s.labels, s.value) for family in families for s in family.samples if s.name == name]


def value(of: Metrics, name: str, **labels: str) -> float | None:
    """The one sample that has these labels, None where there is none."""
    found = [value for has, value in samples(of, name) if labels.items() <= has.items()]
    assert len(found) <= 1
    return found[0] if found else None


def test_requests_are_counted_by_name_model_task_outcome_and_key() -> None:
    assert samples(metrics(ROW, ROW), "trivet_requests_total") == [(LABELS, 2.0)]


def test_a_request_without_a_key_has_an_empty_label() -> None:
    assert value(metrics(replace(ROW, key=None)), "trivet_requests_total", key="") == 1


def test_kinds_of_tokens_are_disjoint_and_thoughts_are_counted_apart() -> None:
    of = metrics(ROW)
    kinds = {labels["kind"]: value for labels, value in samples(of, "trivet_tokens_total")}
    assert kinds == {"uncached": 100, "cache_read": 40, "cache_write": 7, "output": 20}
    assert samples(of, "trivet_reasoning_tokens_total") == [(LABELS, 5)]


def test_a_prompt_of_which_nobody_says_what_was_cached_is_input() -> None:
    of = metrics(replace(ROW, usage=Usage(prompt_tokens=90, output_tokens=3)))
    assert {labels["kind"]: value for labels, value in samples(of, "trivet_tokens_total")} == {"input": 90, "output": 3}


def test_unknown_tokens_are_no_sample() -> None:
    assert samples(metrics(replace(ROW, usage=Usage())), "trivet_tokens_total") == []


def test_costs_add_up_exactly() -> None:
    of = metrics(*[replace(ROW, cost=Cost(usd=Decimal("0.1")))] * 10)
    assert samples(of, "trivet_cost_usd_total") == [(LABELS, 1.0)]  # ten times the float 0.1 is 0.9999999999999999


def test_a_cost_of_zero_is_told_and_an_unknown_cost_is_counted_apart() -> None:
    free = metrics(replace(ROW, cost=Cost(usd=Decimal())))
    assert value(free, "trivet_cost_usd_total") == 0
    assert value(free, "trivet_unknown_cost_requests_total") is None
    unknown = metrics(replace(ROW, cost=Cost(unknown="no price is known for openai/gpt-5.5")))
    assert value(unknown, "trivet_cost_usd_total") is None
    assert value(unknown, "trivet_unknown_cost_requests_total") == 1


def test_where_nobody_was_asked_no_cost_is_unknown() -> None:
    refused = replace(ROW, outcome="refused", model=None, attempts=(), cost=Cost(), usage=Usage(), error="BudgetError")
    assert value(metrics(refused), "trivet_unknown_cost_requests_total") is None


def test_what_prompt_caches_spare_may_be_less_than_nothing() -> None:
    assert value(metrics(ROW, ROW), "trivet_prompt_cache_saved_usd") == pytest.approx(-0.0002)


def test_hits_of_the_response_cache_are_counted() -> None:
    of = metrics(ROW, replace(ROW, cache="hit", attempts=()), replace(ROW, cache="stored"))
    assert value(of, "trivet_response_cache_hits_total") == 1


def test_attempts_are_counted_by_model_outcome_and_error() -> None:
    failed = AttemptRow(model="smart-a", outcome="failed", began_s=0.0, took_s=0.1, error="OverloadedError")
    of = metrics(replace(ROW, attempts=(failed, failed, ANSWERED)), configured=("smart", "smart-a"))
    assert samples(of, "trivet_attempts_total") == [
        ({"model": "smart-a", "outcome": "failed", "error": "OverloadedError"}, 2),
        ({"model": "openai/gpt-5.5", "outcome": "answered", "error": ""}, 1),
    ]
    assert value(of, "trivet_fallbacks_total") == 1


def test_a_retry_of_the_same_model_is_no_fallback() -> None:
    again = AttemptRow(model=ANSWERED.model, outcome="failed", began_s=0.0, took_s=0.1, error="TransportError")
    assert value(metrics(replace(ROW, attempts=(again, ANSWERED))), "trivet_fallbacks_total") is None


def test_seconds_of_audio_are_added_up() -> None:
    assert value(metrics(replace(ROW, audio_s=1.5), replace(ROW, audio_s=2.0)), "trivet_audio_seconds_total") == 3.5


@given(
    st.lists(st.one_of(st.sampled_from(TOTAL_S), st.floats(0, 2_000, allow_nan=False)), min_size=1),
)
def test_a_histogram_has_each_time_in_every_bucket_whose_bound_it_does_not_pass(times: list[float]) -> None:
    of = metrics(*(replace(ROW, took_s=time, first_content_s=None) for time in times))
    buckets = {labels["le"]: value for labels, value in samples(of, "trivet_request_seconds_bucket")}
    assert buckets == {
        **{str(bound): sum(time <= bound for time in times) for bound in TOTAL_S},
        "+Inf": len(times),
    }
    assert value(of, "trivet_request_seconds_count") == len(times)
    assert value(of, "trivet_request_seconds_sum") == pytest.approx(sum(times))
    assert samples(of, "trivet_first_content_seconds_bucket") == []


def test_the_first_content_has_a_histogram_of_its_own() -> None:
    of = metrics(ROW)
    labels = {"asked": "smart", "model": "openai/gpt-5.5", "task": "chat"}
    assert samples(of, "trivet_first_content_seconds_sum") == [(labels, 0.4)]
    assert len(samples(of, "trivet_first_content_seconds_bucket")) == len(FIRST_CONTENT_S) + 1


# ── labels are bounded ──


def failed(name: str) -> Row:
    tried = AttemptRow(model=name, outcome="failed", began_s=0.0, took_s=0.1, error="UnknownModelError")
    return replace(ROW, asked=name, model=None, outcome="failed", attempts=(tried,), error="UnknownModelError")


def test_names_that_nobody_has_configured_and_that_do_not_answer_are_one_label() -> None:
    of = metrics(*(failed(f"openai/made-up-{n}") for n in range(50)))
    assert value(of, "trivet_requests_total", asked="other", model="", outcome="failed") == 50
    assert samples(of, "trivet_attempts_total") == [
        ({"model": "other", "outcome": "failed", "error": "UnknownModelError"}, 50)
    ]
    assert b"made-up" not in of.text()


def test_a_configured_name_that_fails_has_its_label() -> None:
    of = metrics(failed("openai/gpt-5.5"))
    assert value(of, "trivet_requests_total", asked="openai/gpt-5.5", outcome="failed") == 1
    assert value(of, "trivet_attempts_total", model="openai/gpt-5.5") == 1


def test_a_name_that_has_answered_once_has_its_label_when_it_fails() -> None:
    of = metrics(replace(ROW, asked="openai/new"), failed("openai/new"))
    assert value(of, "trivet_requests_total", asked="openai/new", outcome="failed") == 1


def test_past_the_cap_label_sets_are_one_and_none_is_lost() -> None:
    of = metrics(*(replace(ROW, key=f"key-{n}") for n in range(30)), ROW, most=10)
    found = samples(of, "trivet_requests_total")
    assert len(found) == 11
    assert sum(value for _, value in found) == 31
    assert value(of, "trivet_requests_total", asked="other", model="other", key="other") == 21


def test_past_the_cap_a_host_that_answers_to_any_name_adds_none() -> None:
    of = metrics(
        *(
            replace(ROW, asked=name, model=name, attempts=(replace(ANSWERED, model=name),))
            for name in (f"vllm/{n}" for n in range(30))
        ),
        most=10,
    )
    assert len(samples(of, "trivet_requests_total")) == 11
    assert len(samples(of, "trivet_attempts_total")) == 11
    assert sum(value for _, value in samples(of, "trivet_attempts_total")) == 30


def test_past_the_cap_errors_of_one_model_are_counted_together() -> None:
    tries = tuple(
        AttemptRow(model="smart", outcome="failed", began_s=0.0, took_s=0.1, error=f"E{n}") for n in range(30)
    )
    of = metrics(replace(ROW, attempts=tries), most=10)
    assert len(samples(of, "trivet_attempts_total")) == 11
    assert value(of, "trivet_attempts_total", model="other", outcome="failed", error="other") == 20


def test_threads_that_count_while_another_scrapes_lose_nothing() -> None:
    of, rows, usual = metrics(), [replace(ROW, key=f"key-{n}") for n in range(500)], sys.getswitchinterval()
    together = threading.Barrier(4)

    def count() -> None:
        for row in rows:
            together.wait()
            of.observe(row, REQUEST, None)

    threads = [threading.Thread(target=count) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        of.text()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(usual)
    assert [value for _, value in samples(of, "trivet_requests_total")] == [4.0] * 500
    assert value(of, "trivet_request_seconds_count") == 2_000


# ── the scrape ──


def test_what_is_watched_is_read_at_each_scrape() -> None:
    of, waiting = metrics(), [3.0]
    of.watch("trivet_ledger_waiting_rows", "Rows that wait to be written.", lambda: waiting[0])
    of.watch("trivet_ledger_dropped_rows", "Rows that were lost.", lambda: 2, "counter")
    assert value(of, "trivet_ledger_waiting_rows") == 3
    waiting[0] = 4
    assert value(of, "trivet_ledger_waiting_rows") == 4
    assert value(of, "trivet_ledger_dropped_rows_total") == 2


def test_what_cannot_be_read_is_missing_alone_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    of = metrics(ROW)
    of.watch("trivet_ledger_problem", "Whether the ledger has one.", lambda: 1 / 0)
    with caplog.at_level(logging.ERROR, "trivet.ledger"):
        assert value(of, "trivet_requests_total") == 1
    assert "trivet_ledger_problem could not be read: it is missing from this scrape" in caplog.text


def test_the_accept_header_chooses_the_format() -> None:
    of = metrics(ROW)
    content_type, body = of.render(b"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")
    assert content_type.startswith(b"application/openmetrics-text; version=1.0.0")
    families = {f.name: f for f in openmetrics.text_string_to_metric_families(body.decode())}
    assert families["trivet_requests"].type == "counter"
    assert families["trivet_request_seconds"].type == "histogram"
    content_type, body = of.render(b"*/*")
    assert content_type.startswith(b"text/plain; version=0.0.4")
    assert b"# TYPE trivet_requests_total counter" in body  # OpenMetrics' families have no `_total`


@pytest.mark.parametrize("accept", [b"application/openmetrics-text;version=x", b"\xff;;,=", b"text/plain;version=.."])
def test_an_accept_header_that_makes_no_sense_gets_the_older_format(accept: bytes) -> None:
    assert metrics(ROW).render(accept)[0].startswith(b"text/plain")


def test_names_with_quotes_and_new_lines_come_back_as_they_are() -> None:
    key = 'a "b"\\\n c'
    assert value(metrics(replace(ROW, key=key)), "trivet_requests_total", key=key) == 1


def test_the_process_itself_is_told_of() -> None:
    assert (value(metrics(), "process_resident_memory_bytes") or 0) > 0


def test_neither_trivet_nor_counting_imports_the_library() -> None:
    script = "import sys, trivet, trivet.ledger.metrics as m; m.Metrics(); print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
