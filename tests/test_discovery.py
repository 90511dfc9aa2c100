"""What `trivet serve` finds without a file: keys in the environment, and servers on this machine at their usual ports.

The ports are those of a row of data, which is exchanged here for one with a free port: nothing depends on what runs on
this machine.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import httpx2
import pytest

from tests.listing_host import listing_host
from tests.local_stub import WHERE
from tests.servers import CEILING_S, start_script
from trivet import registry, situations
from trivet.config import Config, ModelSettings, ProviderSettings, Secret, ServerSettings
from trivet.errors import ConfigError, ProviderError, TransportError
from trivet.providers import discover, hosts
from trivet.providers.hosted import Hosted
from trivet.runtime import Runtime
from trivet.server import found
from trivet.types import replace

SERVERS = {"vllm": 8000, "ollama": 11434, "llama-server": 8080, "lmstudio": 1234, "sglang": 30000}


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """`local` is the stub; each server of one's own is at a port where nothing listens."""
    monkeypatch.setitem(registry.PROVIDERS, "local", WHERE)
    nothing = closed_port()
    for name in SERVERS:
        move(monkeypatch, name, f"http://127.0.0.1:{nothing}/v1")


def move(monkeypatch: pytest.MonkeyPatch, name: str, base: str) -> None:
    monkeypatch.setitem(hosts.HOSTS, name, replace(hosts.HOSTS[name], base_url=base))  # type: ignore[arg-type]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


async def looked(runtime: Runtime) -> tuple[found.Providers, str]:
    """What it found, and what it prints of it."""
    providers = await found.look(runtime)
    return providers, "\n".join(found.before(runtime, ServerSettings(), providers))


def test_the_usual_ports_are_looked_at() -> None:
    rows = {row.name: row.port for row in hosts._ROWS if row.port is not None}
    assert rows == SERVERS


async def test_a_server_on_its_usual_port_is_found_with_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    with listing_host("llama3.2:1b", "qwen3:8b") as host:
        move(monkeypatch, "ollama", host.base)
        async with Runtime() as runtime:
            providers, text = await looked(runtime)
            assert providers.answers == {"ollama": ("llama3.2:1b", "qwen3:8b")}
            assert runtime.names()[:3] == ("local/smollm2", "ollama/llama3.2:1b", "ollama/qwen3:8b")
            assert runtime.model("qwen3:8b").about.name == "ollama/qwen3:8b"
    assert host.asked == [("/v1/models", None)]
    assert f"ollama/MODEL: at {host.base}, lists 2 models" in text
    line = next(line for line in text.splitlines() if "not running" in line)
    assert "ollama" not in line
    assert all(name in line for name in ("vllm at http://127.0.0.1:", "sglang", "llama-server", "lmstudio"))


async def test_what_answers_there_and_is_something_else_is_told_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with listing_host(status=404) as other, listing_host(body=b"<html>a web page</html>") as page:
        move(monkeypatch, "vllm", other.base)
        move(monkeypatch, "llama-server", page.base)
        async with Runtime() as runtime:
            providers, text = await looked(runtime)
    assert dict(providers.ready) == {}
    assert "not used       vllm: " in text
    assert f"is it what listens at {page.base}?" in text


