"""Who may ask: keys, hosts and origins, and what a body says that it is."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from tests.servers import Served, serving
from trivet.fake import Fake
from trivet.server.security import check_origin, is_loopback

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving({"m": Fake(lambda request: "Hello")}) as served:
        yield served


@pytest.fixture(scope="module")
def locked() -> Iterator[Served]:
    with serving({"m": Fake(lambda request: "Hello")}, keys=["first key", "zweiter schlüssel"]) as served:
        yield served


def ask(served: Served, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value.encode() for name, value in headers.items()}
    return httpx2.post(f"{served.url}/v1/chat/completions", json=BODY, headers=named)


# --- keys --------------------------------------------------------------------------------------------------


def test_on_loopback_without_keys_any_key_will_do(served: Served) -> None:
    assert ask(served, authorization="Bearer whatever").status_code == 200
    assert ask(served).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer first key"},
        {"authorization": "bearer  first key"},
        {"x_api_key": "first key"},
        {"x_goog_api_key": "first key"},
        {"x_api_key": "zweiter schlüssel"},
        {"authorization": "Bearer of something else", "x_api_key": "first key"},
    ],
)
def test_a_right_key_in_each_place(locked: Served, headers: dict[str, str]) -> None:
    assert ask(locked, **headers).status_code == 200


@pytest.mark.parametrize(("key", "status"), [("zweiter schlüssel", 200), ("dritter", 401), ("", 401)])
def test_a_key_in_the_address_where_geminis_clients_may_put_it(locked: Served, key: str, status: int) -> None:
    body = {"contents": [{"parts": [{"text": "Hi"}]}]}
    answer = httpx2.post(f"{locked.url}/v1beta/models/m:generateContent", json=body, params={"key": key})
    assert answer.status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Bearer first"},
        {"authorization": "Basic first key"},
        {"authorization": "first key"},
        {"x_api_key": "First Key"},
        {"x_api_key": "key-1"},
    ],
)
def test_a_wrong_key_or_none_is_a_401(locked: Served, headers: dict[str, str]) -> None:
    answer = ask(locked, **headers)
    assert answer.status_code == 401
    assert "x-api-key" in answer.json()["error"]["message"]


def test_no_route_but_health_is_open_without_the_key(locked: Served) -> None:
    assert httpx2.get(f"{locked.url}/health").status_code == 200
    assert httpx2.get(f"{locked.url}/v1/models").status_code == 401
    assert httpx2.get(f"{locked.url}/nowhere").status_code == 401


def test_the_request_knows_the_name_of_its_key_and_not_the_key() -> None:
    fake = Fake()
    with serving({"m": fake}, keys=["a", "b"]) as served:
        ask(served, x_api_key="b")
    assert fake.requests[0].context.key == "key-2"


def test_a_key_is_looked_at_before_the_body(locked: Served) -> None:
    assert httpx2.post(f"{locked.url}/v1/chat/completions", content=b"{" * 50_000_000).status_code == 401


# --- hosts and origins -------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "LocalHost:1", "127.0.0.1:9", "[::1]", "[::1]:8484", "127.0.0.2:80"])
def test_a_loopback_host_is_let_in(served: Served, host: str) -> None:
    assert ask(served, host=host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "127.0.0.1@example.com",
        "example.com@localhost",
        "example.com:127",
        "localhost:x",
        "localhost/",
        "192.168.0.1:8484",
        "0.0.0.0",
        "[::]",
        "[::1",
        "::1",
        "2130706433",
        "",
    ],
)
def test_a_foreign_host_is_a_403(served: Served, host: str) -> None:
    answer = ask(served, host=host)
    assert answer.status_code == 403
    assert "Host" in answer.json()["error"]["message"]


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:5173"])
def test_a_loopback_origin_is_let_in(served: Served, origin: str) -> None:
    assert ask(served, origin=origin).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["https://example.com", "null", "", "http://localhost.example.com", "http://localhost@example.com", "localhost"],
)
def test_a_foreign_origin_is_a_403(served: Served, origin: str) -> None:
    assert ask(served, origin=origin).status_code == 403


def test_a_foreign_origin_cannot_read_models_or_health_either(served: Served) -> None:
    for path in ("/v1/models", "/health"):
        assert httpx2.get(served.url + path, headers={"origin": "https://example.com"}).status_code == 403


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("models.example.com", "https://models.example.com"),
        ("models.example.com:443", "https://models.example.com"),
        ("models.example.com:8484", "http://models.example.com:8484"),
        ("10.0.0.7:8484", "http://10.0.0.7:8484"),
        ("anything", None),
    ],
)
def test_elsewhere_the_origin_may_be_the_host_itself(host: str, origin: str | None) -> None:
    check_origin(headers(host, origin), loopback=False)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("models.example.com", "https://example.com"),
        ("models.example.com:8484", "http://models.example.com:3000"),
        ("models.example.com", "null"),
        ("", "null"),
        ("10.0.0.7:8484", "http://localhost:8484"),
    ],
)
def test_elsewhere_another_origin_is_refused(host: str, origin: str) -> None:
    with pytest.raises(Exception, match="refused"):
        check_origin(headers(host, origin), loopback=False)


def headers(host: str, origin: str | None) -> dict[bytes, bytes]:
    return {b"host": host.encode(), **({} if origin is None else {b"origin": origin.encode()})}


@pytest.mark.parametrize(
    ("host", "is_one"),
    [("localhost", True), ("127.0.0.1", True), ("127.1.2.3", True), ("::1", True)]
    + [(h, False) for h in ("0.0.0.0", "::", "", "192.168.0.1", "example.com", "127.1")],
)
def test_what_is_loopback(host: str, is_one: bool) -> None:
    assert is_loopback(host) is is_one


# --- content types -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_taken(served: Served, kind: str) -> None:
    assert ask(served, content_type=kind).status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "text/plain; application/json", ""]
)
def test_what_a_form_can_send_is_a_415(served: Served, kind: str) -> None:
    answer = ask(served, content_type=kind)
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]["message"]
