"""A server that counts: what each request has cost, who may spend how much, and what happens when its files fail."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from tests.faults import Faults, faulty
from tests.servers import CEILING_S, ROOT, Process, start_trivet

CHAT = "/v1/chat/completions"
PRICE = "input = 1000\noutput = 1000\n"  # a thousandth of a dollar for each token
BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Which river?"}], "max_tokens": 10}


class Place:
    """A folder with a trivet.toml, whose provider `up` fails as a model's name says; and the state of its servers."""

    def __init__(self, folder: Path, upstream: Faults) -> None:
        self.folder, self.upstream = folder, upstream
        self.env = {"TRIVET_STATE": str(folder), "TRIVET_HOME": str(folder / "weights")}  # there are none to load
        self.write("")

    def write(self, more: str) -> None:
        (self.folder / "trivet.toml").write_text(
            f'[providers.up]\nkind = "openai-compatible"\nbase_url = "{self.upstream.url}/v1"\n'
            f'[prices."up/healthy"]\n{PRICE}[prices."up/ends-early"]\n{PRICE}'
            f'[models.smart]\nuse = ["up/healthy"]\n{more}'
        )

    @contextmanager
    def serving(self) -> Iterator[Process]:
        with start_trivet(cwd=self.folder, env=self.env) as process:
            yield process

    def command(self, *arguments: str) -> str:
        env = {"PATH": "", "PYTHONPATH": str(ROOT), **self.env}
        command = [sys.executable, "-m", "trivet", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=CEILING_S)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def key(self, name: str, *arguments: str) -> str:
        words = self.command("keys", "add", name, *arguments).split()
        return next(word for word in words if word.startswith("trivet-"))

    def ledger(self, what: str) -> Any:
        with sqlite3.connect(self.folder / "ledger.db") as connection:
            return connection.execute(what).fetchall()


@pytest.fixture(scope="module")
def upstream() -> Iterator[Faults]:
    with faulty() as faults:
        yield faults


@pytest.fixture
def place(tmp_path: Path, upstream: Faults) -> Place:
    return Place(tmp_path, upstream)


def ask(process: Process, model: str = "smart", *, key: str | None = None, path: str = CHAT, **more: Any) -> Any:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    headers |= more.pop("headers", {})
    return httpx2.post(process.url + path, json={"model": model, **BODY, **more}, headers=headers, timeout=CEILING_S)


def row(process: Process, id: str, key: str | None = None) -> Any:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return get(process, f"/trivet/requests/{id}", headers=headers)


def get(process: Process, path: str, **options: Any) -> Any:
    return httpx2.get(process.url + path, timeout=CEILING_S, **options)


# --- the ledger --------------------------------------------------------------------------------------------------


def test_a_whole_answer_says_what_it_cost_and_the_ledger_has_the_request(place: Place) -> None:
    with place.serving() as process:
        answer = ask(process)
        used = answer.json()["usage"]
        cost = Decimal(used["total_tokens"]) / 1000
        assert Decimal(answer.headers["x-trivet-cost"]) == cost
        found = row(process, answer.headers["x-trivet-request-id"]).json()
        assert (found["asked"], found["model"], found["outcome"], found["task"]) == (
            *("smart", "up/healthy", "answered", "chat"),
        )
        assert (Decimal(found["cost"]["usd"]), found["cost"]["source"]) == (cost, "trivet.toml")
        assert found["usage"]["output_tokens"] == used["completion_tokens"]


def test_a_stream_has_its_cost_in_the_ledger_when_it_is_over(place: Place) -> None:
    with place.serving() as process:
        answer = ask(process, stream=True, stream_options={"include_usage": True})
        assert "x-trivet-cost" not in answer.headers
        found = row(process, answer.headers["x-trivet-request-id"]).json()
        assert found["stream"]
        told = json.loads(answer.text.strip().removesuffix("data: [DONE]").strip().rpartition("data: ")[2])
        assert Decimal(found["cost"]["usd"]) == Decimal(told["usage"]["total_tokens"]) / 1000


