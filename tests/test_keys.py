"""Keys: given out once, known by their digests, changed by other processes while a server runs; and `trivet keys`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.terminal import on_terminal
from trivet.cli import main
from trivet.errors import ConfigError, TrivetError
from trivet.ledger.keys import Keys
from trivet.ledger.limits import PERIODS, UNITS, Limit, amount, counted, told

Printed = pytest.CaptureFixture[str]


class Clock:
    """Seconds, that pass when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.db"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process has the file for itself: in exclusive mode not even readers may come in."""
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode=EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("UPDATE revision SET n = n + 1")
    try:
        yield
    finally:
        holder.execute("ROLLBACK")
        holder.close()


# --- limits ---


@pytest.mark.parametrize(
    ("text", "number", "unit", "per"),
    [
        ("5usd/day", "5", "usd", "day"),
        ("$5/day", "5", "usd", "day"),
        ("0.25 USD / month", "0.25", "usd", "month"),
        ("100k tokens/minute", "100000", "tokens", "minute"),
        ("1.5m tokens per hour", "1500000", "tokens", "hour"),
        ("1,000 requests/week", "1000", "requests", "week"),
        ("0usd/ever", "0", "usd", "ever"),
    ],
)
def test_a_limit_is_read_as_people_write_it(text: str, number: str, unit: str, per: str) -> None:
    limit = Limit.of(text)
    assert (limit.amount, limit.unit, limit.per) == (Decimal(number), unit, per)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("5usd", "does not say in which time"),
        ("5/day", "does not say of what"),
        ("5eur/day", "'eur' is none of usd, requests, tokens"),
        ("5usd/fortnight", "'fortnight' is none of minute, hour"),
        ("1.5 requests/day", "must be a whole number"),
        ("$5 tokens/day", "none of"),
        ("-5usd/day", "cannot be read"),
        ("9999999usd/day", "must be at most 1,000,000"),
    ],
)
def test_what_is_no_limit_says_why_and_what_would_be_one(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)) as found:
        Limit.of(text)
    assert "5usd/day, 60 requests/minute" in found.value.message


@given(
    st.builds(
        lambda whole, unit, per: Limit(amount=Decimal(whole) / (100 if unit == "usd" else 1), unit=unit, per=per),
        st.integers(0, 10**8),
        st.sampled_from(UNITS),
        st.sampled_from(PERIODS),
    )
)
def test_a_limit_reads_what_it_writes(limit: Limit) -> None:
    assert Limit.of(str(limit)) == limit


@pytest.mark.parametrize(
    ("per", "began", "ends"),
    [
        ("minute", "2028-02-29T23:59:00", "2028-03-01T00:00:00"),
        ("hour", "2028-02-29T23:00:00", "2028-03-01T00:00:00"),
        ("day", "2028-02-29T00:00:00", "2028-03-01T00:00:00"),
        ("week", "2028-02-28T00:00:00", "2028-03-06T00:00:00"),  # a Monday: `cal 2 2028`
        ("month", "2028-02-01T00:00:00", "2028-03-01T00:00:00"),
    ],
)
def test_windows_follow_the_calendar_in_utc(per: str, began: str, ends: str) -> None:
    now = datetime(2028, 2, 29, 23, 59, 30, tzinfo=UTC).timestamp()
    window = Limit.of(f"1usd/{per}").window(now)
    assert [datetime.fromtimestamp(at, UTC).isoformat()[:19] for at in window] == [began, ends]


@given(st.sampled_from(PERIODS), st.floats(0, 4e9))
def test_each_moment_is_in_one_window_and_the_next_begins_where_it_ends(per: str, now: float) -> None:
    limit = Limit.of(f"1usd/{per}")
    began, ends = limit.window(now)
    assert began <= now < ends
    assert limit.window(began) == (began, ends)
    if per != "ever":
        assert limit.window(ends)[0] == ends


@given(st.decimals(0, 1000, places=20))
def test_money_is_counted_in_millionths_of_millionths_and_rounded_up(usd: Decimal) -> None:
    back = amount("usd", counted("usd", usd))
    assert 0 <= back - usd < Decimal("1e-12")


