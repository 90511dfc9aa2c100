"""What a client sees of each fault of a provider: what the tests hold the code to, and the page docs/faults.md, which
`python -m tests.fault_table` writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.fault_clients import Sees
from tests.faults import FIRST, TEXT, WAIT_S

PAGE = Path(__file__).parent.parent / "docs" / "faults.md"


class Fails(NamedTuple):
    """Before any content: the status for the client where nobody else can answer, after so many tries. `own` is the
    provider's, whose error goes on as it is to a client of the same protocol."""

    status: int
    tries: int = 2
    own: int | None = None


ANSWERS, BREAKS = "answers", "breaks"  # in order; after its first content
Comes = Fails | str


class Row(NamedTuple):
    """What a provider does, and what comes of it, whole and streamed. It is tried once more where that may help."""

    does: str
    whole: Comes
    stream: Comes


GONE, SAID = Fails(502), Fails(502, own=500)
ROWS: Mapping[str, Row] = {
    "healthy": Row("answers", ANSWERS, ANSWERS),
    "drips": Row("answers, byte by byte", ANSWERS, ANSWERS),
    "refuses": Row("refuses the connection", GONE, GONE),
    "resets": Row("resets the connection, the request read", GONE, GONE),
    "closes": Row("closes the connection without an answer", GONE, GONE),
    "hangs": Row("hangs before its headers, for longer than `first_content_s`, or `whole_s`", GONE, GONE),
    "hangs-before-content": Row("hangs after them, before any content", GONE, GONE),
    "hangs-in-mid-answer": Row("hangs in mid-answer, for longer than `gap_s`", GONE, BREAKS),
    "half-an-event": Row("sends half of its first event, or of its answer, and ends in order", GONE, GONE),
    "wrong-json": Row("sends what is no JSON", GONE, GONE),
    "429": Row("429", Fails(429), Fails(429)),
    "429-retry-after": Row(f"429, with `retry-after: {WAIT_S}`", Fails(429, tries=1), Fails(429, tries=1)),
    "500": Row("500", SAID, SAID),
    "529": Row("529, or what others have for it", Fails(503, own=529), Fails(503, own=529)),
    "error-first": Row("an error with status 200, before any content", SAID, SAID),
    "error-after-content": Row("an error event after content", SAID, BREAKS),
    "ends-early": Row("ends in order, before its answer is complete", GONE, BREAKS),
    "cut": Row("closes the connection in mid-answer", GONE, BREAKS),
}
CLIENTS = {"anthropic": "Anthropic", "openai-chat": "OpenAI chat", "openai": "OpenAI responses", "gemini": "Gemini"}
_OPENAI = {429: "RateLimitError", **dict.fromkeys((500, 502, 503, 529), "InternalServerError")}
RAISES: Mapping[str, Mapping[int, str]] = {
    "anthropic": {**_OPENAI, 503: "ServiceUnavailableError", 529: "OverloadedError"},
    "openai-chat": _OPENAI,
    "openai": _OPENAI,
    "gemini": {429: "ClientError", **dict.fromkeys((500, 502, 503, 529), "ServerError")},
}
BROKEN: Mapping[str, tuple[str, int | None]] = {
    "anthropic": ("APIStatusError", 200),
    "openai-chat": ("APIError", None),
    "openai": ("APIError", None),
    "gemini": ("ServerError", 502),
}
FAILED = ("response.failed", None)  # what a provider's own response says of itself goes on to its own client


def seen(fault: str, client: str, *, stream: bool, own: bool, another: bool) -> tuple[Sees, list[str]]:
    """What a client sees and which attempts are told; `own` is its own protocol at the provider, `another` says that a
    healthy one stands behind the faulty."""
    comes = ROWS[fault].stream if stream else ROWS[fault].whole
    if isinstance(comes, Fails):
        tried = ["failed"] * comes.tries
        if another:
            return Sees(TEXT), [*tried, "answered"]
        same = own or client == "openai-chat"  # whose errors look like those of responses, which it is translated to
        status = comes.own if same and comes.own else comes.status
        return Sees("", RAISES[client][status], status), tried
    if comes == ANSWERS:
        return Sees(TEXT), ["answered"]
    itself = own and client == "openai" and fault == "error-after-content"
    return Sees(FIRST, *(FAILED if itself else BROKEN[client])), ["failed"]


def words(comes: Comes) -> str:
    if isinstance(comes, Fails):
        own = "" if comes.own is None else f" ({comes.own} in its own protocol)"
        return f"{comes.status}{own}, after {comes.tries} {'try' if comes.tries == 1 else 'tries'}"
    return {ANSWERS: "the answer", BREAKS: "what came, then an error"}[comes]


def behind(comes: Comes) -> str:
    if isinstance(comes, Fails):
        return "the other's answer"
    return words(comes)


def page() -> str:
    """The whole page."""
    lines = [
        "# What a client sees when a provider fails",
        "",
        "Made by `python -m tests.fault_table` from the table that the tests hold the code to: each row is asked, with",
        "`retries = 1`, through the real server by the official SDKs, of providers in all four protocols.",
        "",
        "Nothing is asked twice once there was content: the stream ends with an error. Until then the same model is",
        "asked again where that may help, and then the next one; where nobody answers, the client gets one error that",
        "names each attempt. `retry-after` is heeded where it asks for no more than a second, or 30 where nobody else",
        "can answer.",
        "",
        "| the provider | whole | streamed | whole, another behind it | streamed, another behind it |",
        "|---|---|---|---|---|",
        *(
            f"| {r.does} | {words(r.whole)} | {words(r.stream)} | {behind(r.whole)} | {behind(r.stream)} |"
            for r in ROWS.values()
        ),
        "",
        "What the official SDKs raise:",
        "",
        f"| | {' | '.join(CLIENTS.values())} |",
        f"|---|{'---|' * len(CLIENTS)}",
        *(f"| {status} | {' | '.join(f'`{RAISES[c][status]}`' for c in CLIENTS)} |" for status in _OPENAI),
        f"| in mid-answer | {' | '.join(f'`{BROKEN[c][0]}`' for c in CLIENTS)} |",
        "",
        "Where OpenAI's own response fails in its stream, that goes on as it is: it says `response.failed`, for which",
        "the SDK raises nothing.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
