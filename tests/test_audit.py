"""`trivet audit`: what it finds in a ledger, with figures, and what it must not find."""

from __future__ import annotations

import json
import time
import tomllib
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.local_stub import WHERE
from trivet import registry
from trivet.cli import main
from trivet.ledger.advice import Facts, Finding, ModelFacts, NameFacts
from trivet.ledger.audit import Audit, Report
from trivet.ledger.rows import AttemptRow, Outcome, Row
from trivet.ledger.store import Store
from trivet.types import Cost, Usage, replace

OPUS, GPT, MINI, LOCAL = "anthropic/opus", "openai/gpt", "openai/mini", "local/smollm2"
ALL = ("document", "image", "reasoning", "tools")

# USD for a million tokens: input, read from a cache, written to it, output.
RATES: dict[str, tuple[Any, ...]] = {
    OPUS: (5, "0.5", "6.25", 25),
    GPT: (5, "0.5", 5, 30),
    MINI: ("0.75", "0.075", "0.75", "4.5"),
}


def price(model: str, usage: Usage) -> Decimal | None:
    if model not in RATES:
        return None
    counts = (usage.uncached_input_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.output_tokens)
    return sum((Decimal(r) * (n or 0) for r, n in zip(RATES[model], counts, strict=True)), Decimal()) / 1_000_000


def model(name: str, **more: Any) -> ModelFacts:
    provider, _, weights = name.partition("/")
    usual: dict[str, Any] = {
        "weights": weights,
        "host": provider,
        "abilities": ALL,
        "context_tokens": 400_000,
        "caches": True,
    }
    return ModelFacts(name=name, **{**usual, **more})


MODELS = (
    model(OPUS, usd_3to1=10, quality=0),
    model(GPT, usd_3to1=11.25, quality=1),
    model(MINI, usd_3to1=1.6875, quality=5, cheap=0),
    model(LOCAL, where="embedded", abilities=("tools",), usd_3to1=0, context_tokens=8192),
)


def facts(*names: NameFacts, models: tuple[ModelFacts, ...] = MODELS) -> Facts:
    direct = {each.name: NameFacts(name=each.name, models=(each.name,)) for each in models}
    return Facts(names={**direct, **{n.name: n for n in names}}, models={m.name: m for m in models}, price=price)


def row(n: int, answering: str = OPUS, **more: Any) -> Row:
    """The n-th request, ten seconds after the one before it."""
    usage = more.pop("usage", None) or usage_of(6000, 100)
    usual: dict[str, Any] = {
        "id": str(n),
        "at": 1_000_000 + 10.0 * n,
        "task": "chat",
        "asked": "smart",
        "outcome": "answered",
        "took_s": 1.0,
        "model": answering,
        "usage": usage,
        "cost": Cost(usd=price(answering, usage)),
    }
    return Row(**{**usual, **more})


def usage_of(uncached: int, output: int, *, read: int | None = 0, written: int | None = 0) -> Usage:
    return Usage(
        uncached_input_tokens=uncached,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=0,
        cache_write_1h_tokens=0,
        audio_input_tokens=0,
        audio_output_tokens=0,
    )


def found(report: Report, kind: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.kind == kind]


def pasted(finding: Finding) -> Any:
    """Its lines, as TOML."""
    return tomllib.loads(finding.toml or "")["models"]


# --- long prefixes ---------------------------------------------------------------------------------------------

OFF = NameFacts(name="smart", models=(OPUS,), stands_on=(OPUS,), prompt_cache_off="smart")
BOTH = NameFacts(name="smart", models=(OPUS, GPT), stands_on=(OPUS, GPT), policy="weighted")
LONG: dict[str, Any] = {"prefix": "p", "prefix_chars": 20_000}  # about 5,000 tokens


def prefixes(rows: list[Row], *names: NameFacts, **more: Any) -> list[Finding]:
    return found(Audit(rows).report(facts(*names, **more)), "prefix")


def test_a_prefix_that_is_sent_again_uncached_is_found_with_what_a_cache_would_spare() -> None:
    (finding,) = prefixes([row(n, **LONG) for n in range(11)], OFF)
    assert finding.requests == 10
    assert finding.tokens == 50_000
    # ten times 5,000 tokens at $5 and not at $0.50 for a million, less once 5,000 written at $6.25
    assert finding.usd == Decimal("0.225") - Decimal("0.00625")
    assert pasted(finding) == {"smart": {"prompt_cache": True}}


