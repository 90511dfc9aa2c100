"""Getting files from a Hugging Face hub: `hf:OWNER/REPO[/FILE][@REVISION]`, through huggingface_hub (an extra).

A branch or tag is only a way of saying which commit: files lie under the commit, are recorded with it, and the name
that is printed is pinned to it. Without a revision the hub's `main` is resolved in the same way: to ask for `@main` to
be typed would pin nothing more.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from trivet.errors import ConfigError, TrivetError, WeightsError
from trivet.local.digests import Record, digest, recorded, save
from trivet.local.staging import Progress, legible, need_space, staging
from trivet.types import Value

__all__ = ["FromHub", "HubName", "parse", "pull"]

# Weights that cannot carry code, and what goes with them. Pickles (.bin, .pt, .pth, .ckpt) and Python never.
WEIGHTS = ("*.safetensors", "*.gguf")
BESIDE = (
    "*config.json",
    "config_*.json",
    "*tokenizer*.json",
    "*.safetensors.index.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "merges.txt",
    "modules.json",
    "special_tokens_map.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
)
CHUNK = 1 << 20
_COMMIT = re.compile(r"[0-9a-f]{40}")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_PART = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<all>\d{5})\.gguf")


class HubName(Value, frozen=True, kw_only=True):
    """`hf:OWNER/REPO[/FILE][@REVISION]`, taken apart. `repo` is OWNER/REPO."""

    repo: str
    file: str | None = None
    revision: str | None = None

    def __str__(self) -> str:
        file = f"/{self.file}" if self.file else ""
        return f"hf:{self.repo}{file}" + (f"@{self.revision}" if self.revision else "")


class FromHub(NamedTuple):
    """What a pull brought: the pinned name of what was asked for, the files here, and whether any had to be got."""

    pinned: str
    paths: tuple[Path, ...]
    fresh: bool


class _File(NamedTuple):
    """What the hub states of a file: its name in the repository, size in bytes, and SHA-256 or git's SHA-1."""

    name: str
    size: int
    sha256: str | None
    blob: str | None


def parse(text: str) -> HubName:
    """Takes a name apart. Raises WeightsError, with the form, where it has another one."""
    name, _, revision = text.removeprefix("hf:").partition("@")
    owner, _, rest = name.partition("/")
    repo, slash, file = rest.partition("/")
    if (
        not (_WORD.fullmatch(owner) and _WORD.fullmatch(repo))
        or (slash and not _is_safe(file))
        or ("@" in text and not revision)
    ):
        raise WeightsError(f"{text!r} is not a name on a hub. The form is hf:OWNER/REPO[/FILE]@REVISION.")
    return HubName(repo=f"{owner}/{repo}", file=file or None, revision=revision or None)


def pull(
    text: str, home: Path, progress: Progress | None = None, *, waiting: Callable[[], None] | None = None
) -> FromHub:
    """Makes the files of `text` be in `home`, each checked against the digest that the hub states.

    What a dead pull had of a file is taken up again. No file has its final name before it is whole and checked. Raises
    ConfigError without huggingface_hub, WeightsError for everything else that can fail.
    """
    name = parse(text)
    if name.file is not None:
        _allowed(name.file)
        if (path := _here(name, home)) is not None:
            return FromHub(str(name), (path,), fresh=False)
    commit, files, licence = _listing(name)
    pinned = HubName(repo=name.repo, file=name.file, revision=commit)
    wanted = _wanted(pinned, files)
    folder = home / "hub" / name.repo / commit
    key = "hf-" + hashlib.sha256(f"{name.repo}@{commit}".encode()).hexdigest()[:16]
    fresh = False
    with legible(home), staging(home, key, keep=True, waiting=waiting) as parts:
        missing = [file for file in wanted if not _is_whole(folder / file.name, file, home)]
        need_space(home, sum(file.size for file in missing))
        for file in missing:
            part = parts / f"{file.sha256 or file.blob}.part"
            _download(pinned, file, part, progress)
            sha256 = _check(pinned, file, part)
            final = folder / file.name
            source = str(HubName(repo=name.repo, file=file.name, revision=commit))
            # The record goes first: a file of the hub's is never here without the digest that it must have.
            entry = Record(path=os.path.abspath(final), sha256=sha256, size=file.size, source=source, licence=licence)
            save(entry, home)
            final.parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, final)
            fresh = True
    return FromHub(str(pinned), tuple(folder / file.name for file in wanted), fresh)


