"""Who may ask: keys, and on loopback no web page that the user happens to have open.

Without keys, anything that runs on this machine may ask. A page in a browser runs here too, and it must not spend the
user's money: it cannot forge the `Host` header (which gives DNS rebinding away) or the `Origin` header, and it
cannot send `application/json` to another origin without asking first. A form with a file it can send without asking,
with its `Origin` and, in all browsers since 2023, `Sec-Fetch-Site`: either refuses it.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from trivet.errors import ConfigError, RequestError

if TYPE_CHECKING:
    from trivet.ledger.keys import Keys as Stored

__all__ = ["Keys", "check_form", "check_json", "check_open", "check_origin", "is_loopback"]

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Keys:
    """The keys that open the server: those of its settings, kept as SHA-256 digests, and those in `store`, which others
    add to and revoke while it runs (`trivet keys`). Without any, everybody may come in."""

    def __init__(self, keys: Sequence[str], store: Stored | None = None) -> None:
        self._store = store
        for n, key in enumerate(keys, 1):
            if not key.strip():
                raise ConfigError(f"key {n} of the server is empty: give it a value, or leave it out")
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    @property
    def closed(self) -> bool:
        """Whether a key is needed."""
        return bool(self._digests) or (self._store is not None and self._store.closed)

    def check(self, headers: Mapping[bytes, bytes], query: str = "") -> str | None:
        """The name of the client's key, `key-1` being the first of the settings; None where no key is needed.

        Raises `RequestError` 401 for a wrong key and for none, and 503 where nobody can tell."""
        if not self.closed:
            return None
        name = None
        sent = _sent(headers, query)
        for given in sent:
            stored = None if self._store is None else self._store.find(given)
            if stored is not None:
                return stored.name
            digest = hashlib.sha256(given).digest()
            for n, known in enumerate(self._digests, 1):  # all of them: the time taken says nothing
                if hmac.compare_digest(digest, known):
                    name = f"key-{n}"
        if name is None:
            what = "the key is not one of this server's" if sent else "this server wants a key"
            raise RequestError(f"{what}: send one as `Authorization: Bearer KEY` or `x-api-key: KEY`", status=401)
        return name


def _sent(headers: Mapping[bytes, bytes], query: str) -> list[bytes]:
    """The keys in a request, in the places where the protocols' clients put them."""
    scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
    keys = [bearer.strip()] if scheme.lower() == b"bearer" else []
    keys += [headers.get(name, b"").strip() for name in (b"x-api-key", b"x-goog-api-key")]
    if "key=" in query:
        keys += [key.encode() for key in parse_qs(query, encoding="utf-8").get("key", [])]
    return [key for key in keys if key]


def check_origin(headers: Mapping[bytes, bytes], *, loopback: bool) -> None:
    """Raises `RequestError` 403 for a `Host` that is not loopback where the server is, and for a foreign `Origin`:
    one that is not loopback either, or, on another address, not the `Host` itself."""
    host = headers.get(b"host", b"").decode("latin-1").lower()
    if loopback and not _here(host):
        raise RequestError(f"the Host header {host!r} is not this machine: ask http://127.0.0.1 itself", status=403)
    origin = headers.get(b"origin")
    if origin is None:
        return
    text = origin.decode("latin-1").lower()
    scheme, _, place = text.partition("://")
    port = _DEFAULT_PORTS.get(scheme, "")
    if _here(place) if loopback else bool(place) and place.removesuffix(port) == host.removesuffix(port):
        return
    raise RequestError(f"requests from the web page {text!r} are refused: ask from a program instead", status=403)


def check_json(headers: Mapping[bytes, bytes]) -> None:
    """Raises `RequestError` 415 unless the body is said to be JSON."""
    kind = headers.get(b"content-type", b"").decode("latin-1")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise RequestError(f"content-type is {kind!r}: send JSON, and say `content-type: application/json`", status=415)


def check_form(headers: Mapping[bytes, bytes]) -> None:
    """Raises `RequestError` 415 unless the body is said to be a form with files, and 403 where a browser sends it for a
    page of another site and tells no `Origin` that `check_origin` has let in."""
    kind = headers.get(b"content-type", b"").decode("latin-1")
    if kind.partition(";")[0].strip().lower() != "multipart/form-data":
        raise RequestError(f"content-type is {kind!r}: send a form with a file, multipart/form-data", status=415)
    site = headers.get(b"sec-fetch-site", b"none").decode("latin-1").lower()
    if site not in ("none", "same-origin") and b"origin" not in headers:
        raise RequestError(
            f"forms from a web page that is {site!r} are refused: ask from a program instead", status=403
        )


def check_open(host: str, keys: Keys) -> None:
    """Raises `ConfigError` for an address that others can reach, where nobody needs a key."""
    if not is_loopback(host) and not keys.closed:
        raise ConfigError(
            f"others can reach {host}, so it takes a key: pass --key env:NAME with the key in that variable, "
            'or write keys = ["env:NAME"] under [server] in trivet.toml, or add one with `trivet keys add`; without '
            "one, listen on 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether a name or an address without a port means this machine and no other."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(256)  # of a header's value, the same in nearly all requests
def _here(place: str) -> bool:
    return is_loopback(_name(place))


def _name(place: str) -> str:
    """`[::1]:8484` -> `::1`; an empty string for what is no HOST[:PORT]."""
    try:
        split = urlsplit(f"//{place}")
        if split.netloc != place or "@" in place:
            return ""
        split.port  # noqa: B018  # raises where it is no number
        return split.hostname or ""
    except ValueError:
        return ""