def test_a_stream_that_was_cut_is_an_estimate(place: Place) -> None:
    with place.serving() as process:
        answer = ask(process, "up/ends-early", stream=True)
        found = row(process, answer.headers["x-trivet-request-id"]).json()
        assert (found["outcome"], found["cost"]["estimate"]) == ("failed", True)
        assert Decimal(found["cost"]["usd"]) > 0


def test_a_request_that_is_not_known_is_a_404_that_says_when_it_would_be(place: Place) -> None:
    with place.serving() as process:
        answer = row(process, "req_of_nobody")
        assert answer.status_code == 404
        assert "when the request is over" in answer.json()["error"]["message"]


def test_nothing_is_counted_where_the_ledger_is_off(place: Place) -> None:
    place.write("[ledger]\nenabled = false\n")
    with place.serving() as process:
        answer = ask(process)
        assert answer.status_code == 200
        assert "x-trivet-cost" not in answer.headers
        assert "enabled = false" in row(process, answer.headers["x-trivet-request-id"]).json()["error"]["message"]
    assert not (place.folder / "ledger.db").exists()


def test_a_key_with_limits_is_refused_where_nothing_is_counted(place: Place) -> None:
    place.write("[ledger]\nenabled = false\n")
    free, limited = place.key("free"), place.key("limited", "--rpm", "1")
    with place.serving() as process:
        assert "none, [ledger] has enabled = false; keys with limits" in process.output
        assert ask(process, key=free).status_code == 200
        refused = ask(process, key=limited)
        assert refused.status_code == 503
        assert "enabled = false" in refused.json()["error"]["message"]


def test_what_was_asked_until_the_end_is_in_the_file_after_it(place: Place) -> None:
    with place.serving() as process:
        for _ in range(5):
            ask(process)
    assert place.ledger("SELECT count(*), count(DISTINCT id) FROM requests WHERE outcome = 'answered'") == [(5, 5)]
    assert place.ledger("SELECT count(*) FROM attempts") == [(5,)]


def test_a_ledger_that_is_damaged_while_serving_fails_no_request_and_is_told(place: Place) -> None:
    with place.serving() as process:
        ask(process)
        (place.folder / "ledger.db-wal").unlink(missing_ok=True)
        (place.folder / "ledger.db").write_bytes(b"no database at all " * 1000)
        for _ in range(3):
            assert ask(process).status_code == 200
    assert place.ledger("SELECT count(*) >= 3 FROM requests") == [(1,)]


def test_a_ledger_that_cannot_be_written_fails_no_request_and_health_says_so(place: Place) -> None:
    place.write('[ledger]\npath = "a-file/ledger.db"\n')
    (place.folder / "a-file").write_text("in the place of the folder")
    with place.serving() as process:
        assert ask(process).status_code == 200
        process.wait_for("The ledger is not written, .*a-file")
        assert "ledger" in get(process, "/health").json()["counting"]
        assert "trivet_ledger_problem 1.0" in get(process, "/metrics").text


def test_live_is_told_from_ready_which_a_server_is_not_without_the_weights_of_its_default(place: Place) -> None:
    place.write('[models.default]\nuse = ["local/smollm2"]\n')
    with place.serving() as process:
        process.wait_for("not ready: Weights are missing")
        assert (get(process, "/health/live").status_code, get(process, "/health/ready").status_code) == (200, 503)


def test_a_server_of_hosted_models_is_ready_without_weights(place: Place) -> None:
    with place.serving() as process:
        process.wait_for("no default model: Weights are missing")
        ready = get(process, "/health/ready")
        assert (ready.status_code, ready.json()["ready"]) == (200, True)