def test_a_prefix_that_is_read_from_the_cache_is_none() -> None:
    warm = usage_of(1000, 100, read=5000)
    assert prefixes([row(0, **LONG), *(row(n, usage=warm, **LONG) for n in range(1, 11))], OFF) == []


def test_a_short_prefix_is_none_where_more_is_needed_to_be_cached() -> None:
    rows = [row(n, **LONG) for n in range(11)]
    picky = tuple(replace(each, cache_least_tokens=5001) for each in MODELS)
    assert prefixes(rows, OFF, models=picky) == []
    assert len(prefixes(rows, OFF, models=tuple(replace(each, cache_least_tokens=5000) for each in MODELS))) == 1


def test_what_comes_after_the_cache_has_gone_cold_is_no_miss() -> None:
    assert prefixes([row(n, at=301.0 * n, **LONG) for n in range(11)], OFF) == []
    assert len(prefixes([row(n, at=300.0 * n, **LONG) for n in range(11)], OFF)) == 1


def test_different_prefixes_are_no_repetition() -> None:
    assert prefixes([row(n, prefix=str(n), prefix_chars=20_000) for n in range(11)], OFF) == []


def test_the_prefixes_of_one_name_are_one_finding() -> None:
    rows = [row(n, prefix=str(n % 2), prefix_chars=20_000) for n in range(12)]
    (finding,) = prefixes(rows, OFF)
    assert finding.requests == 10
    assert "2 prefixes" in finding.text


def test_a_name_that_leads_elsewhere_by_now_is_not_advised_on_its_prefixes() -> None:
    moved = NameFacts(name="smart", models=(GPT,), stands_on=(GPT,), prompt_cache_off="smart")
    assert prefixes([row(n, **LONG) for n in range(11)], moved) == []


def test_embedded_models_and_answers_of_our_own_cache_are_left_out() -> None:
    assert prefixes([row(n, LOCAL, **LONG) for n in range(11)], OFF) == []
    assert prefixes([row(n, cache="hit", **LONG) for n in range(11)], OFF) == []


def test_where_nobody_says_what_was_read_it_is_a_note_and_no_finding() -> None:
    untold = usage_of(6000, 100, read=None)
    report = Audit([row(n, usage=untold, **LONG) for n in range(11)]).report(facts(OFF))
    assert found(report, "prefix") == []
    assert any("10 requests to anthropic/opus" in note and "does not say" in note for note in report.notes)


def test_a_host_without_a_cache_is_told_so_without_a_figure_in_money() -> None:
    bare = tuple(replace(each, caches=False) for each in MODELS)
    (finding,) = prefixes([row(n, **LONG) for n in range(11)], OFF, models=bare)
    assert (finding.usd, finding.toml, finding.tokens) == (None, None, 50_000)
    assert "no price for cached input" in finding.mend


def test_a_conversation_that_moves_between_models_is_to_stay() -> None:
    # 400 s until the same model is asked again, and 200 s since the other was
    rows = [row(n, (OPUS, GPT)[n % 2], at=1e6 + 200 * n, session="s", **LONG) for n in range(12)]
    (finding,) = prefixes(rows, BOTH)
    assert finding.requests == 11
    assert pasted(finding) == {"smart": {"route": {"sticky": True}}}


def test_one_prefix_of_many_conversations_is_to_go_to_the_first_model() -> None:
    rows = [row(n, (OPUS, GPT)[n % 2], at=1e6 + 200 * n, session=str(n), **LONG) for n in range(12)]
    (finding,) = prefixes(rows, BOTH)
    assert pasted(finding) == {"smart": {"route": {"policy": "ordered"}}}


# --- names without a fallback ----------------------------------------------------------------------------------


def alone(rows: list[Row], *names: NameFacts, **more: Any) -> list[Finding]:
    return found(Audit(rows).report(facts(*names, **more)), "fallback")


ALIAS = NameFacts(name="smart", models=(OPUS,), stands_on=(OPUS,))


def failed(n: int, error: str = "OverloadedError", **more: Any) -> Row:
    return row(n, outcome="failed", error=error, model=None, usage=Usage(), cost=Cost(), **more)


