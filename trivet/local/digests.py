"""What is remembered of files: digests that need not be computed again, and digests that a user's files had first.

Two memories, kept apart because they differ in worth. `digests.json` is a cache: lost or unreadable, files are hashed
again. `own/` has one small file for each of the user's own weights and of those from a hub: it is what "recorded at
first use" means, so nothing but `trivet pull` changes an entry.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from pathlib import Path

import msgspec

from trivet.errors import WeightsError
from trivet.types import Value

__all__ = ["Record", "digest", "record", "recorded", "records", "write_whole"]

# A file may change again within one tick of its file system's clock and look the same. One that has only just been
# written is therefore hashed each time until it is older than any such tick (FAT's is two seconds).
SETTLED_NS = 3_000_000_000


class _Seen(Value, frozen=True, kw_only=True):
    """The state that a file was hashed in. A file that still has it is taken to have the same digest."""

    size: int
    mtime_ns: int
    inode: int
    sha256: str = ""


class Record(Value, frozen=True, kw_only=True):
    """A file of the user's own, or from a hub: its digest and size when it was first used or last accepted.

    `source` is its pinned name on a hub (`hf:OWNER/REPO/FILE@COMMIT`), None for a file of the user's own; `licence` is
    what the hub or the file says, None where neither does.
    """

    path: str
    sha256: str
    size: int
    source: str | None = None
    licence: str | None = None


def digest(path: Path, home: Path) -> str:
    """The SHA-256 of a file, in hex; from the cache in `home` while size, time of change and inode are the same."""
    key = os.path.abspath(path)
    state = _state(os.stat(path))
    cache = _load(home)
    seen = cache.get(key)
    if seen is not None and msgspec.structs.replace(seen, sha256="") == state:
        return seen.sha256
    with path.open("rb") as file:
        before = _state(os.fstat(file.fileno()))
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        after = _state(os.fstat(file.fileno()))
    if before == after and time.time_ns() - after.mtime_ns > SETTLED_NS:
        _remember(home, key, msgspec.structs.replace(after, sha256=sha256))
    return sha256


def _state(stat: os.stat_result) -> _Seen:
    return _Seen(size=stat.st_size, mtime_ns=stat.st_mtime_ns, inode=stat.st_ino)


def _load(home: Path) -> dict[str, _Seen]:
    try:
        return msgspec.json.decode((home / "digests.json").read_bytes(), type=dict[str, _Seen])
    except (OSError, msgspec.MsgspecError, ValueError):
        return {}  # it is only a cache


def _remember(home: Path, key: str, seen: _Seen) -> None:
    # Two processes at once: the later write wins whole, and what it lost is hashed once more.
    cache = {path: old for path, old in _load(home).items() if os.path.exists(path)} | {key: seen}
    with contextlib.suppress(OSError):  # a home that cannot be written to only costs time
        write_whole(home / "digests.json", msgspec.json.encode(cache))


def record(path: Path, sha256: str, home: Path, *, source: str | None = None, licence: str | None = None) -> Record:
    """Writes down the digest that `path` has now, or is about to have. Raises OSError where `home` is not writable."""
    entry = Record(path=os.path.abspath(path), sha256=sha256, size=path.stat().st_size, source=source, licence=licence)
    return save(entry, home)


def save(entry: Record, home: Path) -> Record:
    write_whole(_place(entry.path, home), msgspec.json.encode(entry))
    return entry


def recorded(path: Path, home: Path) -> Record | None:
    """What was recorded of `path`, or None. Raises WeightsError where the record itself is damaged."""
    place = _place(os.path.abspath(path), home)
    try:
        return msgspec.json.decode(place.read_bytes(), type=Record)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise WeightsError(
            f"The recorded digest of {path} cannot be read ({place}: {error}). "
            f"If the file is as you want it, record it anew: trivet pull {path}"
        ) from None


def records(home: Path) -> list[Record]:
    """Every record that can be read, by path."""
    found = []
    for place in (home / "own").glob("*.json"):
        with contextlib.suppress(OSError, msgspec.MsgspecError, ValueError):
            found.append(msgspec.json.decode(place.read_bytes(), type=Record))
    return sorted(found, key=lambda entry: entry.path)


def _place(path: str, home: Path) -> Path:
    # One file for each, so that two processes never write the same one with different contents.
    return home / "own" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"


def write_whole(path: Path, data: bytes) -> None:
    """Writes a small file so that a reader finds the old or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