def test_at_the_start_it_says_where_the_ledger_is_and_which_keys_are_in_force(place: Place) -> None:
    with place.serving() as process:
        assert f"  ledger         {place.folder / 'ledger.db'}\n" in process.output
        assert re.search("keys +none: whoever is on this machine may ask", process.output)
    place.key("ann")
    place.key("bob")
    place.command("keys", "revoke", "bob")
    place.write('[ledger]\nretention_days = 90\n[server]\nkeys = ["sesame"]\n')
    with place.serving() as process:
        process.wait_for("python -c .*\n")
        assert "ledger.db, rows are kept for 90 days\n" in process.output
        assert f"1 of the configuration; 1 in force of `trivet keys`, in {place.folder / 'keys.db'}\n" in process.output
        assert "Bearer $TRIVET_KEY" in process.output
    place.write("")
    place.command("keys", "revoke", "ann")
    with place.serving() as process:
        assert "keys           none in force of `trivet keys`" in process.output
        assert ask(process).status_code == 401
    (place.folder / "keys.db").write_bytes(b"no database at all " * 1000)
    with place.serving() as process:
        assert "those of `trivet keys` cannot be read: " in process.output


# --- keys --------------------------------------------------------------------------------------------------------


def test_keys_are_in_force_without_a_restart_and_each_sees_its_own_requests(place: Place) -> None:
    with place.serving() as process:
        assert ask(process).status_code == 200  # nobody needs a key yet
        ann, bob = place.key("ann"), place.key("bob")
        while ask(process).status_code == 200:
            pass  # until it has looked: within a second
        assert ask(process, key=ann).status_code == 200
        assert ask(process, key="wrong").status_code == 401
        mine = ask(process, key=ann).headers["x-trivet-request-id"]
        assert row(process, mine, ann).json()["key"] == "ann"
        assert row(process, mine, bob).status_code == 404
        place.command("keys", "revoke", "bob")
        with place.serving() as another:  # one that has never seen the key
            assert ask(another, key=bob).status_code == 401


def test_a_key_asks_for_the_models_that_it_may_ask_for_and_sees_no_others(place: Place) -> None:
    place.write('[models.other]\nuse = ["up/429"]\n')
    key = place.key("ann", "--models", "smart")
    with place.serving() as process:
        assert ask(process, key=key).status_code == 200
        refused = ask(process, "other", key=key)
        assert refused.status_code == 403
        assert "may ask for smart" in refused.json()["error"]["message"]
        listed = get(process, "/v1/models", headers={"authorization": f"Bearer {key}"}).json()["data"]
        assert [model["id"] for model in listed] == ["smart"]


def test_a_limit_is_a_429_with_retry_after_in_the_clients_own_protocol(place: Place) -> None:
    key = place.key("ann", "--rpm", "1")
    with place.serving() as process:
        gpt = openai.OpenAI(base_url=f"{process.url}/v1", api_key=key, max_retries=0)
        claude = anthropic.Anthropic(base_url=process.url, api_key=key, max_retries=0)
        with gpt, claude:
            with pytest.raises(openai.RateLimitError) as told:  # by the third, in whichever minutes they are
                _ = [gpt.chat.completions.create(model="smart", **BODY) for _ in range(3)]
            assert 0 < int(told.value.response.headers["retry-after"]) <= 60
            assert told.value.response.headers["x-should-retry"] == "true"
            with pytest.raises(anthropic.RateLimitError, match="request"):
                _ = [claude.messages.create(model="smart", **BODY) for _ in range(3)]


def test_a_budget_that_is_spent_is_a_429_that_says_when_it_begins_anew(place: Place) -> None:
    key = place.key("ann", "--budget", "0.5usd/day")
    with place.serving() as process:
        statuses = [ask(process, key=key).status_code for _ in range(20)]
        assert statuses[0] == 200
        refused = ask(process, key=key)
        assert refused.status_code == 429
        assert "day" in refused.json()["error"]["message"]
        assert refused.headers["x-should-retry"] == "false"
    (spent,) = place.ledger("SELECT total(usd) FROM requests")[0]
    assert spent <= 0.5


def test_an_unknown_price_under_a_budget_is_refused_and_names_the_setting(place: Place) -> None:
    key = place.key("ann", "--budget", "100usd/day")
    with place.serving() as process:
        refused = ask(process, "up/drips", key=key)
        assert refused.status_code == 429
        assert '[prices."up/drips"]' in refused.json()["error"]["message"]