def test_amounts_are_told_as_people_write_them() -> None:
    assert told("usd", counted("usd", Decimal("0.0000001"))) == "0.0000001 USD"
    assert told("usd", counted("usd", 20)) == "20 USD"
    assert told("tokens", 12345) == "12,345 tokens"


# --- the file ---


def test_a_key_is_found_by_its_secret_which_is_nowhere_in_the_file(path: Path) -> None:
    keys = Keys(path)
    secret = keys.add("alice", [Limit.of("5usd/day")], ["openai/*"])
    found = keys.find(secret.encode())
    assert found is not None
    assert (found.name, found.limits, found.models) == ("alice", (Limit.of("5usd/day"),), ("openai/*",))
    assert keys.find(b"trivet-else") is None
    written = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"alice" in written
    assert secret.encode() not in written
    assert secret.removeprefix("trivet-").encode() not in written


def test_looking_makes_no_file_and_finds_no_keys(path: Path) -> None:
    keys = Keys(path)
    assert keys.find(b"x") is None
    assert not keys.closed
    assert keys.problem is None
    assert list(path.parent.iterdir()) == []


def test_the_file_is_its_owners_alone(path: Path) -> None:
    Keys(path).add("alice")
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("models", "asked", "allowed"),
    [
        ((), "anything/at-all", True),
        (("openai/*", "smart"), "openai/gpt-5.5", True),
        (("openai/*", "smart"), "smart", True),
        (("openai/*", "smart"), "smarter", False),
        (("openai/*",), "azure/openai/x", False),
        (("*/small-*",), "x/small-1", True),
        (("gpt-5.5",), "gpt-5x5", False),
    ],
)
def test_a_key_may_ask_for_its_models(path: Path, models: tuple[str, ...], asked: str, allowed: bool) -> None:
    keys = Keys(path)
    keys.add("alice", models=models)
    assert keys.all()[0].allows(asked) is allowed


def test_a_key_of_another_process_works_at_once(path: Path) -> None:
    server = Keys(path, clock=Clock())
    assert server.find(b"early") is None  # the server has looked, and its clock stands still
    code = "import sys; from pathlib import Path; from trivet.ledger.keys import Keys"
    code += "; print(Keys(Path(sys.argv[1])).add('bob'))"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    found = server.find(done.stdout.strip().encode())
    assert found is not None
    assert found.name == "bob"
    assert server.closed


def test_what_another_process_revokes_is_refused_after_the_next_look(path: Path) -> None:
    clock = Clock()
    server, other = Keys(path, every_s=1, clock=clock), Keys(path)
    secret = other.add("alice").encode()
    assert server.find(secret) is not None
    other.revoke("alice")
    clock.now += 1
    assert server.find(secret) is None
    assert server.closed  # a server does not open because its last key has gone


def test_other_limits_are_in_force_after_the_next_look_and_an_unchanged_key_is_the_same_object(path: Path) -> None:
    clock = Clock()
    server, other = Keys(path, every_s=1, clock=clock), Keys(path)
    alice, bob = other.add("alice").encode(), other.add("bob").encode()
    before = server.find(bob)
    other.change("alice", [Limit.of("1usd/day")], ["smart"])
    clock.now += 1
    found = server.find(alice)
    assert found is not None
    assert (found.limits, found.models) == ((Limit.of("1usd/day"),), ("smart",))
    assert server.find(bob) is before


def test_a_revoked_name_gets_a_new_secret_and_the_old_one_stays_refused(path: Path) -> None:
    keys = Keys(path)
    old = keys.add("alice").encode()
    with pytest.raises(ConfigError, match="There is a key 'alice' already"):
        keys.add("alice")
    keys.revoke("alice")
    new = keys.add("alice").encode()
    assert keys.find(old) is None
    assert keys.find(new) is not None


@pytest.mark.parametrize("name", ["", "two words", "key-1", "x" * 65, "a/b", "line\n"])
def test_a_name_that_would_be_mistaken_is_refused(path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a key's name"):
        Keys(path).add(name)
    assert not path.exists()


def test_two_limits_of_one_kind_are_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="two limits of usd in one day"):
        Keys(path).add("alice", [Limit.of("1usd/day"), Limit.of("2usd/day")])


