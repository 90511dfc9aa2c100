"""What it costs to count: the gateway with keys, budgets, ledger, routing, prompt caches and metrics on, against the
bare pass-through of the same run; and beside it LiteLLM's proxy, where `make bench-peers` has installed it.

A key with a budget, a limit of requests and one of tokens asks for a route of two models with prices, as the routed
side of `gateway.py` does. LiteLLM does what its proxy does by itself: no keys, no database, no budgets."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.request import Request, urlopen

from benchmarks.gateway import CHAT, ROUNDS, ROUTE, Running, Side, nginx, once, process, wrk
from benchmarks.memory import MB
from benchmarks.pairs import Row, at_least, at_most, progress, rounds

ALL_ON = "all on"
LOAD = 0.7  # of the most requests/s that it has answered, for the 99th percentile
CONNECTIONS = 32
PEERS = Path(__file__).parent.parent / ".venv-peers" / "bin"
LITELLM = """model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "{upstream}/v1", api_key: none}}
"""


def counted() -> list[Row]:
    missing = [name for name in ("wrk", "nginx") if shutil.which(name) is None]
    if missing:
        return [Row("all on", "–", f"not measured: {' and '.join(missing)} not installed", "–", None)]
    with tempfile.TemporaryDirectory() as name, _started(Path(name)) as (sides, pids):
        folder = Path(name)
        rows = [*_added(folder, sides), *_rates(folder, sides), _memory(ALL_ON, pids[ALL_ON])]
        if "LiteLLM" in pids:
            rows.append(_memory("LiteLLM", pids["LiteLLM"]))
        return rows


def _added(folder: Path, sides: Mapping[str, Side]) -> list[Row]:
    """The median that each side adds to the upstream's own, with one connection."""
    runs = {name: lambda side=side: wrk(folder, side, 1).median_ms for name, side in sides.items()}
    found = rounds("added, all on", runs, ROUNDS)
    own = found.pop("upstream")
    added = {name: [ms - base for ms, base in zip(values, own, strict=True)] for name, values in found.items()}
    rows = []
    for name in (name for name in added if name != "bare"):
        ratios = [ms / bare for ms, bare in zip(added[name], added["bare"], strict=True)]
        detail = f"{statistics.median(added[name]):.3f} against {statistics.median(added['bare']):.3f} ms"
        what = f"added median, 1 connection: {name}"
        rows.append(
            at_most(2, "×", what, ratios, detail, digits=2) if name == ALL_ON else _beside(what, ratios, detail)
        )
    return rows


def _rates(folder: Path, sides: Mapping[str, Side]) -> list[Row]:
    asked = {name: side for name, side in sides.items() if name != "upstream"}
    runs = {name: lambda side=side: wrk(folder, side, CONNECTIONS).rate for name, side in asked.items()}
    found = rounds("requests/s, all on", runs, ROUNDS)
    rows = []
    for name in (name for name in found if name != "bare"):
        ratios = [rate / bare for rate, bare in zip(found[name], found["bare"], strict=True)]
        detail = f"{statistics.median(found[name]):,.0f} against {statistics.median(found['bare']):,.0f} requests/s"
        what = f"requests/s, {CONNECTIONS} connections: {name}"
        rows.append(at_least(0.45, what, ratios, detail) if name == ALL_ON else _beside(what, ratios, detail))
    if "LiteLLM" in found:
        ratios = [own / peer for own, peer in zip(found[ALL_ON], found["LiteLLM"], strict=True)]
        rows.append(at_least(30, f"requests/s, {CONNECTIONS} connections: all on, against LiteLLM", ratios, ""))
    return [*rows, _slowest(folder, sides[ALL_ON], statistics.median(found[ALL_ON]))]


def _slowest(folder: Path, side: Side, most: float) -> Row:
    """The 99th percentile where requests come at 70 % of what it can answer."""
    target, values, rates = LOAD * most, [], []
    pause_ms = 1000 * CONNECTIONS / target
    for _ in range(3):  # what an answer takes is part of the time between two requests
        found = wrk(folder, side, CONNECTIONS, pause_ms=pause_ms)
        pause_ms *= found.rate / target
    for i in range(ROUNDS):
        progress("99th percentile", i + 1, ROUNDS)
        found = wrk(folder, side, CONNECTIONS, pause_ms=pause_ms, seconds=3)
        values.append(found.p99_ms)
        rates.append(found.rate)
    detail = f"at {statistics.median(rates):,.0f} requests/s, {statistics.median(rates) / most:.0%} of the most"
    return at_most(10, "ms", "99th percentile at 70 % of that load: all on", values, detail, digits=2)