def test_charges_without_a_bound_are_refused_under_a_budget_unless_they_are_allowed(place: Place) -> None:
    key = place.key("ann", "--budget", "100usd/day")
    with place.serving() as process:
        refused = ask(process, key=key, web_search_options={})
        assert ask(process, key=key, web_search_options={"search_context_size": "low"}).status_code == 429
        assert refused.status_code == 200  # an empty field asks for nothing: it is the host's to refuse
    place.write("[budgets]\nallow_unbounded = true\n")
    with place.serving() as process:
        assert ask(process, key=key, web_search_options={"search_context_size": "low"}).status_code == 200


@pytest.mark.parametrize("policy", ["deny", "allow"])
def test_a_file_of_keys_that_cannot_be_used_is_never_a_401_for_a_valid_key(place: Place, policy: str) -> None:
    place.write(f'[budgets]\non_store_failure = "{policy}"\n')
    key = place.key("ann", "--budget", "100usd/day")
    with place.serving() as process:
        assert ask(process, key=key).status_code == 200
        for file in place.folder.glob("keys.db*"):
            file.unlink()
        (place.folder / "keys.db").write_bytes(b"no database at all " * 1000)
        answers = [ask(process, key=key) for _ in range(3)]
        assert {answer.status_code for answer in answers} <= ({200, 503} if policy == "deny" else {200})
        assert ask(process, key="never seen").status_code in (401, 503)


# --- many at once --------------------------------------------------------------------------------------------------


def flood(processes: list[Process], key: str, requests: int) -> list[int]:
    """As many requests as that at once, spread over the servers; the statuses of their answers."""

    async def main() -> list[int]:
        limits = httpx2.Limits(max_connections=100)
        async with httpx2.AsyncClient(limits=limits, timeout=CEILING_S) as client:

            async def one(i: int) -> int:
                url = processes[i % len(processes)].url + CHAT
                answer = await client.post(
                    url, json={"model": "smart", **BODY}, headers={"authorization": f"Bearer {key}"}
                )
                return answer.status_code

            return list(await asyncio.gather(*(one(i) for i in range(requests))))

    return asyncio.run(main())


@pytest.mark.parametrize("servers", [1, 2])
def test_no_number_of_requests_at_once_overruns_a_budget(place: Place, servers: int) -> None:
    """500 against a budget for 100. The last of it is less than what a request may cost at most, and so is left."""
    probe = place.key("probe")
    with place.serving() as first:
        each = Decimal(ask(first, key=probe).headers["x-trivet-cost"])
        key = place.key("ann", "--budget", f"{100 * each}usd/day")
        if servers == 1:
            statuses = flood([first], key, 500)
        else:
            with place.serving() as second:
                statuses = flood([first, second], key, 500)
    assert set(statuses) == {200, 429}
    costs = [
        Decimal(usd) for (usd,) in place.ledger("SELECT usd FROM requests WHERE key = 'ann' AND outcome = 'answered'")
    ]
    assert costs == [each] * statuses.count(200)
    assert 80 < len(costs) <= 100


# --- another configuration ----------------------------------------------------------------------------------------


def reloaded(process: Process, told: str = "reloaded") -> None:
    process.signal(signal.SIGHUP)
    process.wait_for(told)


def test_a_name_that_a_reload_brings_is_told_apart_in_metrics(place: Place) -> None:
    with place.serving() as process:
        place.write('[models.later]\nuse = ["up/429"]\n')
        reloaded(process)
        assert ask(process, "later").status_code == 429
        assert 'trivet_requests_total{asked="later"' in get(process, "/metrics").text


def test_a_server_whose_file_of_keys_has_gone_is_not_opened_by_a_reload(place: Place) -> None:
    key = place.key("ann")
    with place.serving() as process:
        assert ask(process, key=key).status_code == 200
        for file in place.folder.glob("keys.db*"):
            file.unlink()
        place.write("[ledger]\nretention_days = 30\n")  # with it, all that counts is made anew
        while ask(process, key="wrong").status_code != 503:
            pass  # until it has looked: within a second
        reloaded(process, "not reloaded, .*keys.db has gone: put it back")
        assert ask(process).status_code == 401