# --- where the file cannot be read ---


def refused(keys: Keys, secret: bytes) -> str:
    with pytest.raises(TrivetError) as found:
        keys.find(secret)
    assert (found.value.status, found.value.retry, found.value.asked) == (503, True, False)
    return found.value.message


def spoil(path: Path) -> None:
    """As after a bad disk: nothing of the file is left, nor of what belongs to it."""
    for file in path.parent.glob(f"{path.name}*"):
        file.write_bytes(os.urandom(8192))


def test_while_the_file_is_locked_known_keys_work_and_others_are_not_called_wrong(path: Path) -> None:
    clock = Clock()
    maker = Keys(path)
    secret = maker.add("alice").encode()
    server = Keys(path, clock=clock)
    maker.close()
    server.close()
    with locked(path):
        clock.now += 1
        assert server.find(secret) is not None
        assert "is locked by another process" in refused(server, b"trivet-unknown")
        assert server.problem is not None
        assert "is locked by another process" in refused(Keys(path), secret)
    clock.now += 1
    assert server.find(b"trivet-unknown") is None
    assert server.problem is None


def test_a_damaged_file_takes_no_known_key_away_and_opens_no_server(path: Path) -> None:
    clock = Clock()
    secret = Keys(path).add("alice").encode()
    server = Keys(path, clock=clock)
    spoil(path)
    clock.now += 1
    assert server.find(secret) is not None
    fresh = Keys(path)
    assert fresh.closed
    assert "is damaged" in refused(fresh, secret)


def test_a_client_is_told_why_and_not_where_and_the_log_once_both(path: Path) -> None:
    secret = Keys(path).add("alice").encode()
    spoil(path)
    lines: list[str] = []
    fresh = Keys(path, every_s=0, log=lines.append)
    for _ in range(3):
        told = refused(fresh, secret)
    assert "keys.db is damaged" in told
    assert str(path.parent) not in told
    (line,) = lines
    assert f"{path} is damaged" in line


def test_a_file_that_has_gone_takes_no_known_key_away_and_opens_no_server(path: Path) -> None:
    clock = Clock()
    secret = Keys(path).add("alice").encode()
    server = Keys(path, clock=clock)
    for file in path.parent.iterdir():
        file.unlink()
    clock.now += 1
    assert server.find(secret) is not None
    assert "has gone" in refused(server, b"trivet-unknown")
    assert server.closed
    assert not path.exists()


def test_another_file_in_its_place_is_read(path: Path) -> None:
    clock = Clock()
    old = Keys(path).add("alice").encode()
    server = Keys(path, clock=clock)
    other = path.with_name("other.db")
    new = Keys(other).add("bob").encode()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    os.replace(other, path)
    clock.now += 1
    assert server.find(old) is None
    assert server.find(new) is not None


def test_where_the_file_cannot_be_written_no_key_is_given_out(path: Path) -> None:
    path.mkdir()
    with pytest.raises(TrivetError, match="cannot be opened for writing") as found:
        Keys(path).add("alice")
    assert found.value.status == 503


# --- trivet keys ---


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIVET_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "state" / "keys.db"


def test_add_prints_the_secret_alone_and_tells_the_rest_beside_it(state: Path, capsys: Printed) -> None:
    args = ["--budget", "5usd/day", "--budget", "100usd/month", "--rpm", "60", "--tpm", "100k"]
    assert main(["keys", "add", "alice", *args, "--models", "openai/*, smart"]) == 0
    printed = capsys.readouterr()
    secret = printed.out.strip()
    assert re.fullmatch(r"trivet-[\w-]{43}", secret)
    assert secret not in printed.err
    assert str(state) in printed.err
    found = Keys(state).find(secret.encode())
    assert found is not None
    assert [str(limit) for limit in found.limits] == [
        "5usd/day",
        "100usd/month",
        "60 requests/minute",
        "100k tokens/minute",
    ]
    assert found.models == ("openai/*", "smart")


