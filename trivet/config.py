"""trivet.toml as typed values. An unknown key is an error that names the nearest known one.

::

    [server]                host, port, keys, max_body_mb, grace_s
    [local]                 embedded models: `trivet.local.settings.LocalSettings`
    [providers.NAME]        hosts, and accounts at them: `trivet.providers.settings.ProviderSettings`
    [models.NAME]           use = ["names", "in order"], or base = "name" with system = "..."
    [models.NAME.route]     how those names are asked: `trivet.adapt.settings.RouteSettings`
    [ledger]                what is written down of each request: `trivet.ledger.settings.LedgerSettings`
    [budgets]               what holds for keys with a budget: `trivet.ledger.settings.BudgetSettings`
    [prices."NAME"]         prices of one's own, by provider/model: `trivet.ledger.settings.OwnPrice`
    [cache]                 where answers are kept: `trivet.adapt.cache_settings.CacheSettings`
    [telemetry]             OpenTelemetry: `trivet.ledger.settings.TelemetrySettings`

A secret may be `env:NAME`: the value of that environment variable. Paths count from the file.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from trivet.adapt.cache_settings import CacheSettings
from trivet.adapt.settings import RouteSettings
from trivet.errors import ConfigError
from trivet.ledger.settings import BudgetSettings, LedgerSettings, OwnPrice, TelemetrySettings
from trivet.local.settings import LocalSettings
from trivet.providers.settings import ProviderSettings
from trivet.types import Value, replace

__all__ = [
    "Config",
    "ModelSettings",
    "ProviderSettings",
    "Secret",
    "ServerSettings",
    "checked",
    "find",
    "is_path",
    "load",
    "nearest",
]

FILE = "trivet.toml"
TABLES = ("server", "local", "providers", "models", "ledger", "budgets", "prices", "cache", "telemetry")

# Keys of the design that no version has yet: a user who read ahead is told so, and not that they are typos.
LATER_TABLES = ("auto", "evals", "indexes", "mcp", "tools")
LATER_MODEL_KEYS = ("adapter", "budget", "choose", "eval", "index", "tools")


class Secret(str):
    """A string that `repr`, `str`, `print` and f-strings do not show. `reveal()` is the plain string."""

    def reveal(self) -> str:
        return "".join(self)

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)


class ServerSettings(Value, frozen=True, kw_only=True):
    """`port` 0 takes any free port. `keys` are what clients must send, any one of them. `max_body_mb` bounds a
    request's body; `grace_s` is how long requests under way may go on after SIGTERM."""

    host: str = "127.0.0.1"
    port: int = 8484
    keys: tuple[str, ...] = ()
    max_body_mb: float = 32
    grace_s: float = 30

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port is {self.port}, must be between 0 and 65535")
        if not self.host:
            raise ValueError("host is empty")
        if any(not key for key in self.keys):
            raise ValueError("keys has an empty key")
        if not self.max_body_mb > 0:
            raise ValueError(f"max_body_mb is {self.max_body_mb}, must be more than 0")
        if not self.grace_s >= 0:
            raise ValueError(f"grace_s is {self.grace_s}, must be at least 0")


class ModelSettings(Value, frozen=True, kw_only=True):
    """A name for a model. `use` are names in order of preference: one is an alias (and may be a string), several are
    asked as `route` says. `base` is the one name that the rest of the table adapts: `system` is put in front of every
    conversation. `prompt_cache` says whether break points and keys for the providers' prompt caches are placed;
    `cache` that answers are kept and given again: those to deterministic requests, or to all."""

    use: tuple[str, ...] | str = ()
    base: str | None = None
    system: str | None = None
    route: RouteSettings | None = None
    prompt_cache: bool = True
    cache: Literal["deterministic", "all"] | bool = False

    def __post_init__(self) -> None:
        if self.use and self.base:
            raise ValueError("has both use and base: use names models in order, base the one that the table adapts")
        if not self.use and not self.base:
            raise ValueError('names no model: give use = ["a name"], or base = "a name" and what adapts it')
        if len(set(self.names)) < len(self.names):
            raise ValueError("use has a name twice: `retries` under route asks the same model again")
        if self.route is not None and self.base:
            raise ValueError("route is for the names of use: give the route a name of its own, and make that the base")
        if self.route is not None and self.route.weights and len(self.route.weights) != len(self.names):
            raise ValueError(
                f"route has {len(self.route.weights)} weights, and use {len(self.names)} names: each has one"
            )
        if any(not name for name in self.names):
            raise ValueError("use has an empty name")
        if self.system is not None and not self.base:
            raise ValueError("system adapts a base: write base in place of use")
        if self.system == "":
            raise ValueError("system is empty")

    @property
    def names(self) -> tuple[str, ...]:
        """The names that this one stands on."""
        if self.base:
            return (self.base,)
        return (self.use,) if isinstance(self.use, str) else self.use

    @property
    def routes(self) -> RouteSettings | None:
        """How its names are asked; None for an alias, which asks nothing of its own."""
        return self.route or (RouteSettings() if len(self.names) > 1 else None)


