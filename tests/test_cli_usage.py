"""`trivet usage`: what was asked and what it cost, from a real ledger."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.terminal import ROOT, on_terminal
from trivet.cli import main, plot
from trivet.ledger.rows import AttemptRow, Row
from trivet.ledger.store import Store
from trivet.types import Attempt, Cost, Usage

Printed = pytest.CaptureFixture[str]
Write = Callable[..., Path]
DAY = 86_400
NOON = time.mktime((2026, 11, 20, 12, 0, 0, 0, 0, -1))  # here: days are those of this machine
NOTHING = Usage(uncached_input_tokens=0, cache_read_tokens=0, cache_write_tokens=0, output_tokens=0)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIVET_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes rows into the ledger that trivet looks for."""

    def written(*rows: Row, path: Path | None = None) -> Path:
        store = Store(path or tmp_path / "state" / "ledger.db")
        for each in rows:
            store.add(each)
        assert store.flush()
        store.close()
        return store.path

    return written


def row(id: str, usd: str | None = "0.5", **more: Any) -> Row:
    usage = Usage(uncached_input_tokens=750, cache_read_tokens=250, cache_write_tokens=0, output_tokens=100)
    cost = Cost(usd=None if usd is None else Decimal(usd), source="genai-prices 1", saved_usd=Decimal(0))
    usual: dict[str, Any] = {
        "at": NOON,
        "task": "chat",
        "asked": "smart",
        "outcome": "answered",
        "took_s": 1.5,
        "model": "openai/a",
        "usage": usage,
        "cost": cost,
    }
    told = {**usual, **more}
    attempt = AttemptRow(
        model=told["model"], outcome=told["outcome"], began_s=0, took_s=1, usage=told["usage"], cost=told["cost"]
    )
    return Row(id=id, **{"attempts": (attempt,), **told})