def test_list_has_a_line_for_each_limit_and_shows_no_secret(state: Path, capsys: Printed) -> None:
    main(["keys", "add", "alice", "--budget", "5usd/ever", "--rpm", "60"])
    main(["keys", "add", "bob"])
    main(["keys", "revoke", "bob"])
    secret = capsys.readouterr().out.split()[0]
    assert main(["keys", "list"]) == 0
    out = capsys.readouterr().out
    lines = [line.split("\t") for line in out.splitlines()]
    assert lines[0] == ["name", "models", "limit", "spent", "left", "until (UTC)", "state"]
    assert lines[1] == ["alice", "all", "5usd/ever", "0", "5", "never", "in force"]
    assert lines[2][:5] == ["alice", "all", "60 requests/minute", "0", "60"]
    assert lines[3][:6] == ["bob", "all", "-", "-", "-", "-"]
    assert lines[3][6].startswith("revoked 2")
    assert secret not in out


def test_list_on_a_terminal_breaks_no_limit_amid_a_word(state: Path, capsys: Printed, tmp_path: Path) -> None:
    assert main(["keys", "add", "ann", "--tpm", "100k", "--budget", "5usd/day", "--models", "openai/*,smart"]) == 0
    shown = on_terminal(tmp_path, 100, "keys", "list")
    assert "100k tokens/minute" in shown
    assert shown.count("in force") == 2


def test_list_as_json_has_exact_amounts(state: Path, capsys: Printed) -> None:
    main(["keys", "add", "alice", "--budget", "0.1usd/ever"])
    capsys.readouterr()
    assert main(["keys", "list", "--json"]) == 0
    (key,) = json.loads(capsys.readouterr().out)
    assert key["revoked"] is None
    assert key["limits"] == [
        {
            "limit": "0.1usd/ever",
            "unit": "usd",
            "per": "ever",
            "amount": "0.1",
            "spent": "0",
            "reserved": "0",
            "left": "0.1",
            "ends": None,
        }
    ]


def test_change_takes_the_place_of_limits_of_the_same_unit_and_leaves_the_rest(state: Path, capsys: Printed) -> None:
    main(["keys", "add", "alice", "--budget", "5usd/day", "--rpm", "60", "--models", "smart"])
    assert main(["keys", "change", "alice", "--budget", "7usd/week"]) == 0
    assert capsys.readouterr().out.endswith("alice: 60 requests/minute, 7usd/week; models: smart\n")
    assert main(["keys", "change", "alice", "--unlimited"]) == 0
    assert capsys.readouterr().out == "alice: no limits; models: smart\n"
    assert main(["keys", "change", "alice"]) == 1
    assert "Nothing to change" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["add", "alice"], "There is a key 'alice' already"),
        (["add", "bob", "--budget", "5eur/day"], "'eur' is none of usd, requests, tokens"),
        (["add", "bob", "--rpm", "many"], "The limit 'many requests/minute' is not right"),
        (["add", "bob", "--models", "a,,b"], "A model's name is empty"),
        (["revoke", "alic"], "No key is called 'alic'. Did you mean 'alice'?"),
        (["change", "zzz", "--rpm", "1"], "No key is called 'zzz'. There are: alice."),
    ],
)
def test_what_is_wrong_is_said(state: Path, capsys: Printed, args: list[str], said: str) -> None:
    main(["keys", "add", "alice"])
    capsys.readouterr()
    assert main(["keys", *args]) == 1
    assert said in capsys.readouterr().err


def test_the_file_is_the_one_that_the_configuration_names(state: Path, capsys: Printed, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[budgets]\npath = "mine.db"\n')
    assert main(["keys", "add", "alice", "--config", "mine.toml"]) == 0
    assert (tmp_path / "mine.db").exists()
    assert not state.exists()


def test_list_says_so_where_the_file_is_damaged(state: Path, capsys: Printed) -> None:
    main(["keys", "add", "alice"])
    spoil(state)
    assert main(["keys", "list"]) == 1
    assert "is damaged" in capsys.readouterr().err
