"""All routes as one OpenAPI 3.1 document, and as a page for people.

What is ours has a schema, made of the types that are read and written. What is a provider's protocol has the address of
its reference: a copy of its schema would be another one before long.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from trivet.server import routes
from trivet.types import Image
from trivet.wire import plain_tasks

if TYPE_CHECKING:
    from trivet.server.exchange import Exchange

__all__ = ["PAGES", "document", "page", "show"]

PAGES = (routes.OPENAPI, routes.DOCS)
_REF = "#/components/schemas/{name}"
_OPENAI = "https://developers.openai.com/api/reference/resources/"
_ANTHROPIC = "https://platform.claude.com/docs/en/api/"
_GEMINI = "https://ai.google.dev/api/"
_COHERE = "https://docs.cohere.com/reference/rerank"
_JSON, _TEXT, _EVENTS = "application/json", "text/plain", "text/event-stream"
_CHAT = (_JSON, _EVENTS)
_ANY = {"type": "object"}
_Json = dict[str, Any]
_HEADERS: list[_Json] = [
    {
        "name": "x-trivet-session",
        "in": "header",
        "description": "A word for the conversation, which the ledger keeps.",
        "schema": {"type": "string", "maxLength": 256},
    },
    {
        "name": "x-trivet-cache",
        "in": "header",
        "description": "Whether an answer may come from trivet's own cache.",
        "schema": {"enum": ["off", "on"]},
    },
]


class _Route(NamedTuple):
    """What a route is for. `reference` is where its protocol is described; `answers` are the content types of its
    answer; `asks` and `tells` are schemas, where they are ours."""

    summary: str
    reference: str | None = None
    answers: Sequence[str] = (_JSON,)
    asks: _Json | None = None
    tells: _Json | None = None


def _ref(name: str) -> _Json:
    return {"$ref": _REF.format(name=name)}


# What each route is for, but for the plain tasks', whose types say it, and Gemini's, whose paths name what is asked.
_DESCRIBED: dict[tuple[str, str], _Route] = {
    ("GET", routes.HEALTH): _Route("Whether it is alive and ready, and what there is.", tells=_ref("Health")),
    ("GET", routes.LIVE): _Route("200 while the process is alive.", tells=_ref("Health")),
    ("GET", routes.READY): _Route("200 once requests need not wait, else 503.", tells=_ref("Health")),
    ("GET", routes.MODELS): _Route("The models.", _OPENAI + "models/methods/list"),
    ("GET", f"{routes.MODELS}/{{id}}"): _Route("One model.", _OPENAI + "models/methods/retrieve"),
    ("GET", routes.BETA): _Route("The models, for Gemini's clients.", _GEMINI + "models"),
    ("GET", f"{routes.BETA}/{{id}}"): _Route("One model, for Gemini's clients.", _GEMINI + "models"),
    ("GET", routes.METRICS): _Route("Metrics for Prometheus.", answers=(_TEXT,)),
    ("GET", f"{routes.REQUESTS}/{{id}}"): _Route("What one request was and cost.", tells=_ref("Row")),
    ("GET", routes.OPENAPI): _Route("This document.", "https://spec.openapis.org/oas/v3.1.1.html"),
    ("GET", routes.DOCS): _Route("This document, as a page.", answers=("text/html",)),
    ("POST", routes.RELOAD): _Route("Reads trivet.toml anew, for those on this machine.", tells=_ref("Reloaded")),
    ("POST", "/v1/chat/completions"): _Route(
        "A chat, in OpenAI's protocol.", _OPENAI + "chat/subresources/completions/methods/create", _CHAT
    ),
    ("POST", "/v1/completions"): _Route(
        "A text that goes on, or with a suffix is filled in.", _OPENAI + "completions/methods/create", _CHAT
    ),
    ("POST", "/v1/responses"): _Route(
        "A chat, in OpenAI's newer protocol.", _OPENAI + "responses/methods/create", _CHAT
    ),
    ("POST", "/v1/embeddings"): _Route("Texts as vectors.", _OPENAI + "embeddings/methods/create"),
    ("POST", "/v1/audio/transcriptions"): _Route(
        "Speech to text.",
        _OPENAI + "audio/subresources/transcriptions/methods/create",
        (_JSON, _TEXT, "application/x-subrip", "text/vtt", _EVENTS),
    ),
    ("POST", "/v1/audio/speech"): _Route(
        "Text to speech.",
        _OPENAI + "audio/subresources/speech/methods/create",
        ("audio/mpeg", "audio/ogg", "audio/aac", "audio/flac", "audio/wav", "audio/pcm", _EVENTS),
    ),
    ("POST", "/v1/messages"): _Route("A chat, in Anthropic's protocol.", _ANTHROPIC + "messages", _CHAT),
    ("POST", "/v1/messages/count_tokens"): _Route("How long a chat's prompt is.", _ANTHROPIC + "messages-count-tokens"),
    ("POST", "/v1/rerank"): _Route("Which documents answer a query, in Cohere's protocol.", _COHERE),
    ("POST", "/v2/rerank"): _Route("The same, where Cohere's newer client asks.", _COHERE),
}


class ImageData(msgspec.Struct):
    """An image: `data` is its bytes in base64, or a data URL."""

    data: str
    media_type: str | None = None


_AS_JSON: dict[Any, Any] = {Image: ImageData | str, tuple[Image, ...]: tuple[ImageData | str, ...]}


class ErrorDetails(msgspec.Struct):
    """`param` is the path of the field at fault."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(msgspec.Struct):
    error: ErrorDetails