def test_a_name_with_one_provider_is_found_with_the_failures_that_a_fallback_could_have_answered() -> None:
    rows = [row(0), row(1), failed(2), failed(3, "RequestError"), failed(4, "AuthError")]
    (finding,) = alone(rows, ALIAS)
    assert (finding.requests, finding.failures) == (5, 2)
    assert pasted(finding) == {"smart": {"use": [OPUS, GPT]}}  # of the same abilities, and the nearest in price


def test_a_name_with_two_providers_or_an_embedded_model_behind_is_none() -> None:
    rows = [row(0), failed(1)]
    assert alone(rows, BOTH) == []
    assert alone(rows, NameFacts(name="smart", models=(OPUS, LOCAL), stands_on=(OPUS, LOCAL))) == []
    assert alone([row(0, LOCAL)], NameFacts(name="smart", models=(LOCAL,), stands_on=(LOCAL,))) == []


def test_two_models_at_one_host_are_a_single_provider() -> None:
    (finding,) = alone([row(0)], NameFacts(name="smart", models=(GPT, MINI), stands_on=(GPT, MINI), policy="ordered"))
    assert pasted(finding) == {"smart": {"use": [GPT, MINI, OPUS]}}


def test_a_hosted_name_that_is_asked_directly_gets_a_name_of_its_own() -> None:
    (finding,) = alone([row(0, asked=OPUS)])
    assert pasted(finding) == {"opus": {"use": [OPUS, GPT]}}  # [models."anthropic/opus"] would stand on itself
    assert '"opus"' in finding.mend


def test_what_stands_on_another_name_is_mended_there() -> None:
    doctor = NameFacts(name="doctor", models=(OPUS,), stands_on=("smart",), adapts=True)
    (finding,) = alone([row(0), row(1, asked="doctor")], ALIAS, doctor)
    assert (finding.name, finding.requests) == ("smart", 2)
    assert "doctor stands on it" in finding.text


def test_an_adapted_model_keeps_its_lines() -> None:
    (finding,) = alone([row(0)], NameFacts(name="smart", models=(OPUS,), stands_on=(OPUS,), adapts=True))
    assert pasted(finding) == {"smart-models": {"use": [OPUS, GPT]}, "smart": {"base": "smart-models"}}


def test_names_that_were_not_asked_are_one_finding_behind_the_others() -> None:
    other = NameFacts(name="other", models=(GPT,), stands_on=(GPT,))
    third = NameFacts(name="third", models=(MINI,), stands_on=(MINI,))
    first, last = alone([row(0)], ALIAS, other, third)
    assert (first.name, last.requests) == ("smart", 0)
    assert set(pasted(last)) == {"other", "third"}


def test_the_same_weights_elsewhere_stand_in_before_another_model() -> None:
    again = model("bedrock/opus", usd_3to1=30)
    (finding,) = alone([row(0)], ALIAS, models=(*MODELS, again))
    assert pasted(finding) == {"smart": {"use": [OPUS, "bedrock/opus"]}}


def test_who_cannot_do_the_same_does_not_stand_in() -> None:
    weak = tuple(replace(m, abilities=("tools",)) if m.name == GPT else m for m in MODELS)
    (finding,) = alone([row(0)], ALIAS, models=weak)
    assert pasted(finding) == {"smart": {"use": [OPUS, MINI]}}
    short = tuple(replace(m, context_tokens=5999) if m.host == "openai" else m for m in MODELS)
    (finding,) = alone([row(0)], ALIAS, models=short)
    assert finding.toml is None
    assert "set the key" in finding.mend


def test_nobody_stands_in_for_an_embedder() -> None:
    assert alone([row(0, task="embed")], ALIAS) == []


# --- dearer than another one -----------------------------------------------------------------------------------


def dearer(rows: list[Row], *names: NameFacts, **more: Any) -> list[Finding]:
    return found(Audit(rows).report(facts(*names, **more)), "price")


