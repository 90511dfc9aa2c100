"""A host that lists models and answers nothing else, on a free port: the edge of the network for what asks for lists.
The body is in the shape of https://platform.openai.com/docs/api-reference/models/list."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ListingHost:
    """`asked` are the paths and the keys that came."""

    def __init__(self, models: tuple[str, ...], status: int, body: bytes | None, stalls: bool) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.over = threading.Event()
        listing = {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "x"} for name in models]}
        answer = body if body is not None else json.dumps(listing).encode()
        host = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked.append((self.path, self.headers["authorization"]))
                if stalls:
                    host.over.wait()
                    return
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.base = f"http://127.0.0.1:{self.server.server_port}/v1"


@contextmanager
def listing_host(
    *models: str, status: int = 200, body: bytes | None = None, stalls: bool = False
) -> Iterator[ListingHost]:
    """Serves that list; or `status`, or `body`, or nothing until the end."""
    host = ListingHost(models, status, body, stalls)
    thread = threading.Thread(target=host.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield host
    finally:
        host.over.set()
        host.server.shutdown()
        host.server.server_close()
        thread.join()
