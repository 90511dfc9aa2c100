"""The OpenAPI document and its page: every route is there, and no other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import httpx2
import pytest

import trivet
from tests.servers import CEILING_S, serving
from trivet.fake import Fake
from trivet.server import routes
from trivet.server.openapi import document, page
from trivet.types import Context, Request
from trivet.wire.plain_tasks import PlainTask, classify, forecast, mask, read

METHODS = {"get", "post"}


@pytest.fixture(scope="module")
def http() -> Iterator[httpx2.Client]:
    with (
        serving({"m": Fake(lambda request: "Hello")}) as served,
        httpx2.Client(base_url=served.url, timeout=CEILING_S) as client,
    ):
        yield client


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(m, path, o) for path, item in document()["paths"].items() for m, o in item.items()]


def everything(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in the document."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from everything(inner)


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = document()["components"]["schemas"][name]
    return found


# --- the routes ----------------------------------------------------------------------------------------------


def test_every_route_is_in_it_and_no_other() -> None:
    assert sorted((m.upper(), path) for m, path, _ in operations()) == sorted(routes.table())


def test_the_table_has_no_route_twice() -> None:
    assert len(set(routes.table())) == len(routes.table())


@pytest.mark.parametrize(("method", "path"), routes.table())
def test_every_route_of_the_table_is_one_of_the_servers(http: httpx2.Client, method: str, path: str) -> None:
    """Whatever it says to a request without a body, it is not that there is no such route."""
    answer = http.request(method, path.replace("{id}", "m"))
    assert answer.status_code != 405
    assert "there is no route" not in answer.text


@pytest.mark.parametrize("path", [path for _, path in routes.table()])
def test_every_route_has_its_methods_alone(http: httpx2.Client, path: str) -> None:
    known = {method for method, other in routes.table() if other == path}
    for method in {"GET", "POST"} - known:
        answer = http.request(method, path.replace("{id}", "m"), json={})
        assert answer.status_code in (404, 405), method


# --- the document ---------------------------------------------------------------------------------------------


def test_it_is_served_as_it_is_made(http: httpx2.Client) -> None:
    answer = http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == json.loads(json.dumps(document()))


def test_it_has_what_openapi_3_1_wants() -> None:
    """https://spec.openapis.org/oas/v3.1.1.html: the fields that must be there, and what they may be."""
    told = document()
    assert re.fullmatch(r"3\.1\.\d+", told["openapi"])
    assert told["info"]["title"]
    assert told["info"]["version"] == trivet.__version__
    for path, item in told["paths"].items():
        assert path.startswith("/")
        assert set(item) <= METHODS
    ids = []
    for _, path, operation in operations():
        ids.append(operation["operationId"])
        assert operation["summary"].endswith("."), path
        for answer in operation["responses"].values():
            assert answer["description"]
            assert all("schema" in media for media in answer["content"].values())
        named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path" and p["required"]}
        assert named == set(re.findall(r"{(\w+)}", path))
    assert len(set(ids)) == len(ids)


def test_every_reference_in_it_leads_somewhere() -> None:
    told = document()
    references = {o["$ref"] for o in everything(told) if "$ref" in o}
    assert references
    assert references == {f"#/components/schemas/{name}" for name in told["components"]["schemas"]}
    schemes = told["components"]["securitySchemes"]
    assert all(name in schemes for each in told["security"] for name in each)


def test_what_is_a_providers_protocol_leads_to_its_reference() -> None:
    """And says no more than that it is an object."""
    for method, path, operation in operations():
        if method == "post" and path != routes.RELOAD and not isinstance(routes.POST.get(path), PlainTask):
            (media,) = operation["requestBody"]["content"].values()
            assert media["schema"]["type"] == "object"
            assert media["schema"]["externalDocs"]["url"].startswith("https://"), path


def test_forms_are_asked_for_where_forms_are_taken() -> None:
    kinds = {path: list(o["requestBody"]["content"]) for m, path, o in operations() if "requestBody" in o}
    forms = {path for path, kind in kinds.items() if kind == ["multipart/form-data"]}
    assert forms == set(routes.FORMS)
    assert all(kind == ["application/json"] for path, kind in kinds.items() if path not in forms)


# --- what is ours ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", [classify, read, forecast, mask], ids=lambda wire: wire.PROTOCOL)
def test_a_plain_tasks_schema_has_the_fields_that_it_reads_and_tells(wire: PlainTask) -> None:
    asked, told = schema(f"{wire.kind.__name__}Request"), schema(wire.kind.response_type.__name__)
    assert set(asked["properties"]) == {"model", *(f.name for f in wire.fields)}
    assert asked["required"] == [f.name for f in wire.fields if f.required]
    assert asked["additionalProperties"] is False
    assert set(told["properties"]) == {"model", "notes", "usage", *(f.name for f in wire.answers)}
    assert set(told["required"]) == set(told["properties"])


def test_no_schema_has_what_is_trivets_own() -> None:
    own = {"context", "source", "extra", "raw"}
    assert {"context", "source"} <= set(Request.__struct_fields__)
    for name in ("ClassifyRequest", "ReadRequest", "ForecastRequest", "MaskRequest", "ClassifyResponse"):
        assert not own & set(schema(name)["properties"])
    assert Context.__name__ not in document()["components"]["schemas"]


def test_an_answer_has_the_fields_of_its_schema(http: httpx2.Client) -> None:
    bodies = {
        "mask": {"sequence": "E_"},
        "forecast": {"series": [1, 2], "horizon": 1},
        "read": {"image": {"data": "AAAA"}},
        "classify": {"image": {"data": "AAAA"}},
    }
    for task, body in bodies.items():
        answer = http.post(f"/v1/{task}", json=body).json()
        assert set(answer) == set(schema(f"{task.capitalize()}Response")["properties"])


def test_an_error_has_the_fields_of_its_schema(http: httpx2.Client) -> None:
    told = http.post("/v1/mask", json={}).json()
    assert set(told) == set(schema("Error")["properties"])
    assert set(told["error"]) == set(schema("ErrorDetails")["properties"])


def test_health_has_the_fields_of_its_schema(http: httpx2.Client) -> None:
    told = http.get("/health").json()
    assert set(told) == set(schema("Health")["properties"])


# --- the page -------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """What a page has: its tags, the addresses in them, its ids, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: dict[str, set[str]] = {}
        self.ids: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                self.addresses.setdefault(tag, set()).add(value or "")
            if name == "id":
                self.ids.add(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_every_route_and_schema() -> None:
    tags = Tags(page().decode())
    for method, path in routes.table():
        assert f"{method} {path}" in tags.text
    assert tags.ids == set(document()["components"]["schemas"])


def test_the_page_loads_nothing_and_runs_nothing(http: httpx2.Client) -> None:
    answer = http.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    tags = Tags(answer.text)
    assert not tags.tags & {"script", "link", "img", "iframe", "object"}
    assert set(tags.addresses) == {"a"}
    assert {a.removeprefix("#") for a in tags.addresses["a"] if a.startswith("#")} <= tags.ids


def test_neither_is_open_without_the_key() -> None:
    with serving({"m": Fake()}, keys=["k"]) as locked:
        for path in (routes.OPENAPI, routes.DOCS):
            assert httpx2.get(locked.url + path).status_code == 401
            assert httpx2.get(locked.url + path, headers={"x-api-key": "k"}).status_code == 200