class Slots(msgspec.Struct):
    busy: int
    total: int


class Health(msgspec.Struct):
    """What is after `ready` is for those who may ask. `counting` is `well`, or what is wrong with each file."""

    status: str
    live: bool
    ready: bool
    problem: str | None = None
    in_flight: int = 0
    version: str = ""
    models: list[str] = []
    slots: dict[str, Slots] = {}
    counting: str | dict[str, str] = "well"


class Reloaded(msgspec.Struct):
    reloaded: bool
    lines: list[str]


async def show(exchange: Exchange) -> None:
    """The document, or the page. The page has no script and loads nothing."""
    if exchange.path == routes.OPENAPI:
        return await exchange.respond(200, msgspec.json.encode(document()))
    policy = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")
    await exchange.respond(200, page(), [policy], content_type=b"text/html; charset=utf-8")


@functools.cache
def document() -> _Json:
    """The OpenAPI document, as JSON has it. https://spec.openapis.org/oas/v3.1.1.html"""
    import trivet

    described, components = _routes()
    paths: _Json = {}
    for method, path in routes.table():
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, described[method, path])
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "trivet",
            "version": trivet.__version__,
            "description": "Every foundation model by the protocols that its clients speak.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{}, {"bearer": []}, {"key": []}],  # a server on loopback may have no keys
    }


def _operation(method: str, path: str, route: _Route) -> _Json:
    told = route.tells or _foreign(route.reference)
    schemas = {kind: told if kind == _JSON else {"type": "string"} for kind in route.answers}
    operation: _Json = {
        "summary": route.summary,
        "operationId": _operation_id(method, path),
        "responses": {
            "200": {"description": "The answer.", "content": {kind: {"schema": s} for kind, s in schemas.items()}},
            "default": {
                "description": "What is wrong, and what to do next.",
                "content": {_JSON: {"schema": _error(path)}},
            },
        },
    }
    if route.reference is not None:
        operation["externalDocs"] = {"url": route.reference}
    parameters: list[_Json] = []
    if "{id}" in path:
        parameters.append({"name": "id", "in": "path", "required": True, "schema": {"type": "string"}})
    if method == "POST" and path != routes.RELOAD:
        kind = "multipart/form-data" if path in routes.FORMS else _JSON
        schema = route.asks or _foreign(route.reference)
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": schema}}}
        parameters += _HEADERS
    if parameters:
        operation["parameters"] = parameters
    return operation


def _operation_id(method: str, path: str) -> str:
    words = "".join(c if c.isalnum() else " " for c in path).split()
    return "_".join([method.lower(), *words])


def _foreign(reference: str | None) -> _Json:
    return _ANY if reference is None else {**_ANY, "externalDocs": {"url": reference}}


def _error(path: str) -> _Json:
    """Each protocol has its own shape of errors, of which one is described here."""
    if path.startswith("/v1/messages"):
        return _foreign(_ANTHROPIC + "errors")
    if path.startswith(routes.BETA):
        return _foreign("https://ai.google.dev/gemini-api/docs/troubleshooting")
    return _ref("Error")


def _routes() -> tuple[dict[tuple[str, str], _Route], _Json]:
    """What each route is for, and the schemas that these stand on."""
    from trivet.ledger.rows import Row

    plain = {path: (_asked(wire), _told(wire)) for path, wire in _plain().items()}
    kinds = [kind for pair in plain.values() for kind in pair]
    _, components = msgspec.json.schema_components([*kinds, Error, Health, Reloaded, Row], ref_template=_REF)
    _join_lines(components)
    described = _DESCRIBED | {("POST", path): _gemini(path) for path in routes.GEMINI_PATHS}
    for path, (asked, told) in plain.items():
        summary = " ".join(str(asked.__doc__).split()).partition(". ")[0].removesuffix(".") + "."
        described["POST", path] = _Route(summary, asks=_ref(asked.__name__), tells=_ref(told.__name__))
    return described, components