def _memory(name: str, pid: int) -> Row:
    status = Path(f"/proc/{pid}/status").read_text()
    mb = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) * 1024 / MB
    what = f"resident memory after that: {name}"
    if name == ALL_ON:
        return at_most(100, "MB", what, [mb, mb], "")
    return Row(what, "–", f"{mb:.0f} MB", "–", None)


def _beside(what: str, ratios: list[float], detail: str) -> Row:
    return at_least(None, what, ratios, detail)


@contextlib.contextmanager
def _started(folder: Path) -> Iterator[tuple[dict[str, Side], dict[str, int]]]:
    """Everything running: who is asked what, and the processes whose memory is looked at."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(nginx(folder))
        bare = stack.enter_context(process("-m", "benchmarks.passthrough", upstream, "aiohttp")).url
        trivet, key = stack.enter_context(_trivet(folder, upstream))
        body = {**CHAT, "max_tokens": 100}
        sides = {
            "upstream": Side(f"{upstream}/v1/chat/completions", CHAT),
            "bare": Side(f"{bare}/v1/chat/completions", {"model": "m", **CHAT}),
            ALL_ON: Side(f"{trivet.url}/v1/chat/completions", {"model": "up", **body}, key),
        }
        pids = {ALL_ON: trivet.pid}
        if (PEERS / "litellm").exists():
            peer = stack.enter_context(_litellm(folder, upstream))
            sides["LiteLLM"] = Side(f"{peer.url}/v1/chat/completions", {"model": "m", **CHAT})
            pids["LiteLLM"] = peer.pid
        for side in sides.values():
            once(side)
        yield sides, pids


@contextlib.contextmanager
def _trivet(folder: Path, upstream: str) -> Iterator[tuple[Running, str]]:
    price = "input = 1.25\noutput = 10\n"
    (folder / "trivet.toml").write_text(
        f'[providers.up]\nkind = "openai-compatible"\nbase_url = "{upstream}/v1"\n'
        f"[models.up]\n{ROUTE.format(name='up')}"
        f'[prices."up/m"]\n{price}[prices."up/n"]\n{price}'
    )
    env = {"TRIVET_STATE": str(folder), "TRIVET_HOME": str(folder / "weights")}  # no embedded model to load
    add = [sys.executable, "-m", "trivet", "keys", "add", "bench", "--budget", "1000usd/day", "--rpm", "100m"]
    here = str(Path(__file__).parent.parent)
    told = subprocess.run(
        [*add, "--tpm", "100000m"], env={**os.environ, **env, "PYTHONPATH": here}, check=True, capture_output=True
    ).stdout.decode()
    key = next(word for word in told.split() if word.startswith("trivet-"))
    with process("-m", "trivet", "serve", "--port", "0", cwd=folder, env=env) as running:
        stop = threading.Event()
        scraping = threading.Thread(target=_scrape, args=(running.url, key, stop))
        scraping.start()
        try:
            yield running, key
        finally:
            stop.set()
            scraping.join()


def _scrape(url: str, key: str, stop: threading.Event) -> None:
    """Prometheus comes by every 15 seconds."""
    while not stop.wait(15):
        with contextlib.suppress(OSError):
            asked = Request(f"{url}/metrics", headers={"authorization": f"Bearer {key}"})
            urlopen(asked, timeout=60).read()


@contextlib.contextmanager
def _litellm(folder: Path, upstream: str) -> Iterator[Running]:
    import socket

    (folder / "litellm.yaml").write_text(LITELLM.format(upstream=upstream))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(PEERS / "litellm"), "--config", str(folder / "litellm.yaml"), "--host", "127.0.0.1"]
    env = {**os.environ, "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}  # it is to check no keys
    with subprocess.Popen(
        [*command, "--port", str(port)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if running.poll() is not None:
                    raise RuntimeError("LiteLLM has ended before it listened")
                time.sleep(0.1)
            yield Running(f"http://127.0.0.1:{port}", running.pid)
        finally:
            running.terminate()
