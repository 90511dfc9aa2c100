"""What trivet costs between a client and a provider, against the bare pass-through of `passthrough.py`.

wrk asks; nginx answers whole answers at once, `drip.py` streams. All are processes of their own on this machine, and
one side is asked at a time."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen

from benchmarks.drip import EVENTS
from benchmarks.pairs import Row, at_least, at_most, rounds

ROUNDS = 7
# The first is what trivet uses, and the limit. pyreqwest answers sooner, but leaves a request that was cancelled before
# its answer came running, which a gateway cannot: the provider would go on, and charge for it.
CLIENTS = ("aiohttp", "pyreqwest")
SECONDS = 1  # that wrk asks one side in a round
ANSWER = {
    "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
    "object": "chat.completion",
    "created": 1741569952,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello! How can I assist you today? " * 6, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 119,
        "completion_tokens": 54,
        "total_tokens": 173,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    },
    "service_tier": "default",
}
SYSTEM, ASKED = "You are a helpful assistant. " * 10, "Hello! " * 20
CHAT = {"messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": ASKED}]}
MESSAGES = {"system": SYSTEM, "messages": [{"role": "user", "content": ASKED}], "max_tokens": 100}

# Of two models, with all that a route can have on; nothing fails, so the first answers.
ROUTE = """use = ["{name}/m", "{name}/n"]
route = {{ sticky = true }}
"""
# The head of nginx.conf keeps everything that it writes in the folder.
NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 256; }}
http {{
    access_log off; keepalive_requests 1000000000; client_body_buffer_size 1m;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{
        listen unix:{folder}/ready; listen 127.0.0.1:{port};
        location /v1/models {{ default_type application/json; return 200 '{{"data": []}}'; }}
        location / {{ default_type application/json; return 200 '{answer}'; }}
    }}
}}
"""
LUA = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer {key}"
wrk.body = [==[{body}]==]
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format('\\n{{"p50": %f, "p99": %f, "requests": %d, "us": %d, "failed": %d}}\\n',
        latency:percentile(50), latency:percentile(99), summary.requests, summary.duration,
        e.connect + e.read + e.write + e.status + e.timeout))
end
"""
# From 0 to twice the mean, so that the connections do not march in step.
PAUSE = """
function delay() return math.random() * 2 * %f end
"""


class Side(NamedTuple):
    """Who is asked what, and what else stands between."""

    url: str
    body: Mapping[str, object]
    key: str = "none"


class Running(NamedTuple):
    url: str
    pid: int


class Asked(NamedTuple):
    """What wrk found: the median and the 99th percentile in ms, and answers in a second."""

    median_ms: float
    p99_ms: float
    rate: float


def gateway() -> list[Row]:
    missing = [name for name in ("wrk", "nginx") if shutil.which(name) is None]
    if missing:
        why = f"not measured: {' and '.join(missing)} not installed"
        return [Row("between a client and a provider", "–", why, "–", None)]
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as (whole, streams):
        return [*_added(Path(folder), whole), *_rates(Path(folder), whole), *_events(Path(folder), streams)]


def _added(folder: Path, sides: Mapping[str, Side]) -> list[Row]:
    """The median that each side adds to the upstream's own, with one connection."""
    found = rounds("added", {n: _runs(folder, side, 1, lambda a: a.median_ms) for n, side in sides.items()}, ROUNDS)
    own = found.pop("upstream")
    added = {n: [ms - base for ms, base in zip(all_ms, own, strict=True)] for n, all_ms in found.items()}
    rows = []
    for name, most in (("same protocol", 1.5), ("same protocol, routed", 1.5), ("translated", 2.2)):
        ratios = [ms / bare for ms, bare in zip(added[name], added["bare"], strict=True)]
        detail = f"{_median(added[name]):.3f} against {_median(added['bare']):.3f} ms"
        rows.append(at_most(most, "×", f"added median, 1 connection: {name}", ratios, detail, digits=2))
    return [*rows, *_lost("added median, 1 connection", added, "ms", 3)]


def _rates(folder: Path, sides: Mapping[str, Side]) -> list[Row]:
    asked = {name: side for name, side in sides.items() if name != "upstream"}
    found = rounds("requests/s", {n: _runs(folder, side, 32, lambda a: a.rate) for n, side in asked.items()}, ROUNDS)
    least = {"same protocol": 0.6, "same protocol, routed": 0.6, "translated": 0.4}
    return _compared("requests/s, 32 connections", found, least, "requests/s")


def _events(folder: Path, sides: Mapping[str, Side]) -> list[Row]:
    runs = {n: _runs(folder, side, 32, lambda a: a.rate * EVENTS) for n, side in sides.items()}
    found = rounds("events/s", runs, ROUNDS)
    what = f"streams of {EVENTS} events, 32 connections"
    least = {"same protocol": 0.6, "same protocol, routed": 0.6, "translated": 0.35}
    return _compared(what, found, least, "events/s")


def _compared(what: str, found: Mapping[str, list[float]], least: Mapping[str, float], unit: str) -> list[Row]:
    rows = []
    for name, target in least.items():
        ratios = [rate / bare for rate, bare in zip(found[name], found["bare"], strict=True)]
        detail = f"{_median(found[name]):,.0f} against {_median(found['bare']):,.0f} {unit}"
        rows.append(at_least(target, f"{what}: {name}", ratios, detail))
    return [*rows, *_lost(what, found, unit, 0)]


