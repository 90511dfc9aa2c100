"""`trivet providers`, and what `trivet config check` says of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import trivet
from tests.listing_host import listing_host
from tests.local_stub import WHERE
from tests.test_discovery import SERVERS, closed_port, move
from tests.test_imports import loaded_by
from trivet import registry
from trivet.cli import main

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setitem(registry.PROVIDERS, "local", WHERE)
    monkeypatch.chdir(tmp_path)
    nothing = closed_port()
    for name in SERVERS:
        move(monkeypatch, name, f"http://127.0.0.1:{nothing}/v1")
    trivet.close()
    yield
    trivet.close()


def rows(capsys: Printed, *args: str, status: int = 0) -> dict[str, dict[str, object]]:
    assert main(["providers", "--json", *args]) == status
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_every_kind_is_there_with_its_address_and_whether_it_has_a_key(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    found = rows(capsys)
    assert set(found) == set(registry.PROVIDERS) - {"local"}
    assert found["openai"] == {
        "name": "openai",
        "kind": "openai",
        "base_url": "https://api.openai.com/v1",
        "key": "set",
        "key_variable": "OPENAI_API_KEY",
        "configured": False,
        "problem": None,
    }
    assert (found["anthropic"]["key"], found["anthropic"]["key_variable"]) == ("missing", "ANTHROPIC_API_KEY")
    assert found["ollama"]["key"] == "not needed"


def test_a_host_that_has_no_usual_address_says_what_to_write(capsys: Printed) -> None:
    azure = rows(capsys)["azure"]
    assert azure["base_url"] is None
    assert "write base_url" in str(azure["problem"])


def test_tables_come_first_and_are_shown_by_their_names(capsys: Printed, tmp_path: Path) -> None:
    (tmp_path / "trivet.toml").write_text(
        '[providers.work]\nkind = "openai"\nbase_url = "https://llm.example.org/v1"\napi_key = "sesame"\n'
    )
    assert main(["providers"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == "name\tkind\tbase URL\tkey"
    assert lines[1] == "work\topenai\thttps://llm.example.org/v1\tset"
    assert "openai\topenai\thttps://api.openai.com/v1\tmissing: OPENAI_API_KEY" in lines
    assert "sesame" not in out


def test_check_tells_which_answer(capsys: Printed, tmp_path: Path) -> None:
    with listing_host("a", "b") as well, listing_host(status=401) as ill:
        (tmp_path / "trivet.toml").write_text(
            f'[providers.well]\nkind = "openai"\nbase_url = "{well.base}"\napi_key = "sesame"\n'
            f'[providers.ill]\nkind = "openai"\nbase_url = "{ill.base}"\napi_key = "sesame"\n'
            '[providers.mute]\nkind = "openai"\n'
        )
        found = rows(capsys, "--check", status=1)
        assert found["well"]["models"] == ["a", "b"]
        assert found["well"]["error"] is None
        assert "401" in str(found["ill"]["error"])
        assert found["mute"]["error"] == "has no key: set OPENAI_API_KEY, or write api_key under [providers.mute]"
        assert found["anthropic"]["models"] is found["anthropic"]["error"] is None
        assert found["ollama"]["error"]
        assert main(["providers", "--check"]) == 1
        out = capsys.readouterr().out
    assert f"well\topenai\t{well.base}\tset\tlists 2 models\n" in out
    assert "sesame" not in out


def test_check_is_content_where_only_what_nobody_configured_does_not_answer(capsys: Printed) -> None:
    assert main(["providers", "--check"]) == 0
    assert "\nollama\t" in capsys.readouterr().out


def test_listing_providers_loads_neither_tables_nor_engines(tmp_path: Path) -> None:
    loaded = loaded_by(f"import os; os.chdir({str(tmp_path)!r})\nimport trivet.cli; trivet.cli.main(['providers'])")
    assert not {"rich", "xllamacpp", "genai_prices", "pydantic", "uvicorn"} & loaded


def test_config_check_says_what_each_provider_is(capsys: Printed, tmp_path: Path) -> None:
    (tmp_path / "trivet.toml").write_text(
        '[providers.work]\nkind = "openai"\nbase_url = "https://llm.example.org/v1"\napi_key = "sesame"\n'
        "[providers.anthropic]\n[providers.ollama]\n"
        '[models.smart]\nuse = ["claude-opus-4-7"]\n'
    )
    assert main(["config", "check"]) == 0
    out, err = capsys.readouterr()
    assert "work: openai at https://llm.example.org/v1, its key is set\n" in out
    assert "no key yet: set ANTHROPIC_API_KEY, or write api_key\n" in out
    assert "ollama: ollama at http://127.0.0.1:" in out
    assert "needs no key\n" in out
    assert "smart -> claude-opus-4-7 (anthropic has no key yet: set ANTHROPIC_API_KEY, or write api_key)\n" in out
    assert "sesame" not in out
    assert err == ""
