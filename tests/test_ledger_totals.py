"""The ledger's sums: of what is known, with what is not beside it; each model with what was asked of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger_rows import NOON, attempt, cost, row, usage
from trivet.ledger.rows import Row
from trivet.ledger.store import Store
from trivet.ledger.totals import Total, _ExactSum, totals
from trivet.types import Usage

DAY_S = 86_400
Ledger = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Ledger:
    """A ledger of these rows."""

    def write(*rows: Row) -> Path:
        store = Store(tmp_path / "ledger.db")
        for each in rows:
            store.add(each)
        store.close()
        return store.path

    return write


def groups(found: list[Total], field: str = "requests") -> dict[Any, Any]:
    """A field by group."""
    return {total.group if len(total.group) > 1 else total.group[0]: getattr(total, field) for total in found}


def one(path: Path) -> Total:
    (total,) = totals(path, [])
    return total


def test_requests_are_counted_by_what_they_are_grouped_by(written: Ledger) -> None:
    path = written(
        row("a", key="red", task="chat", asked="smart"),
        row("b", key="red", task="embed", asked="small"),
        row("c", key="blue", task="chat", asked="smart"),
        row("d", key=None, task="chat", asked="smart", cache="stored"),
    )
    assert groups(totals(path, ["key"])) == {None: 1, "blue": 1, "red": 2}
    assert groups(totals(path, ["task"])) == {"chat": 3, "embed": 1}
    assert groups(totals(path, ["asked"])) == {"small": 1, "smart": 3}
    assert groups(totals(path, ["cache"])) == {"none": 3, "stored": 1}
    assert groups(totals(path, ["key", "task"])) == {
        (None, "chat"): 1,
        ("blue", "chat"): 1,
        ("red", "chat"): 1,
        ("red", "embed"): 1,
    }
    assert groups(totals(path, ["task", "key"]))["embed", "red"] == 1
    assert one(path).requests == 4


def test_days_are_those_of_utc_or_of_this_machine(written: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(row("a", at=NOON), row("b", at=NOON + DAY_S / 2), row("c", at=NOON + DAY_S / 2 - 0.001))
    assert groups(totals(path, ["day"])) == {"2026-10-02": 2, "2026-10-03": 1}
    if not hasattr(time, "tzset"):
        return
    monkeypatch.setenv("TZ", "XXX-14")  # 14 hours before UTC's midnight
    time.tzset()
    try:
        assert groups(totals(path, ["day"], local_days=True)) == {"2026-10-03": 3}
        assert groups(totals(path, ["day"])) == {"2026-10-02": 2, "2026-10-03": 1}
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_range_has_its_beginning_and_not_its_end(written: Ledger) -> None:
    path = written(*(row(f"{n}", at=NOON + n) for n in range(10)))
    assert [total.requests for total in totals(path, [], since=NOON + 2, until=NOON + 5)] == [3]
    assert [total.requests for total in totals(path, ["model"], since=NOON + 2, until=NOON + 5)] == [3]
    assert totals(path, [], since=NOON + 10) == []


def test_money_is_summed_to_the_last_digit(written: Ledger) -> None:
    path = written(
        row("a", cost=cost("1000000000", saved_usd=Decimal("-0.1"))),
        row("b", cost=cost("0.000000000000000000001", saved_usd=Decimal("0.3"))),
        row("c", cost=cost("1E-25")),
    )
    assert one(path).usd == Decimal("1000000000.0000000000000000000010001")
    assert one(path).saved_usd == Decimal("0.2")


@given(st.lists(st.decimals(-(10**12), 10**12, allow_nan=False), max_size=30))
def test_sums_of_money_are_exact(amounts: list[Decimal]) -> None:
    from fractions import Fraction

    summed = _ExactSum()
    for amount in amounts:
        summed.step(str(amount))
    assert Fraction(summed.finalize() or 0) == sum(map(Fraction, amounts))


def test_an_unknown_cost_is_counted_beside_the_sum_of_the_known(written: Ledger) -> None:
    path = written(row("a", cost=cost("0.5")), row("b", cost=cost(None, unknown="no price")), row("c", cost=cost("0")))
    total = one(path)
    assert (total.usd, total.unknown_costs) == (Decimal("0.5"), 1)


def test_where_nothing_is_known_a_sum_is_unknown_and_not_zero(written: Ledger) -> None:
    total = one(written(row("a", cost=cost(None), usage=Usage(output_tokens=0))))
    assert (total.usd, total.unknown_costs) == (None, 1)
    assert (total.input_tokens, total.unknown["input_tokens"]) == (None, 1)
    assert (total.output_tokens, total.unknown.get("output_tokens")) == (0, None)


def test_tokens_are_summed_kind_by_kind(written: Ledger) -> None:
    total = one(
        written(
            row("a", usage=usage(10, 5, cache_read_tokens=3, cache_write_tokens=7, cache_write_1h_tokens=2)),
            row("b", usage=usage(20, 6, reasoning_tokens=4, audio_input_tokens=8, audio_output_tokens=1), audio_s=2.5),
        )
    )
    assert total.input_tokens == 10 + 3 + 7 + 20
    assert (total.uncached_input_tokens, total.cache_read_tokens, total.cache_write_tokens) == (30, 3, 7)
    assert (total.output_tokens, total.reasoning_tokens) == (11, 4)
    assert (total.audio_input_tokens, total.audio_output_tokens, total.audio_s) == (8, 1, 2.5)
    assert total.cache_write_1h_tokens == 2
    assert total.unknown == {"reasoning_tokens": 1, "audio_input_tokens": 1, "audio_output_tokens": 1}


def test_a_prompt_whose_cached_part_is_unknown_counts_with_the_prompts(written: Ledger) -> None:
    total = one(written(row("a", usage=usage(10)), row("b", usage=Usage(prompt_tokens=100, output_tokens=1))))
    assert (total.input_tokens, total.uncached_input_tokens) == (110, 10)
    assert "input_tokens" not in total.unknown
    assert total.unknown["uncached_input_tokens"] == 1


def test_what_was_asked_of_nobody_leaves_nothing_unknown(written: Ledger) -> None:
    nothing = {"attempts": (), "usage": Usage(), "cost": cost(None)}
    hit = {**nothing, "cost": cost("0"), "cache": "hit"}
    total = one(written(row("a", outcome="refused", **nothing), row("b", **hit)))
    assert (total.requests, total.refused, total.hits) == (2, 1, 1)
    assert (total.unknown, total.unknown_costs) == ({}, 0)
    assert (total.usd, total.output_tokens) == (0, 0)


def test_what_was_asked_before_a_cache_had_the_answer_may_be_unknown(written: Ledger) -> None:
    cut = attempt(usd=None, outcome="failed", usage=Usage())
    total = one(written(row("a", cache="hit", cost=cost(None), usage=Usage(), attempts=(cut,))))
    assert (total.hits, total.unknown_costs, total.usd) == (1, 1, None)


def test_outcomes_and_estimates_are_counted(written: Ledger) -> None:
    total = one(
        written(
            row("a", outcome="failed"),
            row("b", outcome="cancelled", cost=cost("0.1", estimate=True)),
            row("c", outcome="refused"),
            row("d"),
        )
    )
    assert (total.requests, total.errors, total.cancelled, total.refused, total.estimates) == (4, 1, 1, 1, 1)


# by model


@pytest.fixture
def fell_back(written: Ledger) -> Path:
    """Asked of one model twice, both in vain and one of them at a price, and answered by another; and a request that
    the first one answered."""
    return written(
        row(
            "a",
            attempt("openai/a", "0", outcome="failed", usage=usage(0, 0)),
            attempt("openai/a", "0.2", outcome="failed", usage=usage(10, 1)),
            attempt("anthropic/b", "0.7", usage=usage(12, 30)),
            audio_s=3.0,
            key="red",
        ),
        row("b", attempt("openai/a", "0.1", usage=usage(5, 5)), audio_s=1.0),
    )


def test_by_model_each_counts_with_what_was_asked_of_it(fell_back: Path) -> None:
    found = totals(fell_back, ["model"])
    assert groups(found, "usd") == {"anthropic/b": Decimal("0.7"), "openai/a": Decimal("0.3")}
    assert groups(found, "output_tokens") == {"anthropic/b": 30, "openai/a": 6}
    assert groups(found, "requests") == {"anthropic/b": 1, "openai/a": 2}
    assert groups(found, "errors") == {"anthropic/b": 0, "openai/a": 2}


def test_the_money_and_tokens_of_all_models_are_those_of_all_requests(fell_back: Path) -> None:
    every, by_model = one(fell_back), totals(fell_back, ["model"])
    for field in ("usd", "input_tokens", "output_tokens", "audio_s"):
        assert sum(getattr(total, field) for total in by_model) == getattr(every, field)


def test_by_model_and_key_both_are_seen(fell_back: Path) -> None:
    found = groups(totals(fell_back, ["key", "model"]), "usd")
    assert found == {
        (None, "openai/a"): Decimal("0.1"),
        ("red", "anthropic/b"): Decimal("0.7"),
        ("red", "openai/a"): Decimal("0.2"),
    }


def test_by_model_a_request_without_attempts_counts_with_who_answered(written: Ledger) -> None:
    path = written(
        row("a", attempts=(), model="openai/a", cache="hit", cost=cost("0")),
        row("b", attempts=(), model=None, outcome="refused", cost=cost(None)),
    )
    found = totals(path, ["model"])
    assert groups(found) == {None: 1, "openai/a": 1}
    assert groups(found, "hits") == {None: 0, "openai/a": 1}


# reading


def test_a_file_that_is_not_there_has_no_totals(tmp_path: Path) -> None:
    assert totals(tmp_path / "ledger.db", []) == []
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_writes_is_not_waited_for(tmp_path: Path) -> None:
    """Not even where it is in the midst of a transaction, which is not seen yet."""
    from trivet.database import opened, transaction
    from trivet.ledger.schema import MIGRATIONS, insert

    path = tmp_path / "ledger.db"
    connection = opened(path, MIGRATIONS)
    with transaction(connection):
        insert(connection, [row("a")])
    with transaction(connection):
        insert(connection, [row("b")])
        assert totals(path, [], busy_s=0)[0].requests == 1
    assert totals(path, [], busy_s=0)[0].requests == 2
    connection.close()


def test_half_a_character_in_a_name_is_no_hindrance(written: Ledger) -> None:
    assert groups(totals(written(row("a", asked="x\ud83d")), ["asked"])) == {"x\ud83d": 1}
