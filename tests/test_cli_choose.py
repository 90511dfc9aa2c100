"""`trivet choose`: which model suits a situation here, why, and what it costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.listing_host import listing_host
from tests.local_stub import WHERE
from tests.test_discovery import SERVERS, closed_port, move
from trivet import registry, situations
from trivet.cli import main

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(registry.PROVIDERS, "local", WHERE)
    monkeypatch.chdir(tmp_path)
    nothing = closed_port()
    for name in SERVERS:
        move(monkeypatch, name, f"http://127.0.0.1:{nothing}/v1")


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sesame")


def lines(capsys: Printed, *args: str) -> list[list[str]]:
    assert main(["choose", *args]) == 0
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def wrong(capsys: Printed, *args: str) -> str:
    assert main(["choose", *args]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def test_alone_it_has_a_line_for_every_situation(capsys: Printed) -> None:
    head, *rows = lines(capsys)
    assert head == ["name", "for", "price", "now"]
    assert [row[0] for row in rows] == list(situations.names())
    found = {row[0]: row[2:] for row in rows}
    assert found["auto/quality"] == ["free", "local/smollm2"]
    assert found["auto/vision"] == ["-", "nothing available"]


@pytest.mark.usefixtures("key")
def test_a_situation_has_its_choice_and_what_comes_next(capsys: Printed) -> None:
    head, first, second, *others = lines(capsys, "quality")
    assert head == ["place", "model", "price", "context", "size", "why"]
    assert (first[0], second[0], others[-1][0]) == ("choice", "fallback", "runner-up")
    assert first[1].startswith("anthropic/claude-opus-")
    assert first[2].startswith("$")
    assert first[5] == "flagship: the newest Claude Opus, from its maker"


def test_the_name_may_be_said_whole(capsys: Printed) -> None:
    assert lines(capsys, "auto/private") == lines(capsys, "private")


@pytest.mark.usefixtures("key")
def test_json_has_all_that_is_known_and_none_for_the_rest(capsys: Printed) -> None:
    assert main(["choose", "reasoning", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["situation"] == "reasoning"
    assert told["choice"]["effort"] == "high"
    assert told["choice"]["where"] == "hosted"
    assert told["choice"]["image"] is True
    assert told["choice"]["total_parameters_b"] is None
    assert all(set(runner_up) == set(told["choice"]) for runner_up in told["runners_up"])
    assert main(["choose", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["embedding"] is None


def test_servers_on_this_machine_are_asked(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    with listing_host("llama3.3:70b", "qwen3:235b-a22b") as host:
        move(monkeypatch, "ollama", host.base)
        _, first, second, third = lines(capsys, "private")
    assert first[1:5] == ["ollama/qwen3:235b-a22b", "-", "-", "235B, 22B active"]
    assert (second[1], third[1]) == ("ollama/llama3.3:70b", "local/smollm2")


@pytest.mark.usefixtures("key")
def test_no_host_is_asked_and_no_key_is_shown(capsys: Printed, tmp_path: Path) -> None:
    with listing_host("claude-opus-4-7") as host:
        (tmp_path / "trivet.toml").write_text(
            f'[providers.work]\nkind = "anthropic"\nbase_url = "{host.base}"\napi_key = "open"\n'
        )
        printed = str(lines(capsys, "quality"))
    assert host.asked == []
    assert "sesame" not in printed


@pytest.mark.usefixtures("key")
def test_needs_leave_out_what_is_not_known_to_meet_them(capsys: Printed) -> None:
    _, first, *_ = lines(capsys, "cheap", "--needs", "vision, tools,200k")
    assert first[1].startswith("anthropic/claude-haiku-")
    said = wrong(capsys, "quality", "--needs", "audio")
    assert "no model for it that is available is known to do all of that" in said
    assert "then it is anthropic/claude-opus-" in said


def test_wrong_words_are_told_the_nearest(capsys: Printed) -> None:
    assert "Did you mean 'auto/quality'?" in wrong(capsys, "qualty")
    assert "Did you mean 'vision'?" in wrong(capsys, "quality", "--needs", "visoin")


def test_where_there_is_nothing_it_says_what_to_do(capsys: Printed) -> None:
    said = wrong(capsys, "embedding")
    assert "set one of OPENAI_API_KEY, " in said
    assert "Ollama" in said