def test_a_cheaper_model_of_the_same_abilities_is_found_with_what_it_would_have_cost() -> None:
    (finding,) = dearer([row(n) for n in range(10)], ALIAS)
    # ten times 6,000 in and 100 out: at $5 and $25 for a million $0.325, at $0.75 and $4.50 $0.0495
    assert finding.usd == Decimal("0.325") - Decimal("0.0495")
    assert "cost $0.325; " in finding.text
    assert "not compared" in finding.text
    assert pasted(finding) == {"smart": {"use": [MINI, OPUS]}}


def test_where_the_name_has_the_cheaper_one_already_the_policy_is_mended() -> None:
    name = NameFacts(name="smart", models=(OPUS, MINI), stands_on=(OPUS, MINI), policy="ordered")
    models = tuple(replace(m, configured=m.name in name.models) for m in MODELS)
    (finding,) = dearer([row(0)], name, models=models)
    assert pasted(finding) == {"smart": {"route": {"policy": "cheapest"}}}


def test_what_lacks_an_ability_or_room_or_costs_nearly_as_much_is_no_cheaper_one() -> None:
    def with_mini(**changed: Any) -> tuple[ModelFacts, ...]:
        return tuple(replace(m, **changed) if m.name == MINI else m for m in MODELS)

    assert dearer([row(0)], ALIAS, models=with_mini(abilities=("reasoning", "tools"))) == []
    assert dearer([row(0)], ALIAS, models=with_mini(context_tokens=5999)) == []
    assert dearer([row(0)], ALIAS, models=with_mini(context_tokens=None)) == []
    assert dearer([row(0)], ALIAS, models=with_mini(usd_3to1=9)) == []
    assert dearer([row(0)], ALIAS, models=with_mini(available=False)) == []


def test_reasoning_is_needed_only_where_it_was_used() -> None:
    plain = tuple(replace(m, abilities=("document", "image", "tools")) if m.name == MINI else m for m in MODELS)
    thought = replace(usage_of(6000, 100), reasoning_tokens=50)
    assert len(dearer([row(0)], ALIAS, models=plain)) == 1
    assert dearer([row(0), row(1, usage=thought)], ALIAS, models=plain) == []


def test_of_models_that_no_name_has_only_the_one_that_cost_most_is_told_a_cheaper_one() -> None:
    rows = [row(0), row(1), row(2, GPT, asked=GPT)]
    (finding,) = dearer(rows, ALIAS)
    assert finding.name == "smart"
    configured = tuple(replace(m, configured=m.name == MINI) for m in MODELS)
    assert {each.name for each in dearer(rows, ALIAS, models=configured)} == {"smart", GPT}


_PAIR: tuple[tuple[str, Outcome], ...] = ((OPUS, "cancelled"), (MINI, "answered"))


def test_a_name_that_leads_elsewhere_by_now_is_not_advised_on_what_it_cost() -> None:
    assert dearer([row(0)], NameFacts(name="smart", models=(GPT,), stands_on=(GPT,))) == []


def test_every_attempt_counts_at_its_own_model() -> None:
    asked = usage_of(1000, 10)
    first, second = (
        AttemptRow(model=m, outcome=o, began_s=0, took_s=1, usage=asked, cost=Cost(usd=price(m, asked)))
        for m, o in _PAIR
    )
    (finding,) = dearer([row(0, MINI, attempts=(first, second))], ALIAS)
    assert finding.usd == (price(OPUS, asked) or 0) - (price(MINI, asked) or 0)


def test_unknown_costs_are_a_note_and_never_nothing() -> None:
    report = Audit([row(0, cost=Cost(unknown="no price")), row(1, "acme/x", cost=Cost())]).report(facts(ALIAS))
    assert found(report, "price") == []
    (note,) = report.notes
    assert "The cost of 2 requests is not known" in note
    assert "anthropic/opus (1)" in note


def test_the_dearest_finding_comes_first() -> None:
    report = Audit([row(n, **LONG) for n in range(11)]).report(facts(OFF))
    assert [finding.kind for finding in report.findings] == ["price", "prefix", "fallback"]
    assert report.requests == 11


# --- the command -----------------------------------------------------------------------------------------------


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setitem(registry.PROVIDERS, "local", WHERE)
    monkeypatch.setenv("TRIVET_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sesame")
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    monkeypatch.chdir(tmp_path)
    return tmp_path