async def test_keys_in_the_environment_are_found_and_one_line_has_those_that_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sesame")
    async with Runtime() as runtime:
        providers, text = await looked(runtime)
    assert dict(providers.ready) == {"anthropic": "ANTHROPIC_API_KEY is set"}
    assert "anthropic/MODEL: ANTHROPIC_API_KEY is set" in text
    (missing,) = [line for line in text.splitlines() if "export one of these" in line]
    assert "OPENAI_API_KEY, " in missing
    assert "ANTHROPIC_API_KEY" not in missing
    assert "sesame" not in text
    assert "whoever is on this machine may ask, and spend what the providers charge" in text


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
async def test_ones_own_port_is_no_server_that_is_not_running(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = closed_port()
    move(monkeypatch, "llama-server", f"http://127.0.0.1:{own}/v1")
    move(monkeypatch, "ollama", f"http://localhost:{own}/v1")
    async with Runtime() as runtime:
        providers = await found.look(runtime, (host, own))
    assert [each.partition(" ")[0] for each in providers.silent] == ["vllm", "sglang", "lmstudio"]


async def test_the_same_port_at_another_address_is_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with listing_host("qwen3:8b") as host:
        move(monkeypatch, "ollama", host.base)
        async with Runtime() as runtime:
            providers = await found.look(runtime, ("192.0.2.1", int(host.base.rpartition(":")[2].partition("/")[0])))
    assert "ollama" in providers.ready


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
async def test_a_blank_key_in_the_environment_is_none(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "GROQ_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, blank)
    async with Runtime() as runtime:
        providers, _ = await looked(runtime)
        assert dict(providers.ready) == {}
        assert {"OPENAI_API_KEY", "GROQ_API_KEY", "GEMINI_API_KEY"} <= set(providers.missing)
        openai = runtime.provider("openai")
        assert openai is not None
        assert discover.key(openai) == "missing"
        assert not discover.of_environment(openai)
        with pytest.raises(ConfigError, match="openai needs a key: set OPENAI_API_KEY"):
            await discover.ask(openai, 1)


async def test_a_key_in_the_environment_makes_no_provider_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    async with Runtime() as runtime:
        await found.look(runtime)
        assert runtime.model().about.name == "local/smollm2"


async def test_with_a_file_what_it_says_is_served_and_nothing_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    with listing_host("llama3.2:1b") as host:
        move(monkeypatch, "ollama", host.base)
        tables = {
            "work": ProviderSettings(kind="openai", base_url="https://llm.example.org/v1", api_key=Secret("k")),
            "home": ProviderSettings(kind="openai"),
            "odd": ProviderSettings(kind="opnai"),
        }
        async with Runtime(Config(providers=tables, path=tmp_path / "trivet.toml")) as runtime:
            providers, text = await looked(runtime)
    assert host.asked == []
    assert dict(providers.ready) == {"work": "openai at https://llm.example.org/v1"}
    assert "home (openai) has no key: set OPENAI_API_KEY, or write api_key" in text
    assert "[providers.odd] kind: there is no kind of provider 'opnai'. Did you mean 'openai'?" in text
    assert "export one of these" not in text


async def test_providers_are_listed_after_the_start_and_a_failure_is_told() -> None:
    with listing_host("gpt-5.5") as well, listing_host(status=500) as ill:
        tables = {
            "well": ProviderSettings(kind="openai", base_url=well.base, api_key=Secret("sesame")),
            "ill": ProviderSettings(kind="openai", base_url=ill.base, api_key=Secret("sesame")),
        }
        async with Runtime(Config(providers=tables, path=Path("trivet.toml"))) as runtime:
            providers = await found.look(runtime)
            assert "well/gpt-5.5" not in runtime.names()
            lines = {line: well async for line, well in found.listings(runtime, providers, CEILING_S)}
            assert runtime.names()[:2] == ("local/smollm2", "well/gpt-5.5")
    assert well.asked == [("/v1/models", "Bearer sesame")]
    assert lines.pop("well lists 1 model") is True
    ((line, fine),) = lines.items()
    assert line.startswith("ill is not listed: ")
    assert "500" in line
    assert line.endswith("Its models can be asked for all the same, as ill/MODEL.")
    assert "sesame" not in line
    assert not fine


async def test_a_key_that_is_refused_is_said_to_be_the_reason() -> None:
    with listing_host(status=401, body=b"sesame is no key") as host:
        tables = {"ill": ProviderSettings(kind="openai", base_url=host.base, api_key=Secret("sesame"))}
        async with Runtime(Config(providers=tables, path=Path("trivet.toml"))) as runtime:
            ((line, fine),) = [told async for told in found.listings(runtime, await found.look(runtime), CEILING_S)]
    assert line == (
        "ill is not listed: ill refuses the key that trivet has for it (401): "
        "check it under [providers.ill], or OPENAI_API_KEY."
    )
    assert not fine


async def test_a_host_that_is_down_is_told_in_whole_sentences() -> None:
    tables = {"ill": ProviderSettings(kind="openai-compatible", base_url=f"http://127.0.0.1:{closed_port()}/v1")}
    async with Runtime(Config(providers=tables, path=Path("trivet.toml"))) as runtime:
        ((line, _),) = [told async for told in found.listings(runtime, await found.look(runtime), CEILING_S)]
    assert line.startswith("ill is not listed: http://127.0.0.1:")
    assert line.endswith("is the address right? Its models can be asked for all the same, as ill/MODEL.")


async def test_what_does_not_answer_in_time_is_given_up() -> None:
    with listing_host(stalls=True) as host:
        settings = ProviderSettings(kind="openai-compatible", base_url=host.base)
        async with Runtime(Config(providers={"slow": settings})) as runtime:
            provider = runtime.provider("slow")
            assert provider is not None
            with pytest.raises(TransportError, match=r"slow did not list its models within 0.01 s"):
                await discover.ask(provider, 0.01)


async def test_servers_are_asked_at_the_same_time() -> None:
    """Each waits until all are being asked."""
    together = asyncio.Barrier(3)

    class Waits(Hosted):
        family, base_url, needs_key = "x", "http://127.0.0.1:1", False

        async def refresh(self) -> tuple[str, ...]:
            await together.wait()
            return ("m",)

    asked = {name: Waits(ProviderSettings(), name=name) for name in "abc"}
    assert await discover.ask_all(asked, CEILING_S) == dict.fromkeys("abc", ("m",))


async def test_an_answer_that_is_no_list_is_a_provider_error_whatever_it_is() -> None:
    for body in (b"", b"[]", b'{"data": 3}', b'{"data": [{"name": "x"}]}', b"\xff"):
        with listing_host(body=body) as host:
            settings = ProviderSettings(kind="openai", base_url=host.base, api_key=Secret("k"))
            async with Runtime(Config(providers={"odd": settings})) as runtime:
                provider = runtime.provider("odd")
                assert provider is not None
                with pytest.raises(ProviderError, match="is it what listens at"):
                    await discover.ask(provider, CEILING_S)


def test_many_models_are_not_all_printed() -> None:
    tables = {f"m{number}": ModelSettings(use=("local/smollm2",)) for number in range(20)}
    runtime = Runtime(Config(models=tables))
    text = "\n".join(found.before(runtime, ServerSettings(), found.Providers()))
    assert f"m7 and {len(runtime.names()) - 8} more, at /v1/models" in text
    assert "m8" not in text


# --- as a process ------------------------------------------------------------------------------------------


def test_trivet_serve_without_a_file_serves_what_it_finds(tmp_path: Path) -> None:
    with listing_host("llama3.2:1b") as ollama, listing_host("gpt-5.5") as openai:
        env = {"OPENAI_API_KEY": "sesame", "TRIVET_HOME": str(tmp_path)}
        bases = [f"ollama={ollama.base}", f"openai={openai.base}"]
        with start_script(Path(__file__), *bases, env=env, cwd=tmp_path) as process:
            process.wait_for("(?m)^openai lists 1 model$")
            assert "ollama/MODEL: at" in process.output
            assert "openai/MODEL: OPENAI_API_KEY is set" in process.output
            assert "sesame" not in process.output
            told = [model["id"] for model in httpx2.get(f"{process.url}/v1/models").json()["data"]]
            assert told[0] == "local/smollm2"
            others = [name for name in told if not name.startswith("local/")]
            assert others == ["openai/gpt-5.5", "ollama/llama3.2:1b", *situations.names()]
            assert httpx2.get(f"{process.url}/v1/models/gpt-5.5").status_code == 200
            assert process.stop() == 0
            assert "not running    start one of these to serve its models: vllm at" in process.output


def test_trivet_serve_does_not_look_for_a_server_at_its_own_port(tmp_path: Path) -> None:
    port = closed_port()
    bases = [f"ollama=http://127.0.0.1:{port}/v1", f"openai=http://127.0.0.1:{closed_port()}/v1", f"port={port}"]
    with start_script(Path(__file__), *bases, env={"TRIVET_HOME": str(tmp_path)}, cwd=tmp_path) as process:
        assert process.stop() == 0
        silent = next(line for line in process.output.splitlines() if "not running" in line)
        assert "vllm at" in silent
        assert "ollama" not in silent


def main(moved: list[str]) -> int:
    """`trivet serve` with the hosts at other addresses: NAME=URL each; servers without one are nowhere. port=NUMBER is
    its own, else any."""
    from trivet.cli import main as trivet
    from trivet.providers.openai import OpenAI

    bases = dict(each.split("=") for each in moved)
    OpenAI.base_url = bases.pop("openai")
    patch = pytest.MonkeyPatch()
    for name in SERVERS:
        move(patch, name, bases.get(name, f"http://127.0.0.1:{closed_port()}/v1"))
    return trivet(["serve", "--port", bases.get("port", "0")])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
