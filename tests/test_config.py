"""trivet.toml: what is taken, and what each mistake is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trivet.config import Config, ModelSettings, ProviderSettings, Secret, is_path, load, nearest
from trivet.errors import ConfigError


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "trivet.toml"
        path.write_text(text, "utf-8")
        return path

    return write


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message.replace(str(path), "FILE")


def test_every_table_arrives_with_its_values(written) -> None:
    config = load(
        written(
            """
            [server]
            host = "0.0.0.0"
            port = 9000
            keys = ["sesame"]
            max_body_mb = 1
            grace_s = 2.5
            [local]
            threads = 3
            context = 2048
            slots = 2
            [providers.work]
            kind = "openai"
            base_url = "https://example.org/v1"
            api_key = "secret"
            [models.smart]
            use = ["local/smollm2"]
            [models.medical]
            base = "smart"
            system = "You are a doctor."
            """
        )
    )
    assert (config.server.host, config.server.port, config.server.keys) == ("0.0.0.0", 9000, ("sesame",))
    assert (config.server.max_body_mb, config.server.grace_s) == (1, 2.5)
    assert (config.local.threads, config.local.context, config.local.slots) == (3, 2048, 2)
    assert config.providers["work"] == ProviderSettings(
        kind="openai", base_url="https://example.org/v1", api_key="secret"
    )
    assert config.models["smart"] == ModelSettings(use=("local/smollm2",))
    assert config.models["medical"] == ModelSettings(base="smart", system="You are a doctor.")


def test_an_empty_file_is_the_defaults(written) -> None:
    path = written("")
    assert load(path) == Config(path=path)
    assert (Config().server.host, Config().server.port, Config().server.keys) == ("127.0.0.1", 8484, ())


def test_use_may_be_a_string(written) -> None:
    assert load(written('[models.a]\nuse = "local/smollm2"')).models["a"].names == ("local/smollm2",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[sever]", "FILE: the table 'sever' is unknown. Did you mean 'server'?"),
        ("prot = 1", "FILE: the table 'prot' is unknown."),
        ("[server]\nprot = 1", "FILE: [server]: the key 'prot' is unknown. Did you mean 'port'?"),
        ("[local]\nthread = 1", "FILE: [local]: the key 'thread' is unknown. Did you mean 'threads'?"),
        (
            '[providers.x]\nbase_uri = ""',
            "FILE: [providers.x]: the key 'base_uri' is unknown. Did you mean 'base_url'?",
        ),
        ('[models.x]\nsytem = ""', "FILE: [models.x]: the key 'sytem' is unknown. Did you mean 'system'?"),
        ("[server]\nqqqq = 1", "the key 'qqqq' is unknown. There are: host, port, keys, max_body_mb, grace_s."),
    ],
)
def test_an_unknown_key_names_file_table_and_the_nearest(written, text: str, told: str) -> None:
    assert told in refused(written(text))


@pytest.mark.parametrize("key", ["index", "tools", "adapter", "choose", "eval", "budget"])
def test_a_key_that_comes_later_is_told_so(written, key: str) -> None:
    message = refused(written(f'[models.x]\nbase = "local/smollm2"\n{key} = "y"'))
    assert f"[models.x]: the key {key!r} is not there yet" in message


def test_a_table_that_comes_later_is_told_so(written) -> None:
    assert "the table 'evals' is not there yet" in refused(written("[evals]"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[server]\nport = "80"', "FILE: [server] port: expected `int`, got `str`."),
        ("[server]\nport = 70000", "FILE: [server] Port is 70000, must be between 0 and 65535."),
        ("[server]\nkeys = [1]", "FILE: [server] keys[0]: expected `str`, got `int`."),
        ("[server]\nmax_body_mb = 0", "max_body_mb is 0.0, must be more than 0"),
        ("[server]\ngrace_s = -1", "grace_s is -1.0, must be at least 0"),
        ("[local]\nslots = 0", "slots is 0, must be at least 1"),
        ("server = 3", "FILE: server must be a table, [server], and is a number."),
        ("models = 3", "FILE: models must be tables, [models.NAME], and is a number."),
        (
            '[models]\nbase = "x"',
            "FILE: [models] has a key 'base' that is a string. Its tables have names: write [models.NAME] above it.",
        ),
        ('[models.""]\nbase = "x"', "has an empty name"),
        ("[providers.local]", "embedded models have a table of their own. Write [local]."),
    ],
)
def test_a_wrong_value_names_table_and_key(written, text: str, told: str) -> None:
    assert told.lower() in refused(written(text)).replace("FILE", "file").lower()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('use = ["a/b"]\nbase = "a/b"', "has both use and base"),
        ('system = "x"', "names no model"),
        ("use = []", "names no model"),
        ('use = ["a/b", "a/b"]', "use has a name twice"),
        ('base = "a/b"\nroute = {}', "route is for the names of use"),
        ('use = ["a/b", "c/d"]\nroute = {policy = "weighted", weights = [1]}', "1 weights, and use 2 names"),
        ('use = ["a/b"]\nroute = {weights = [1]}', "weights are for policy = \"weighted\", and it is 'ordered'"),
        ('use = ["a/b"]\nroute = {policy = "weighted", weights = [0]}', "weights are shares"),
        ('use = ["a/b"]\nroute = {policy = "random"}', "invalid enum value 'random'"),
        ('use = ["a/b"]\nroute = {hedge_s = 0}', "hedge_s is 0.0, must be more than 0"),
        ('use = ["a/b"]\nroute = {retries = 11}', "retries is 11, must be between 0 and 10"),
        ('use = ["a/b"]\nroute = {hedge = 1}', "[models.x.route]: the key 'hedge' is unknown. Did you mean 'hedge_s'?"),
        ('use = [""]', "use has an empty name"),
        ('use = ["a/b"]\nsystem = "x"', "write base in place of use"),
        ('base = "a/b"\nsystem = ""', "system is empty"),
    ],
)
def test_a_model_is_an_alias_or_an_adapted_base(written, text: str, told: str) -> None:
    message = refused(written("[models.x]\n" + text))
    assert told in message
    assert "FILE: [models.x" in message


@pytest.mark.parametrize(
    ("text", "line"), [("[server\nport = 1", "line 1"), ("[server]\nport = 1\nport = 2", "line 3"), ("x = '", "line 1")]
)
def test_a_syntax_error_names_file_and_line(written, text: str, line: str) -> None:
    message = refused(written(text))
    assert message.startswith("FILE is not valid TOML")
    assert line in message


def test_a_file_that_cannot_be_read_is_told(written, tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none.toml")
    assert "cannot be read" in refused(tmp_path)
    path = written("")
    path.write_bytes(b"# caf\xe9")
    assert "not UTF-8" in refused(path)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "trivet.toml"
    path.write_bytes(b"\xef\xbb\xbf[server]\nport = 1")
    assert load(path).server.port == 1


def test_secrets_come_from_the_environment(written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_A", "alpha")
    monkeypatch.setenv("KEY_B", "beta")
    config = load(written('[server]\nkeys = ["env:KEY_A"]\n[providers.x]\napi_key = "env:KEY_B"'))
    assert config.server.keys == ("alpha",)
    assert config.providers["x"].api_key == "beta"


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_secret_names_the_variable(written, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("KEY_A", raising=False)
    if value is not None:
        monkeypatch.setenv("KEY_A", value)
    message = refused(written('[server]\nkeys = ["env:KEY_A"]'))
    assert "[server] keys: the environment variable KEY_A is " in message


def test_nothing_that_prints_a_configuration_shows_a_secret(written) -> None:
    config = load(written('[server]\nkeys = ["sesame"]\n[providers.x]\napi_key = "sesame"'))
    secret = config.server.keys[0]
    assert isinstance(secret, Secret)
    for shown in (repr(config), str(config), f"{config}", str(secret), f"{secret:>20}", repr([secret])):
        assert "sesame" not in shown
    assert secret.reveal() == "sesame"
    assert secret.encode() == b"sesame"


def test_a_cycle_is_shown(written) -> None:
    text = '[models.a]\nbase = "b"\n[models.b]\nuse = ["c"]\n[models.c]\nbase = "b"'
    assert "FILE: [models.b] stands on itself: b -> c -> b." in refused(written(text))
    assert "x -> x" in refused(written('[models.x]\nbase = "x"'))


def test_a_cycle_is_refused_in_python_too() -> None:
    with pytest.raises(ConfigError, match="a -> a"):
        Config(models={"a": ModelSettings(use=("a",))})


def test_paths_count_from_the_file(written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    config = load(
        written(
            """
            [local]
            home = "weights"
            draft = "../draft.gguf"
            chat_template = "~/t.jinja"
            [models.mine]
            base = "./mine.gguf"
            [models.theirs]
            use = ["sub/theirs.gguf"]
            [models.known]
            base = "local/smollm2"
            [models."own.gguf"]
            use = ["local/smollm2"]
            [models.own]
            base = "own.gguf"
            """
        )
    )
    assert config.local.home == str(tmp_path / "weights")
    assert config.local.draft == str(tmp_path.parent / "draft.gguf")
    assert config.local.chat_template == str(tmp_path / "user" / "t.jinja")
    assert config.models["mine"].base == str(tmp_path / "mine.gguf")
    assert config.models["theirs"].names == (os.fspath(tmp_path / "sub" / "theirs.gguf"),)
    assert config.models["known"].base == "local/smollm2"
    assert config.models["own"].base == "own.gguf"


def test_paths_of_a_relative_file_are_absolute(written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written('[local]\nhome = "weights"')
    monkeypatch.chdir(tmp_path)
    assert load("trivet.toml").local.home == str(tmp_path / "weights")


def test_what_looks_like_a_path_is_one() -> None:
    assert all(is_path(n) for n in ("./x", "../x", "/x", "~/x.gguf", "x.gguf", "a/b.gguf"))
    assert not any(is_path(n) for n in ("local/smollm2", "smollm2", "hf", ".hidden", "gguf"))


def test_the_nearest_name_looks_at_the_part_after_the_slash() -> None:
    known = ["local/smollm2", "medical"]
    assert nearest("smollm2", known) == "local/smollm2"
    assert nearest("SmolLM2", known) == "local/smollm2"
    assert nearest("smolm2", known) == "local/smollm2"
    assert nearest("local/smolm", known) == "local/smollm2"
    assert nearest("medicla", known) == "medical"
    assert nearest("gpt-5.5", known) is None
