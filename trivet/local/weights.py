"""Weights that are here: the folder, and files that are what they ought to be. Nothing here downloads.

HOME/                        TRIVET_HOME, else `[local] home`, else the user's data folder
├ smollm2/*.gguf             weights of the catalogue
├ hub/OWNER/REPO/COMMIT/     files from a Hugging Face hub
├ own/*.json                 the digest of each file from a hub and of the user's own, as first used
├ digests.json               a cache: which files have been hashed, and when
└ .pull/                     pulls under way, and what dead ones left
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from trivet import catalog
from trivet.errors import WeightsError
from trivet.local import gguf
from trivet.local.digests import Record, digest, record, recorded

__all__ = ["accept", "find", "home", "quoted", "unchanged", "verify", "verify_path"]


def home(setting: str | os.PathLike[str] | None = None) -> Path:
    """The folder of weights, which need not exist yet: TRIVET_HOME, else `setting`, else the user's data folder."""
    chosen = os.environ.get("TRIVET_HOME") or setting
    if chosen:
        return Path(os.path.abspath(os.path.expanduser(chosen)))
    import platformdirs

    return platformdirs.user_data_path("trivet", appauthor=False) / "weights"


def find(name: str, home: Path, *, digests: bool = True) -> Path:
    """The verified file that the engine opens for the catalogue's `name`. Without `digests` only what can be told at
    once is looked at: for an event loop, which must not wait for gigabytes to be hashed.

    Raises UnknownModelError for a name that the catalogue does not have, and WeightsError, which names the file, what
    is wrong with it and the command that mends it. A file that has not changed since it was hashed is not hashed again.
    """
    entry = catalog.named(name)
    for file in entry.every_file:
        verify(home / entry.name / file.name, file, home, mend=entry.command, digests=digests)
    return home / entry.name / entry.files[0].name


def verify(path: Path, file: catalog.File, home: Path, *, mend: str, digests: bool = True) -> None:
    """Raises WeightsError unless `path` has the size and, with `digests`, the digest of `file`. `mend` is the command
    to name."""
    if not path.exists():
        raise WeightsError(f"Weights are missing: {path} does not exist. Get them ({_mb(file.size)}): {mend}")
    if not path.is_file():
        raise WeightsError(f"Weights are missing: {path} is not a file. Move it away, then: {mend}")
    if path.suffix == ".gguf" and not _is_gguf(path):
        raise WeightsError(f"Weights are foreign: {path} is not a GGUF file. Get the right one: {mend}")
    size = path.stat().st_size
    if size < file.size:
        raise WeightsError(f"Weights are truncated: {path} has {size:,} of {file.size:,} bytes. Get them again: {mend}")
    if size > file.size:
        raise WeightsError(f"Weights are altered: {path} has {size:,} bytes, not {file.size:,}. Get them again: {mend}")
    if digests and (found := digest(path, home)) != file.sha256:
        raise WeightsError(
            f"Weights are altered: {path} has SHA-256 {found[:16]}…, not {file.sha256[:16]}…. Get them again: {mend}"
        )


def verify_path(path: str | os.PathLike[str], home: Path, *, digests: bool = True) -> Path:
    """A GGUF of the user's own, or from a hub: whole, and the same as when it was first used. `digests` as in `find`.

    Its digest is recorded at first use. Raises WeightsError where it is missing, foreign or truncated, where it has
    changed since, and where nothing can be recorded because `home` is not writable.
    """
    path = Path(os.path.abspath(os.path.expanduser(path)))
    header = _whole_gguf(path)
    if digests:
        unchanged(path, home, licence=header.licence)
    return path


def unchanged(path: Path, home: Path, *, licence: str | None = None) -> None:
    """Records the digest of a file of the user's own at its first use, and from then on raises WeightsError where it
    is another one."""
    known = recorded(path, home)
    if known is None:
        _record(path, home, licence)
    elif (found := digest(path, home)) != known.sha256:
        if known.source is not None:
            raise WeightsError(
                f"Weights are altered: {path} has SHA-256 {found[:16]}…, the hub's has {known.sha256[:16]}…. "
                f"Get them again: trivet pull {known.source}"
            )
        raise WeightsError(
            f"{path} has changed since it was first used: its SHA-256 was {known.sha256[:16]}… and is {found[:16]}…. "
            f"If that is meant, accept the new content: trivet pull {quoted(path)}"
        )


def accept(path: str | os.PathLike[str], home: Path) -> Record:
    """Records the digest that the user's own GGUF has now, whatever was recorded before, or that of another file that
    was in use before. Raises as `verify_path`."""
    path = Path(os.path.abspath(os.path.expanduser(path)))
    in_use = path.suffix != ".gguf" and path.is_file() and recorded(path, home) is not None
    return _record(path, home, None if in_use else _whole_gguf(path).licence)


def _record(path: Path, home: Path, licence: str | None) -> Record:
    try:
        return record(path, digest(path, home), home, licence=licence)
    except OSError as error:
        raise WeightsError(
            f"The digest of {path} cannot be recorded in {home} ({error.strerror or error}). "
            "Make that folder writable, or set TRIVET_HOME to one that is."
        ) from None


def _whole_gguf(path: Path) -> gguf.Header:
    if not path.exists():
        raise WeightsError(f"Weights are missing: {path} does not exist. Check the path.")
    if not path.is_file():
        raise WeightsError(f"{path} is not a file. Name the GGUF file itself.")
    if not _is_gguf(path):
        raise WeightsError(
            f"Weights are foreign: {path} is not a GGUF file, the only kind that is a model by itself. Of a CLIP, a "
            "Whisper or a cross-encoder name the folder; get others as GGUF, or convert them with llama.cpp's "
            "convert_hf_to_gguf.py."
        )
    header = gguf.read(path)
    size = path.stat().st_size
    if header.size is not None and size < header.size:
        raise WeightsError(
            f"Weights are truncated: {path} has {size:,} of {header.size:,} bytes. Copy or download it again."
        )
    if header.padded_size is not None and size > header.padded_size:
        raise WeightsError(
            f"Weights are damaged: {path} has {size:,} bytes, and its header tells of {header.padded_size:,}. "
            "Copy or download it again."
        )
    return header


def _is_gguf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(gguf.MAGIC)) == gguf.MAGIC
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}. Check its permissions.") from None


def quoted(path: str | os.PathLike[str]) -> str:
    """A path as it is typed into a shell."""
    text = os.fspath(path)
    if os.name == "nt":
        return f'"{text}"' if " " in text else text
    return shlex.quote(text)


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