class Config(Value, frozen=True, kw_only=True):
    """All of trivet.toml; `path` is the file, None where there is none. Raises ConfigError for a cycle of names."""

    server: ServerSettings = ServerSettings()
    local: LocalSettings = LocalSettings()
    providers: Mapping[str, ProviderSettings] = {}
    models: Mapping[str, ModelSettings] = {}
    ledger: LedgerSettings = LedgerSettings()
    budgets: BudgetSettings = BudgetSettings()
    prices: Mapping[str, OwnPrice] = {}
    cache: CacheSettings = CacheSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    path: Path | None = None

    def __post_init__(self) -> None:
        for name in self.models:
            self._refuse_cycle((name,))
        files = [table.path for table in (self.ledger, self.budgets, self.cache) if table.path is not None]
        if len(set(files)) < len(files):
            where = self.path or "configuration"
            raise ConfigError(f"{where}: [ledger], [budgets] and [cache] have files of their own: name others")

    def _refuse_cycle(self, trail: tuple[str, ...]) -> None:
        """`trail` are names of which each stands on the next."""
        for name in self.models[trail[-1]].names:
            if name in trail:
                cycle = " -> ".join((*trail[trail.index(name) :], name))
                raise ConfigError(f"{self.where(f'models.{name}')} stands on itself: {cycle}. Break the cycle.")
            if name in self.models:
                self._refuse_cycle((*trail, name))

    def where(self, table: str) -> str:
        """`trivet.toml: [models.smart]`, for messages."""
        return f"{self.path or 'configuration'}: [{table}]"


def find(folder: Path | None = None) -> Path | None:
    """The trivet.toml of a folder, the current one as a rule, or None."""
    path = (folder or Path()) / FILE
    return path if path.is_file() else None


def load(path: str | os.PathLike[str]) -> Config:
    """Reads a configuration file. Raises ConfigError, which names the file, the table and the key."""
    path = Path(path).expanduser()
    tables = _read(path)
    _known(tables, TABLES, str(path), "table", LATER_TABLES)
    at = _Place(path)
    config = Config(
        server=_server(tables.get("server", {}), at.table("server")),
        local=_local(tables.get("local", {}), at.table("local")),
        providers={n: _provider(n, t, at.table(f"providers.{n}")) for n, t in at.tables(tables, "providers")},
        models={n: _model(t, at.table(f"models.{n}")) for n, t in at.tables(tables, "models")},
        ledger=_with_file(tables.get("ledger", {}), LedgerSettings, at.table("ledger")),
        budgets=_with_file(tables.get("budgets", {}), BudgetSettings, at.table("budgets")),
        prices={n: _price(t, at.table(f"prices.{n}")) for n, t in at.tables(tables, "prices")},
        cache=_with_file(tables.get("cache", {}), CacheSettings, at.table("cache")),
        telemetry=_settings(tables.get("telemetry", {}), TelemetrySettings, at.table("telemetry")),
        path=path,
    )
    models = {n: _with_paths(m, config.models, at) for n, m in config.models.items()}
    return replace(config, models=models)


def checked(config: object) -> Config:
    """What a caller gives as its configuration; nothing, or an empty mapping, is the empty one. Raises ConfigError."""
    if isinstance(config, Config):
        return config
    if config is None or config == {}:
        return Config()
    given = "a mapping" if isinstance(config, Mapping) else type(config).__name__
    raise ConfigError(
        f"config is {given}: give a trivet.Config(providers=..., models=...), or None for an empty configuration; of a "
        "file, trivet.Runtime.load(path) makes a runtime, and trivet.chat takes the path itself."
    )