def lines(capsys: Printed, *args: str) -> list[list[str]]:
    assert main(["usage", "--since", "all", *args]) == 0
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def wrong(capsys: Printed, *args: str) -> str:
    assert main(["usage", *args]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


# --- totals ----------------------------------------------------------------------------------------------------


def test_each_day_has_a_line_and_all_together_one(write: Write, capsys: Printed) -> None:
    write(row("a"), row("b", "0.25"), row("c", at=NOON + DAY))
    head, first, second, total = lines(capsys)
    assert head == ["day", "requests", "errors", "refused", "input", "cached", "output", "hits", "saved", "cost"]
    assert first == ["2026-11-20", "2", "-", "-", "2k", "25%", "200", "-", "-", "$0.75"]
    assert second[0] == "2026-11-21"
    assert total == ["total", "3", "-", "-", "3k", "25%", "300", "-", "-", "$1.25"]


def test_by_takes_several_and_the_dearest_goes_first(write: Write, capsys: Printed) -> None:
    write(row("a", key="eve"), row("b", "3", key="bob"), row("c", model="openai/b"))
    head, *rows, total = lines(capsys, "--by", "model, key")
    assert head[:2] == ["model", "key"]
    assert [each[:2] for each in rows] == [["openai/a", "bob"], ["openai/a", "eve"], ["openai/b", "-"]]
    assert total[:3] == ["total", "", "3"]


@pytest.mark.parametrize(("by", "group"), [("task", "chat"), ("asked", "smart"), ("cache", "none")])
def test_it_counts_by_task_name_and_cache_too(write: Write, capsys: Printed, by: str, group: str) -> None:
    write(row("a"))
    assert lines(capsys, "--by", by)[1][:2] == [group, "1"]


def test_an_unknown_cost_is_counted_and_never_nothing(write: Write, capsys: Printed) -> None:
    write(row("a"), row("b", None), row("c", None, at=NOON + DAY))
    _, first, second, total = lines(capsys)
    assert [each[-1] for each in (first, second, total)] == ["$0.50 + 1 unknown", "1 unknown", "$0.50 + 2 unknown"]


def test_an_estimate_is_marked(write: Write, capsys: Printed) -> None:
    write(row("a", cost=Cost(usd=Decimal("1.5"), estimate=True)), row("b", None))
    assert lines(capsys)[1][-1] == "~$1.50 + 1 unknown"


def test_unknown_tokens_are_told(write: Write, capsys: Printed) -> None:
    write(row("a"), row("b", usage=Usage()))
    _, first, _ = lines(capsys)
    assert first[4:7] == ["1k + 1 unknown", "25%", "100 + 1 unknown"]


def test_errors_refusals_hits_and_savings_are_counted(write: Write, capsys: Printed) -> None:
    write(
        row("a", outcome="failed", error="OverloadedError", model=None, attempts=()),
        row("b", "0", cache="hit"),
        row("c", cost=Cost(usd=Decimal(1), saved_usd=Decimal("0.004"))),
        row("d", "0", outcome="refused", usage=NOTHING, model=None, attempts=()),
    )
    assert lines(capsys)[1][2:] == ["1", "1", "3k", "25%", "300", "1", "$0.0040", "$1.50"]


@pytest.mark.parametrize(
    ("usd", "told"), [("12.344", "$12.34"), ("0.0456", "$0.046"), ("0.5", "$0.50"), ("0.006", "$0.0060")]
)
def test_what_is_less_than_a_dollar_is_not_rounded_to_a_tenth_more(
    write: Write, capsys: Printed, usd: str, told: str
) -> None:
    write(row("a", usd))
    assert lines(capsys)[1][-1] == told


def test_a_name_that_a_client_has_sent_moves_no_cursor_and_breaks_no_line(write: Write, capsys: Printed) -> None:
    write(row("a", asked="up/\x1b[31mred\x1b]0;title\x07\tand\nmore\u202e"))
    assert lines(capsys, "--by", "asked")[1][:2] == [r"up/\x1b[31mred\x1b]0;title\x07\tand\nmore\u202e", "1"]
    assert "\\x1b[31mred" in on_terminal(Path(), 80, "usage", "--since", "all", "a")


def test_what_costs_nothing_is_nothing(write: Write, capsys: Printed) -> None:
    write(row("a", "0"))
    assert lines(capsys)[1][-1] == "$0"


def test_since_and_until_take_days_with_the_whole_of_them(write: Write, capsys: Printed) -> None:
    write(*(row(str(n), at=NOON + n * DAY) for n in range(4)))
    days = [each[0] for each in lines(capsys, "--since", "2026-11-21", "--until", "2026-11-22")]
    assert days == ["day", "2026-11-21", "2026-11-22", "total"]
    assert len(lines(capsys, "--since", "2026-11-21T12:00:01", "--until", "2026-11-22T11:59")) == 1


def test_days_are_those_of_this_machine(write: Write, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    write(row("a", at=1_795_190_400 - 60), row("b", at=1_795_190_400 + 60))  # 2026-11-20T16:00Z: midnight in Taipei
    try:
        monkeypatch.setenv("TZ", "Asia/Taipei")
        time.tzset()
        assert [each[0] for each in lines(capsys, "--by", "day")] == ["day", "2026-11-20", "2026-11-21", "total"]
        assert lines(capsys, "--since", "2026-11-21")[-1][1] == "1"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_days_ago_begin_with_their_day_and_hours_ago_do_not(write: Write, capsys: Printed) -> None:
    now = time.time()
    begins = time.mktime((*time.localtime(now - DAY)[:3], 0, 0, 0, 0, 0, -1))
    write(row("a", at=begins + 1), row("b", at=begins - 1), row("c", at=now - 1))
    assert lines(capsys, "--since", "1d")[-1][1] == "2"
    assert lines(capsys, "--since", "1h")[-1][1] == "1"


def test_json_is_exact(write: Write, capsys: Printed) -> None:
    path = write(row("a", "0.1000000000000000000001"), row("b", "0.2"), row("c", None))
    assert main(["usage", "--since", "all", "--by", "key,day", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ledger"] == str(path)
    assert told["by"] == ["key", "day"]
    (group,) = told["totals"]
    assert (group["key"], group["day"], group["requests"]) == (None, "2026-11-20", 3)
    assert (group["usd"], group["unknown_costs"]) == ("0.3000000000000000000001", 1)
    assert {**told["total"], "key": None, "day": "2026-11-20"} == group


def test_csv_has_a_line_for_each_group_and_no_total(write: Write, capsys: Printed) -> None:
    write(row("a", key='a "b", c'), row("b", None))
    assert main(["usage", "--since", "all", "--by", "key", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {each["key"]: (each["usd"], each["unknown_costs"]) for each in rows} == {
        'a "b", c': ("0.5", "0"),
        "": ("", "1"),
    }


def test_another_ledger_is_named_by_option_or_configuration(write: Write, capsys: Printed, tmp_path: Path) -> None:
    write(row("a"), path=tmp_path / "other.db")
    assert lines(capsys, "--ledger", "other.db")[-1][1] == "1"
    (tmp_path / "my.toml").write_text('[ledger]\npath = "other.db"\n')
    assert lines(capsys, "--config", "my.toml")[-1][1] == "1"


def test_without_a_ledger_it_says_where_it_looked_and_what_writes_it(capsys: Printed, tmp_path: Path) -> None:
    assert main(["usage"]) == 0
    said = capsys.readouterr().out
    assert str(tmp_path / "state" / "ledger.db") in said
    assert "trivet serve" in said
    assert not (tmp_path / "state").exists()


def test_of_a_time_without_requests_it_says_so(write: Write, capsys: Printed) -> None:
    write(row("a"))
    assert main(["usage", "--since", "2026-11-21", "--until", "2026-11-22"]) == 0
    said = capsys.readouterr().out
    assert "has no request, since 2026-11-21 until 2026-11-22; --since all" in said


def test_wrong_words_and_files_are_told_what_to_do(capsys: Printed, tmp_path: Path) -> None:
    assert "Did you mean model?" in wrong(capsys, "--by", "day,modle")
    assert "7d, 12h, 2w" in wrong(capsys, "--since", "yesterday")
    assert "there is no missing.db" in wrong(capsys, "--ledger", "missing.db")
    (tmp_path / "text").write_text("this is no database, whatever it is called" * 99)
    assert "cannot be read as a ledger" in wrong(capsys, "--ledger", "text")


# --- one request -----------------------------------------------------------------------------------------------


def test_one_request_is_shown_with_its_attempts(write: Write, capsys: Printed) -> None:
    failed = AttemptRow(
        model="anthropic/c",
        outcome="failed",
        began_s=0.001,
        took_s=0.2,
        error="OverloadedError",
        cost=Cost(usd=Decimal(0)),
    )
    answered = row("a").attempts[0]
    route = (Attempt(model="local/x", outcome="skipped", reason="takes no tools"),)
    cost = Cost(usd=Decimal("0.001230"), source="genai-prices 1", dated="2026-01-02", estimate=True)
    write(row("r-1", attempts=(failed, answered), cost=cost, route=route, key="eve", stream=True))
    assert main(["usage", "r-1"]) == 0
    above, _, below = capsys.readouterr().out.partition("\n\n")
    fields = dict(line.split("\t") for line in above.splitlines())
    assert fields["asked for"] == "smart (chat, streamed)"
    assert (fields["answered by"], fields["key"]) == ("openai/a", "eve")
    assert fields["input"] == "1,000 tokens, 250 from the provider's cache"
    assert fields["cost"].startswith("~$0.00123 (genai-prices 1 of 2026-01-02); an estimate")
    assert fields["not asked"] == "local/x: takes no tools"
    _, first, second = (line.split("\t") for line in below.splitlines())
    assert first[:3] == ["1", "anthropic/c", "failed (OverloadedError)"]
    assert first[6:] == ["unknown", "unknown", "$0"]
    assert second[-1] == "$0.50"


def test_of_an_unknown_cost_it_says_why(write: Write, capsys: Printed) -> None:
    write(row("a", cost=Cost(unknown="acme/x: no price is known")))
    assert main(["usage", "a"]) == 0
    assert "cost\tunknown: acme/x: no price is known\n" in capsys.readouterr().out


def test_one_request_as_json_is_the_row(write: Write, capsys: Printed) -> None:
    from trivet.types import from_json

    write(row("a", "0.5"))
    assert main(["usage", "a", "--json"]) == 0
    assert from_json(capsys.readouterr().out, Row) == row("a", "0.5")


def test_a_request_that_is_not_there_is_an_error_that_says_where_ids_are(write: Write, capsys: Printed) -> None:
    write(row("a"))
    assert "x-request-id" in wrong(capsys, "b")


# --- the plot --------------------------------------------------------------------------------------------------


def test_a_pipe_has_a_plot_only_where_it_is_asked_for(write: Write, capsys: Printed) -> None:
    write(row("a", "1"), row("b", "2", at=NOON + 2 * DAY))
    assert "█" not in str(lines(capsys))
    shown = [line[0] for line in lines(capsys, "--plot")]
    assert shown[-1].split() == ["11-20", "11-21", "11-22"]  # also the day on which nothing was asked
    assert any(line.startswith("$2.00 ┤            ") and "█" in line for line in shown)


def test_where_nothing_costs_it_plots_tokens(write: Write, capsys: Printed) -> None:
    write(row("a", "0"), row("b", "0"))
    shown = [line[0] for line in lines(capsys, "--plot", "--by", "model")]
    assert any(line.startswith(" tokens by day") for line in shown)
    assert any(line.startswith(" 2.5k ┤") for line in shown)


def test_a_terminal_has_a_table_and_a_plot_that_fit_it(write: Write, tmp_path: Path) -> None:
    write(*(row(str(n), f"{n}.5", at=NOON + n * DAY) for n in range(25)))
    shown = on_terminal(tmp_path, 70, "usage", "--since", "all")
    assert "11-20" in shown
    assert "█" in shown
    assert "USD by day" in shown
    table_and_plot, _, _ = shown.rpartition("\n\n")
    assert max(map(len, table_and_plot.splitlines())) <= 70
    assert "█" not in on_terminal(tmp_path, 70, "usage", "--since", "all", "--no-plot")


@given(
    st.lists(st.none() | st.floats(0, 1e9) | st.just(0.0), min_size=1, max_size=120),
    st.integers(12, 160),
    st.integers(2, 12),
)
def test_a_plot_fits_its_width_and_shows_what_is_more_than_nothing(
    values: list[float | None], width: int, height: int
) -> None:
    labels = [f"{n:05}" for n in range(len(values))]
    drawn = plot.bars(labels, values, width=width, height=height, unit="{:.0e}".format)
    levels, axis = drawn[:height], drawn[height : height + 2]
    assert all(len(line) <= width for line in (*levels, axis[0]))
    bottom = levels[-1].partition("│")[2]
    _, shown = plot.merged(labels, values, len(axis[0].partition("└")[2]))
    bar = len(axis[0].partition("└")[2]) // len(shown)
    for n, value in enumerate(shown):
        cell = bottom[n * bar : n * bar + 1].strip()
        assert cell == "?" if value is None else bool(cell) == (value > 0)


def test_a_bar_is_as_high_as_its_value_to_an_eighth_of_a_line() -> None:
    drawn = plot.bars(["a", "b", "c", "d"], [8.0, 4.5, 0.25, None], width=12, height=8, unit="{:.0f}".format)
    columns = list(zip(*(line.ljust(12) for line in drawn[:8]), strict=True))
    of_bars = ["".join(column).strip() for column in columns[3:]]
    assert [bar for n, bar in enumerate(of_bars) if n % 2 == 0][:4] == ["█" * 8, "▄" + "█" * 4, "▂", "?"]


@given(st.floats(1e-6, 1e12))
def test_the_axis_ends_at_the_next_round_number(most: float) -> None:
    assert most <= plot.ceiling(most) * (1 + 1e-6)
    assert plot.ceiling(most) <= 2 * most * (1 + 1e-6)


# --- all of it -------------------------------------------------------------------------------------------------


def test_what_is_asked_on_the_command_line_is_there(tmp_path: Path) -> None:
    def trivet(*args: str) -> str:
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.local_stub", *args]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout

    assert trivet("chat", "hello") == "1: hello\n"
    told = json.loads(trivet("usage", "--by", "task,asked", "--json"))
    (group,) = told["totals"]
    assert (group["task"], group["asked"], group["requests"]) == ("chat", "local/smollm2", 1)