CLAUDE, SPARE = "anthropic/claude-opus-4-7", "openai/gpt-5.4-mini"
TOML = f"""
[models.smart]
use = "{CLAUDE}"
prompt_cache = false

[models.safe]
use = ["{SPARE}", "{CLAUDE}"]
"""


def asked(folder: Path, *, days_ago: int = 0, **more: Any) -> None:
    """Writes eleven requests into the ledger, ten seconds apart, which a Claude has answered at its price."""
    usage = usage_of(6000, 100)
    # platform.claude.com/docs/en/about-claude/pricing: Opus 4.7 takes $5 and $25 for a million tokens
    cost = Cost(usd=Decimal("0.0325"))
    store = Store(folder / "state" / "ledger.db")
    for n in range(11):
        at = time.time() - 10 * n - 1 - 86_400 * days_ago
        told = {"answering": CLAUDE, "usage": usage, "cost": cost, **LONG, **more}
        store.add(row(n, at=at, **told))
    assert store.flush()
    store.close()


def audit(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(["audit", *args]) == 0
    return capsys.readouterr().out


def test_it_finds_all_three_in_a_real_ledger(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "trivet.toml").write_text(TOML)
    asked(here)
    told = json.loads(audit(capsys, "--json"))
    assert told["requests"] == 11
    dear, prefix, fallback = told["findings"]
    assert [each["kind"] for each in (dear, prefix, fallback)] == ["price", "prefix", "fallback"]
    # $0.50 from a cache and $6.25 to it, on the same page: ten of 5,000 tokens read, and one written
    assert Decimal(prefix["usd"]) == 10 * 5 * Decimal("0.0045") - 5 * Decimal("0.00125")
    # developers.openai.com/api/docs/pricing: GPT-5.4 mini takes $0.75 and $4.50
    assert Decimal(dear["usd"]) == 11 * (Decimal("0.0325") - Decimal("0.00495"))
    assert tomllib.loads(dear["toml"]) == {"models": {"smart": {"use": [SPARE, CLAUDE]}}}
    assert tomllib.loads(fallback["toml"])["models"]["smart"]["use"][0] == CLAUDE
    assert not tomllib.loads(fallback["toml"])["models"]["smart"]["use"][1].startswith("anthropic/")


def test_what_it_says_can_be_pasted_and_is_no_finding_any_more(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "trivet.toml").write_text(TOML)
    asked(here)
    printed = audit(capsys)
    assert "11 requests in" in printed
    assert (
        "1. openai/gpt-5.4-mini costs less than anthropic/claude-opus-4-7, which answers smart: about $0.30" in printed
    )
    toml = next(f["toml"] for f in json.loads(audit(capsys, "--json"))["findings"] if f["kind"] == "fallback")
    (here / "trivet.toml").write_text(toml)
    assert main(["config", "check"]) == 0
    capsys.readouterr()
    left = json.loads(audit(capsys, "--json"))["findings"]
    assert "fallback" not in [each["kind"] for each in left]


def test_a_name_that_is_asked_directly_can_be_mended_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked(here, asked=CLAUDE)
    found = json.loads(audit(capsys, "--json"))["findings"]
    toml = next(each["toml"] for each in found if each["kind"] == "fallback")
    (here / "trivet.toml").write_text(toml)
    assert main(["config", "check"]) == 0
    assert "claude-opus-4-7 -> anthropic/claude-opus-4-7, " in capsys.readouterr().out


def test_with_nothing_to_mend_it_has_a_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked(here, asked="local/smollm2", answering="local/smollm2", cost=Cost(usd=Decimal(0)))
    assert audit(capsys).endswith("ledger.db, since " + _days_ago(30) + ": nothing to mend.\n")


def test_older_requests_count_only_where_they_are_asked_for(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked(here, days_ago=40, asked=CLAUDE)
    assert "has no request" in audit(capsys)
    assert "11 requests in" in audit(capsys, "--since", "50d")


def test_without_a_ledger_it_looks_at_the_configuration_and_says_so(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "trivet.toml").write_text(TOML)
    printed = audit(capsys)
    assert printed.startswith("No request has been written down yet: there is no ")
    assert "1. smart has a single provider and no fallback" in printed
    assert not (here / "state").exists()


def _days_ago(days: int) -> str:
    return (datetime.now() - timedelta(days=days)).strftime("%Y-%m-%d")