def _here(name: HubName, home: Path) -> Path | None:
    """The file of a name pinned to a commit, where it is here and is what was recorded: no need to ask the hub."""
    if name.file is None or not _COMMIT.fullmatch(name.revision or "") or _PART.fullmatch(name.file):
        return None
    path = home / "hub" / name.repo / str(name.revision) / name.file
    try:
        entry = recorded(path, home)
        whole = entry is not None and path.is_file() and digest(path, home) == entry.sha256
    except (OSError, WeightsError):
        return None
    return path if whole else None


def _listing(name: HubName) -> tuple[str, list[_File], str | None]:
    """The commit that the revision stands for, every file there, and the licence on the model's card."""
    api = _library().HfApi(endpoint=_endpoint())
    with _said(f"list {name}"):
        info = api.model_info(name.repo, revision=name.revision or "main", files_metadata=True)
    commit = info.sha or ""
    if not _COMMIT.fullmatch(commit):
        raise WeightsError(f"The hub does not say which commit {name} is. Name one: hf:{name.repo}@COMMIT")
    files = [
        _File(
            file.rfilename,
            (file.lfs.size if file.lfs else file.size) or 0,
            file.lfs.sha256 if file.lfs else None,
            file.blob_id,
        )
        for file in info.siblings or []
        if _is_safe(file.rfilename)
    ]
    licence = getattr(info.card_data, "license", None)  # one or several, as the card's author wrote it
    return commit, files, ", ".join(map(str, licence)) if isinstance(licence, list) else licence


def _wanted(name: HubName, files: Sequence[_File]) -> list[_File]:
    """The files to get: the one that is named, with the other parts of a split GGUF, else all that are of use."""
    if name.file is not None:
        split = _PART.fullmatch(name.file)
        found = [f for f in files if f.name == name.file or (split and _same_split(f.name, split))]
        if not any(file.name == name.file for file in found):
            raise WeightsError(f"{name} does not exist. The repository has: {_list(files)}.")
        if split and len(found) != int(split["all"]):
            raise WeightsError(f"{name} is one of {int(split['all'])} parts, and the repository has {len(found)}.")
        return found
    weights = [file for file in files if _matches(file.name, WEIGHTS)]
    if not weights:
        raise WeightsError(
            f"{name} has no safetensors and no GGUF file, the kinds that trivet gets; pickles it never loads. "
            f"It has: {_list(files)}."
        )
    ggufs = {m["stem"] if (m := _PART.fullmatch(f.name)) else f.name for f in weights if f.name.endswith(".gguf")}
    if len(ggufs) > 1:
        raise WeightsError(f"{name} has {len(ggufs)} GGUF models. Name one: {_list(weights)}.")
    return [file for file in files if _matches(file.name, WEIGHTS + BESIDE)]


def _same_split(file: str, split: re.Match[str]) -> bool:
    other = _PART.fullmatch(file)
    return other is not None and other.group("stem", "all") == split.group("stem", "all")


def _list(files: Sequence[_File], most: int = 12) -> str:
    names = [file.name for file in files]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "nothing") + more


def _allowed(file: str) -> None:
    if not _matches(file, WEIGHTS + BESIDE):
        raise WeightsError(
            f"{file} is not a kind of file that trivet gets from a hub: safetensors, GGUF, and the JSON and text files "
            "of tokenizers and configurations. Pickles and code it never loads."
        )


