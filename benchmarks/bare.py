"""A process with nothing in it but the engine. Takes one line of JSON: parameters and requests; answers those,
says so, and waits until it is told to end."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import xllamacpp


def main() -> None:
    order = json.loads(sys.stdin.readline())
    parameters = xllamacpp.CommonParams()
    parameters.model.path = order["path"]
    for name, value in order["parameters"].items():
        setattr(parameters, name, value)
    if order["threads"] is not None:
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = order["threads"]
    server = xllamacpp.Server(parameters)

    def answer(body: dict[str, Any]) -> None:
        server.handle_chat_completions(body, lambda chunk: False)

    for bodies in order["requests"]:
        with ThreadPoolExecutor(len(bodies)) as threads:
            list(threads.map(answer, bodies))
    print("done", flush=True)
    sys.stdin.readline()


main()