def is_path(name: str) -> bool:
    """Whether a model's name is a path to weights."""
    return name.endswith(".gguf") or name.startswith(("./", "../", "/", "~", ".\\", "..\\"))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant. `smollm2` is near `local/smollm2`."""
    names = list(known)
    folded = {n.lower(): n for n in reversed(names)}
    for n in names:
        if n.rpartition("/")[2].lower() == name.lower():
            return n
    close = difflib.get_close_matches(name.lower(), folded, n=1)
    if close:
        return folded[close[0]]
    tails = {n.rpartition("/")[2].lower(): n for n in reversed(names)}
    close = difflib.get_close_matches(name.rpartition("/")[2].lower(), tails, n=1)
    return tails[close[0]] if close else None


# --- reading, table by table -------------------------------------------------------------------------------

T = TypeVar("T", bound=Value)
F = TypeVar("F", LedgerSettings, BudgetSettings, CacheSettings)


class _Place:
    """Where in the file: what every complaint begins with, and what relative paths count from."""

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self.name = name

    def table(self, name: str) -> _Place:
        return _Place(self.path, name)

    def __str__(self) -> str:
        return f"{self.path}: [{self.name}]" if self.name else str(self.path)

    def tables(self, tables: Mapping[str, Any], name: str) -> list[tuple[str, Any]]:
        """The named tables under `[providers]` or `[models]`."""
        inner = tables.get(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{self.path}: {name} must be tables, [{name}.NAME], and is {_kind(inner)}.")
        for key, value in inner.items():
            if not key:
                raise ConfigError(f"{self.path}: a table under [{name}] has an empty name.")
            if not isinstance(value, dict):
                raise ConfigError(
                    f"{self.path}: [{name}] has a key {key!r} that is {_kind(value)}. "
                    f"Its tables have names: write [{name}.NAME] above it."
                )
        return list(inner.items())

    def file(self, name: str) -> str:
        """A path in the file, absolute."""
        return os.path.abspath(self.path.parent / os.path.expanduser(name))


def _read(path: Path) -> dict[str, Any]:
    text = ""
    try:
        text = path.read_text("utf-8-sig")
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = f"at line {len(text.splitlines())}, the end"
        raise ConfigError(f"{path} is not valid TOML: {error}.".replace("at end of document", where)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text, which TOML must be: byte {error.start} is wrong.") from None
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist. Name another file, or none to do without.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from None


def _server(table: Any, at: _Place) -> ServerSettings:
    settings = _settings(table, ServerSettings, at)
    return replace(settings, keys=tuple(_secret(key, at, "keys") for key in settings.keys))


def _local(table: Any, at: _Place) -> LocalSettings:
    settings = _settings(table, LocalSettings, at)
    given = {key: getattr(settings, key) for key in ("home", "draft", "projector", "chat_template")}
    return replace(settings, **{key: at.file(value) for key, value in given.items() if value is not None})


def _with_file(table: Any, kind: type[F], at: _Place) -> F:
    """A table whose `path` is a file."""
    settings = _settings(table, kind, at)
    return settings if settings.path is None else replace(settings, path=at.file(settings.path))


def _price(table: Any, at: _Place) -> OwnPrice:
    """Numbers in TOML are binary fractions: each is taken as it is written, so that 0.1 is a tenth."""
    if isinstance(table, dict):
        table = {name: str(value) if type(value) in (int, float) else value for name, value in table.items()}
    return _settings(table, OwnPrice, at)


def _provider(name: str, table: Any, at: _Place) -> ProviderSettings:
    if name == "local":
        raise ConfigError(f"{at}: embedded models have a table of their own. Write [local].")
    if "/" in name:
        raise ConfigError(f"{at}: a provider's name has no slash, which is what stands between it and its model.")
    settings = _settings(table, ProviderSettings, at)
    headers = {key: _secret(value, at, f"headers.{key}") for key, value in settings.headers.items()}
    if settings.api_key is None:
        return replace(settings, headers=headers)
    return replace(settings, headers=headers, api_key=_secret(settings.api_key, at, "api_key"))


def _model(table: Any, at: _Place) -> ModelSettings:
    if isinstance(table, dict) and "route" in table:
        route = _settings(table["route"], RouteSettings, at.table(f"{at.name}.route"))
        table = {**table, "route": msgspec.to_builtins(route)}
    settings = _settings(table, ModelSettings, at, LATER_MODEL_KEYS)
    return replace(settings, use=settings.names) if settings.use else settings


def _with_paths(model: ModelSettings, models: Mapping[str, ModelSettings], at: _Place) -> ModelSettings:
    """With paths to weights made absolute; a table's own name goes before a path."""

    def absolute(name: str) -> str:
        return at.file(name) if is_path(name) and name not in models else name

    if model.base:
        return replace(model, base=absolute(model.base))
    return replace(model, use=tuple(absolute(name) for name in model.names))


def _settings(table: Any, kind: type[T], at: _Place, later: tuple[str, ...] = ()) -> T:
    """A table as a struct: every key known, every value of its type."""
    if not isinstance(table, dict):
        raise ConfigError(f"{at.path}: {at.name} must be a table, [{at.name}], and is {_kind(table)}.")
    _known(table, kind.__struct_fields__, str(at), "key", later)
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        key = where.rstrip("`").removeprefix(".")
        raise ConfigError(f"{at} {key}: {what[:1].lower()}{what[1:]}." if key else f"{at} {what}.") from None


def _known(table: Mapping[str, Any], known: tuple[str, ...], at: str, what: str, later: tuple[str, ...]) -> None:
    for key in table:
        if key in known:
            continue
        if key in later:
            raise ConfigError(f"{at}: the {what} {key!r} is not there yet in this version of trivet. Take it out.")
        meant = nearest(key, known)
        hint = f"Did you mean {meant!r}?" if meant else f"There are: {', '.join(known)}."
        raise ConfigError(f"{at}: the {what} {key!r} is unknown. {hint}")


def _secret(value: str, at: _Place, key: str) -> Secret:
    if not value.startswith("env:"):
        return Secret(value)
    variable = value.removeprefix("env:")
    found = os.environ.get(variable)
    if found is None or not found.strip():
        state = "is not set" if found is None else "is empty"
        raise ConfigError(f"{at} {key}: the environment variable {variable} {state}. Set it, or take {key} out.")
    if not found.isprintable():
        raise ConfigError(f"{at} {key}: the environment variable {variable} has a line break or the like in it.")
    return Secret(found)


def _kind(value: object) -> str:
    names = {
        str: "a string",
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), type(value).__name__)