def _matches(file: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(PurePosixPath(file).name, pattern) for pattern in patterns)


def _is_safe(file: str) -> bool:
    """Whether a name from outside stays inside the folder that it is put into, on any system."""
    return all(part not in ("", ".", "..") for part in file.split("/")) and not re.search(r"[\\:\x00-\x1f]", file)


def _is_whole(path: Path, file: _File, home: Path) -> bool:
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    try:
        entry = recorded(path, home)
    except WeightsError:
        return False  # a damaged record is written anew with the file
    return entry is not None and entry.source is not None and digest(path, home) == entry.sha256


def _download(name: HubName, file: _File, part: Path, progress: Progress | None) -> None:
    """Gets what is missing of `file` at the end of `part`."""
    library = _library()
    from huggingface_hub.file_download import http_get

    # hf_hub_download starts every file anew since 2.x; http_get under it takes up where `resume_size` says.
    url = library.hf_hub_url(name.repo, file.name, revision=name.revision, endpoint=_endpoint())
    headers = {**library.utils.build_hf_headers(library_name="trivet"), "Accept-Encoding": "identity"}
    library.utils.disable_progress_bars("huggingface_hub.http_get")  # ours is shown, if any
    with _Part(part, file, progress) as out, _said(f"get {file.name} of hf:{name.repo}"):
        http_get(url, out, resume_size=out.tell(), headers=headers, expected_size=file.size)
        os.fsync(out.fileno())  # a rename must not overtake the bytes if the machine stops


class _Part(io.FileIO):
    """A file that is appended to, tells of its progress, and does not grow beyond what the hub stated."""

    def __init__(self, path: Path, file: _File, progress: Progress | None) -> None:
        super().__init__(path, "a+b")
        self.file = file
        self.progress = progress
        if self.seek(0, os.SEEK_END) > file.size:
            self.truncate(0)
            self.seek(0)

    def write(self, data: Any) -> int:
        view = memoryview(data)
        if self.tell() + len(view) > self.file.size:
            raise WeightsError(
                f"The hub sends more than the {self.file.size:,} bytes that it states for {self.file.name}."
            )
        left = view
        while left:
            left = left[super().write(left) :]
        if self.progress is not None:
            self.progress(f"getting {self.file.name}", self.tell(), self.file.size)
        return len(view)


def _check(name: HubName, file: _File, part: Path) -> str:
    """The SHA-256 of `part`, once its content is what the hub states. What is wrong is thrown away."""
    sha256 = hashlib.sha256()
    blob = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)  # how git names a file's content
    with part.open("rb") as data:
        while chunk := data.read(CHUNK):
            sha256.update(chunk)
            blob.update(chunk)
    found, stated = (sha256, file.sha256) if file.sha256 else (blob, file.blob)
    if stated is None or found.hexdigest() != stated:
        part.unlink()
        why = "the hub states no digest for it" if stated is None else f"its digest is not the {stated[:16]}… stated"
        raise WeightsError(
            f"{file.name} of hf:{name.repo} was thrown away: {why}. Pull again, or name another revision."
        )
    return sha256.hexdigest()


@contextlib.contextmanager
def _said(doing: str) -> Iterator[None]:
    """Turns what huggingface_hub raises into a WeightsError: its own message says it best."""
    try:
        yield
    except TrivetError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError):
            raise  # the disk's, not the hub's
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = " ".join(lines[:4]) or type(error).__name__
        raise WeightsError(
            f"The hub could not {doing}: {type(error).__name__}: {said} "
            "Check the name, the network and, for a gated model, your login (hf auth login), then pull again."
        ) from error


def _endpoint() -> str | None:
    """The hub's address where the user has set another one; the client reads it only when it is imported."""
    return os.environ.get("HF_ENDPOINT") or None


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise ConfigError(
            'Names that start with hf: need huggingface_hub. Install it: pip install "trivet[hub]"'
        ) from None
    return huggingface_hub
