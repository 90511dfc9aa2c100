"""Where a pull works before anything gets its final name: one pull at a time for each thing pulled, and no leftovers.

    HOME/.pull/KEY/lock          held by the pull under way; the system lets go of it when the process dies
    HOME/.pull/KEY/<anything>    the pull's own files, dead ones' once nobody holds the lock

The folder lies in HOME, so that a finished file gets its name by a rename on one file system.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from trivet.errors import WeightsError

__all__ = ["Progress", "legible", "need_space", "staging"]

Progress = Callable[[str, int, int | None], None]
"""Called as `progress(what, done, total)`: what is being done, and bytes, `total` None where it is unknown."""

# A pull from a hub can be taken up again, so what it left stays for a while; then it is only in the way.
KEEP_S = 7 * 24 * 3600


@contextlib.contextmanager
def staging(home: Path, key: str, *, keep: bool = False, waiting: Callable[[], None] | None = None) -> Iterator[Path]:
    """The folder for the pull of `key`, held for this process alone. Waits while another process holds it,
    having called `waiting` once.

    What dead pulls left is removed first: of this key (unless `keep`), and of others where nobody is at work. At the
    end the folder's contents go; with `keep` they stay when the pull fails, to be taken up again.
    """
    root = home / ".pull"
    folder = root / key
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / "lock", wait=True, waiting=waiting):
        _clean_others(root, but=folder)
        if not keep:
            _empty(folder)
        try:
            yield folder
        except BaseException:
            if not keep:
                _empty(folder)
            raise
        _empty(folder)


def _clean_others(root: Path, *, but: Path) -> None:
    for other in root.iterdir():
        if other == but or not other.is_dir():
            continue
        with contextlib.suppress(OSError), _locked(other / "lock", wait=False) as held:
            old = [path for path in other.iterdir() if path.name != "lock"]
            kept = other.name.startswith("hf-") and any(time.time() - p.stat().st_mtime < KEEP_S for p in old)
            if held and not kept:
                _empty(other)


def _empty(folder: Path) -> None:
    # A package client that outlived its pull may still be writing: what cannot go now goes next time. The lock file
    # stays, because removing a file that another process is about to lock would give two of them the lock.
    for path in folder.iterdir():
        if path.name == "lock":
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool, waiting: Callable[[], None] | None = None) -> Iterator[bool]:
    """Holds the lock on `path`; yields whether it is held, which it always is with `wait`."""
    with path.open("a+b") as file:
        held = _lock(file, block=False)
        if not held and wait:
            if waiting is not None:
                waiting()
            held = _lock(file, block=True)
        yield held
    # Closing the file lets go of the lock, and so does the end of the process, however it comes.


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO, *, block: bool) -> bool:
        file.seek(0)
        while True:
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                return True
            except OSError:
                if not block:
                    return False
                time.sleep(0.1)  # LK_LOCK gives up after ten seconds

else:
    import fcntl

    def _lock(file: BinaryIO, *, block: bool) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if block else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True


def need_space(home: Path, size: int) -> None:
    """Raises WeightsError where fewer than `size` bytes are free for `home`."""
    free = shutil.disk_usage(home).free
    if free < size:
        raise WeightsError(
            f"No room in {home}: {size / 1e6:,.0f} MB are needed while pulling, {free / 1e6:,.0f} MB are free. "
            "Make room, or set TRIVET_HOME to a folder on another disk."
        )


@contextlib.contextmanager
def legible(home: Path) -> Iterator[None]:
    """Turns the operating system's errors about `home` into WeightsErrors that say what to do."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        where = f"{home} ({error.filename})" if error.filename and str(error.filename) != str(home) else str(home)
        if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            raise WeightsError(
                f"No room in {home}: {reason}. Make room, or set TRIVET_HOME to a folder on another disk, "
                "and pull again."
            ) from error
        raise WeightsError(
            f"Cannot write into the weights folder {where}: {reason}. Make it writable, close what has its files open, "
            "or set TRIVET_HOME to another folder, and pull again."
        ) from error


def clear_name(path: Path, aside: Path) -> None:
    """Moves what has the name `path` to `aside`, where there is anything."""
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, aside)