def _gemini(path: str) -> _Route:
    words = {
        "generateContent": "A chat",
        "streamGenerateContent": "A chat, streamed",
        "countTokens": "A prompt's length",
    }
    method = path.rpartition(":")[2]
    summary = f"{words.get(method, 'Texts as vectors')}, in Gemini's protocol; under {routes.MODELS} too."
    reference = _GEMINI + ("embeddings" if "mbed" in method else "generate-content")
    return _Route(summary, reference, _CHAT if method.startswith("stream") else (_JSON,))


def _join_lines(schema: Any) -> None:
    """Descriptions come from docstrings, which are broken into lines where our code is."""
    for value in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(value, dict | list):
            _join_lines(value)
    if isinstance(schema, dict) and isinstance(schema.get("description"), str):
        schema["description"] = " ".join(schema["description"].split())


def _plain() -> dict[str, plain_tasks.PlainTask]:
    return {path: wire for path, wire in routes.POST.items() if isinstance(wire, plain_tasks.PlainTask)}


def _asked(wire: plain_tasks.PlainTask) -> type:
    """What a plain route reads, as a type of its own: the task's fields, and images as JSON has them."""
    fields: list[Any] = [("model", str | None, None)]
    for field in wire.fields:
        kind = _AS_JSON.get(field.type, field.type)
        fields.append((field.name, kind) if field.required else (field.name, kind, field.default))
    told = sorted(fields, key=len)  # those that must be there first, as a struct wants them
    return msgspec.defstruct(
        f"{wire.kind.__name__}Request", told, namespace={"__doc__": wire.kind.__doc__}, forbid_unknown_fields=True
    )


def _told(wire: plain_tasks.PlainTask) -> type:
    kind: type = wire.kind.response_type
    own = ((field.name, field.type) for field in wire.answers)
    fields = [("model", str), *own, ("notes", tuple[str, ...]), ("usage", plain_tasks.Tokens)]
    return msgspec.defstruct(kind.__name__, fields, namespace={"__doc__": kind.__doc__})


def page() -> bytes:
    """The document as HTML: a section for each route, and the schemas under them."""
    told = document()
    parts = [
        f"<h2><b>{method.upper()}</b> <code>{html.escape(path)}</code></h2>{_section(operation)}"
        for path, operations in told["paths"].items()
        for method, operation in operations.items()
    ]
    parts.append("<h1>Schemas</h1>")
    parts += [
        f"<h2 id={html.escape(name)}>{html.escape(name)}</h2>{_code(schema)}"
        for name, schema in told["components"]["schemas"].items()
    ]
    return _PAGE.format(version=html.escape(told["info"]["version"]), parts="\n".join(parts)).encode()


def _section(operation: _Json) -> str:
    parts = [f"<p>{html.escape(operation['summary'])}</p>"]
    if "externalDocs" in operation:
        url = html.escape(operation["externalDocs"]["url"])
        parts.append(f'<p>Reference: <a href="{url}" rel=noreferrer>{url}</a></p>')
    asked = operation.get("requestBody", {}).get("content", {})
    parts += [_content("in", kind, told["schema"]) for kind, told in asked.items()]
    answer = operation["responses"]["200"]["content"]
    parts += [_content("out", kind, told["schema"]) for kind, told in answer.items()]
    return "".join(parts)


def _content(way: str, kind: str, schema: _Json) -> str:
    name = html.escape(schema.get("$ref", "").rpartition("/")[2])
    link = f" <a href=#{name}>{name}</a>" if name else ""
    return f"<p class=kind>{way}: {html.escape(kind)}{link}</p>"


def _code(schema: _Json) -> str:
    return f"<pre>{html.escape(msgspec.json.format(msgspec.json.encode(schema)).decode())}</pre>"


_PAGE = """<!doctype html>
<html lang=en>
<meta charset=utf-8>
<meta name=viewport content="width=device-width">
<title>trivet: routes</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }}
h2 {{ font-size: 1rem; margin: 1.5rem 0 0; border-top: 1px solid #8884; padding-top: .7rem }}
p {{ margin: .2rem 0 }} .kind {{ font-size: .85rem; opacity: .8 }} pre {{ overflow: auto; font-size: .8rem }}
</style>
<h1>trivet {version}</h1>
<p>All routes of this server. The same for programs: <a href=openapi.json>/openapi.json</a></p>
{parts}
</html>
"""