def _lost(what: str, found: Mapping[str, list[float]], unit: str, digits: int) -> list[Row]:
    """The bare pass-through over the client library that was not chosen."""
    rows = []
    for name in (name for name in found if name.startswith("bare, ")):
        ratios = [value / bare for value, bare in zip(found[name], found["bare"], strict=True)]
        detail = f"{_median(found[name]):,.{digits}f} against {_median(found['bare']):,.{digits}f} {unit}"
        rows.append(at_least(None, f"{what}: {name}", ratios, detail))
    return rows


def _median(values: list[float]) -> float:
    return statistics.median(values)


def _runs(folder: Path, side: Side, connections: int, figure: Callable[[Asked], float]) -> Callable[[], float]:
    return lambda: figure(wrk(folder, side, connections))


def wrk(folder: Path, side: Side, connections: int, *, pause_ms: float = 0, seconds: int = SECONDS) -> Asked:
    """`pause_ms` is what each connection waits in the mean between an answer and its next request."""
    script = folder / "ask.lua"
    script.write_text(LUA.format(body=json.dumps(side.body), key=side.key) + (PAUSE % pause_ms if pause_ms else ""))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s", "-s", str(script), side.url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(output.strip().splitlines()[-1])
    if found["failed"] or not found["requests"]:
        raise RuntimeError(f"{side.url}: {found['failed']} of {found['requests']} requests failed")
    return Asked(found["p50"] / 1000, found["p99"] / 1000, found["requests"] * 1e6 / found["us"])


@contextlib.contextmanager
def started(folder: Path) -> Iterator[tuple[dict[str, Side], dict[str, Side]]]:
    """Everything running: the sides for whole answers, and for streams."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(nginx(folder))
        drip = stack.enter_context(process("-m", "benchmarks.drip")).url
        (folder / "trivet.toml").write_text(
            f'[providers.up]\nkind = "openai-compatible"\nbase_url = "{upstream}/v1"\n'
            f'[providers.drip]\nkind = "openai-compatible"\nbase_url = "{drip}/v1"\n'
            f"[models.up]\n{ROUTE.format(name='up')}[models.drip]\n{ROUTE.format(name='drip')}"
            "[ledger]\nenabled = false\n"
        )
        trivet = stack.enter_context(process("-m", "trivet", "serve", "--port", "0", cwd=folder)).url
        chat, messages = f"{trivet}/v1/chat/completions", f"{trivet}/v1/messages"
        whole = {"upstream": Side(f"{upstream}/v1/chat/completions", CHAT)}
        streams = {}
        streamed = {"stream": True}
        for client in CLIENTS:
            for sides, above, more in ((whole, upstream, {}), (streams, drip, streamed)):
                name = "bare" if client == CLIENTS[0] else f"bare, {client}"
                bare = stack.enter_context(process("-m", "benchmarks.passthrough", above, client)).url
                sides[name] = Side(f"{bare}/v1/chat/completions", {"model": "m", **CHAT, **more})
        for sides, model, more in ((whole, "up/m", {}), (streams, "drip/m", streamed)):
            sides["same protocol"] = Side(chat, {"model": model, **CHAT, **more})
            sides["translated"] = Side(messages, {"model": model, **MESSAGES, **more})
            sides["same protocol, routed"] = Side(chat, {"model": model.removesuffix("/m"), **CHAT, **more})
        for side in [*whole.values(), *streams.values()]:
            once(side)
        yield whole, streams


def once(side: Side) -> None:
    """One request, so that all is loaded. Raises for what is no answer."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {side.key}"}
    with urlopen(Request(side.url, json.dumps(side.body).encode(), headers), timeout=60) as answer:
        answer.read()


@contextlib.contextmanager
def process(
    *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, command: str = sys.executable
) -> Iterator[Running]:
    """A process, of Python as a rule, and the address on which it says that it listens."""
    here = str(Path(__file__).parent.parent)
    kept = {name: value for name, value in os.environ.items() if not name.upper().endswith(("_KEY", "_PROXY"))}
    env = {**kept, "PYTHONPATH": here, **(env or {})}
    with subprocess.Popen([command, *arguments], cwd=cwd, env=env, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            found = next((m for line in running.stdout if (m := re.search(r"listening on (http://\S+)", line))), None)
            if found is None:
                raise RuntimeError(f"{' '.join(arguments)} ended before it listened")
            yield Running(found[1], running.pid)
        finally:
            running.terminate()


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[str]:
    """nginx, which gives the same answer to everything, and its address."""
    import socket
    import time

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made = folder / "nginx.conf"
    made.write_text(NGINX.format(folder=folder, port=port, answer=json.dumps(ANSWER)))
    with subprocess.Popen(["nginx", "-p", str(folder), "-c", str(made), "-e", f"{folder}/errors"]) as running:
        try:
            while not (folder / "ready").exists():
                if running.poll() is not None:
                    raise RuntimeError(f"nginx ended: {(folder / 'errors').read_text()}")
                time.sleep(0.01)
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()
