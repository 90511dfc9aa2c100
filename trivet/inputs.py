"""Pictures, sound, series and proteins as people have them, as a request has them.

A file may be given by its path or as its bytes, and an array, a PIL image or a data frame as it is: none of their
libraries is imported here, where what is given is not of it already. A picture or sound is passed on in the file that
it is in; an array becomes the simplest file that holds each of its values, PNG or WAV.
"""

from __future__ import annotations

import math
import os
import re
import struct
from collections.abc import Iterable, Mapping, Set
from typing import Any

from trivet import attach, pixels
from trivet.errors import RequestError
from trivet.times import Times, refuse_irregular, times
from trivet.types import Audio, Image

__all__ = ["Picture", "Proteins", "Series", "Sound", "picture", "pictures", "proteins", "records", "series", "sound"]

Picture = Any  # a path, a URL, bytes, a trivet.Image, a PIL image or a numpy array
Sound = Any  # a path, a URL, bytes, a trivet.Audio, or (samples, rate) with a numpy array
Series = Any  # numbers; a numpy array; a pandas or polars series, or a frame with times and numbers
Proteins = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def _library(given: object) -> str:
    """The package that a value's type is of: `numpy`, `PIL`."""
    return type(given).__module__.partition(".")[0]


def _type(given: object) -> str:
    library, name = _library(given), type(given).__name__
    return name if library == "builtins" else f"{library}.{name}"


def _is_frame(given: object) -> bool:
    """Of pandas or polars."""
    return _library(given) in ("pandas", "polars") and hasattr(given, "columns")


def _in_order(given: object) -> bool:
    """Whether it is several of something, one after the other: a set has no order, and a frame gives its columns'
    names."""
    unordered = isinstance(given, str | bytes | bytearray | Mapping | Set) or _is_frame(given)
    return isinstance(given, Iterable) and not unordered


def _column(frame: Any) -> str:
    names = list(frame.columns) if _is_frame(frame) else []
    return f": choose a column, such as frame[{names[-1]!r}]" if names else ""


# --- texts --------------------------------------------------------------------------------------------------


def texts(given: str | Iterable[str], field: str) -> tuple[str, ...]:
    """One text or several."""
    if isinstance(given, str):
        return (given,)
    if not _in_order(given):
        raise TypeError(f"{field} are a list of strings, and this is of type {_type(given)}{_column(given)}")
    found = []
    for i, text in enumerate(given):
        if not isinstance(text, str):
            raise TypeError(f"{field} are strings, and [{i}] is of type {_type(text)}")
        found.append(str(text))  # numpy's own strings are a type of theirs
    if not found:
        raise RequestError(f"There is nothing in {field}: the list is empty.", field=field)
    return tuple(found)


# --- pictures -----------------------------------------------------------------------------------------------


def picture(given: Picture) -> Image:
    """For arrays and PIL images see `trivet.pixels`."""
    if isinstance(given, Image):
        return given
    if isinstance(given, bytearray | memoryview):
        given = bytes(given)
    if isinstance(given, str | os.PathLike | bytes) or pixels.are(given):
        return attach.image(given)
    raise TypeError(
        "an image is a path, bytes, a PIL image or a numpy array (height x width x 3), and this is of type "
        f"{_type(given)}"
    )


def pictures(given: Picture | Iterable[Picture]) -> tuple[Image, ...]:
    """One, or several in a list. An array of four dimensions is several."""
    several = isinstance(given, list | tuple) or (_library(given) == "numpy" and getattr(given, "ndim", 0) == 4)
    found = tuple(picture(each) for each in given) if several else (picture(given),)
    if not found:
        raise RequestError("There is no image: the list is empty.", field="images")
    return found


# --- sound --------------------------------------------------------------------------------------------------


def sound(given: Sound) -> Audio:
    """Samples are a numpy array with their rate in Hz, `(samples, rate)`, of one dimension, or samples x channels:
    floats from -1 to 1, or integers of 16 or 32 bits."""
    if isinstance(given, Audio):
        return given
    if isinstance(given, tuple) and len(given) == 2:
        samples, rate = given if getattr(given[0], "shape", ()) else given[::-1]  # scipy.io.wavfile has the rate first
        if _library(samples) == "numpy":
            return Audio(data=_wav(samples, rate), media_type="audio/wav")
    if _library(given) == "numpy":
        raise TypeError("an array does not say how fast it is played: give (samples, rate), the rate in Hz")
    if isinstance(given, bytearray | memoryview):
        given = bytes(given)
    if isinstance(given, str | os.PathLike | bytes):
        return attach.recording(given)
    raise TypeError(
        f"audio is a path, bytes, or (samples, rate) with a numpy array and Hz, and this is of type {_type(given)}"
    )


def _wav(samples: Any, rate: Any) -> bytes:
    rate = _rate(rate)
    shape, kind = tuple(samples.shape), str(samples.dtype)
    told = f"The samples are {' x '.join(map(str, shape))} of {kind}"
    if not shape or 0 in shape:
        raise RequestError(f"{told}: there is no sound.", field="audio")
    if len(shape) == 2 and shape[0] < shape[1] and shape[0] <= 8:
        raise RequestError(f"{told}: give samples x channels, which is samples.T", field="audio")
    if len(shape) > 2 or (len(shape) == 2 and shape[1] > 8):
        raise RequestError(f"{told}, and sound is samples, or samples x channels.", field="audio")
    if samples.dtype.kind == "f":
        top = float(abs(samples).max())
        if not top <= 4:  # a little above 1 is clipped; NaN is not below anything
            cure = "divide them by the most that they can be, such as 32768" if math.isfinite(top) else "take them out"
            raise RequestError(f"{told} and go to {top:g}, and floats go from -1 to 1: {cure}", field="audio")
        samples, code = samples.astype("<f4"), 3  # IEEE float
    elif kind in ("int16", "int32"):
        samples, code = samples.astype(f"<i{samples.dtype.itemsize}"), 1
    else:
        raise RequestError(f"{told}: give floats from -1 to 1, or int16.", field="audio")
    channels, size, data = shape[1] if len(shape) == 2 else 1, samples.dtype.itemsize, samples.tobytes()
    form = struct.pack("<HHIIHH", code, channels, rate, rate * channels * size, channels * size, 8 * size)
    head = struct.pack("<4sI4s4sI", b"RIFF", 28 + len(form) + len(data) - 8, b"WAVE", b"fmt ", len(form))
    return b"".join((head, form, struct.pack("<4sI", b"data", len(data)), data))


def _rate(rate: Any) -> int:
    try:
        value = int(rate)
    except (TypeError, ValueError):
        raise TypeError(f"the rate of samples is a number of Hz, and this is of type {_type(rate)}") from None
    if not 1000 <= value <= 768_000:
        raise RequestError(f"The rate of the samples is {value}: it is in Hz, such as 16000.", field="audio")
    return value


# --- series -------------------------------------------------------------------------------------------------


def series(given: Series) -> tuple[float | None, ...]:
    """Values at equal distances, None where one is missing. Where what is given has times, they are looked at: raises
    RequestError where they are not in order, or not at equal distances (days, weeks, months, …)."""
    library = _library(given)
    stamps = None
    if library == "polars" and hasattr(given, "collect"):
        raise TypeError("a LazyFrame has no values yet: give frame.collect()")
    if _is_frame(given):
        given, stamps = _of_frame(given, library)
    elif library == "pandas":
        stamps = _of_index(given)
    if library == "numpy" and getattr(given, "ndim", 1) != 1:
        shape = " x ".join(map(str, given.shape)) or "one number"
        raise RequestError(f"The array is {shape}, and a series has one dimension.", field="series")
    if stamps is not None:
        refuse_irregular(stamps, library)
    if not _in_order(given):
        raise TypeError(f"a series is a list of numbers, an array, or of pandas or polars, and this is {_type(given)}")
    values = tuple(_number(value, i) for i, value in enumerate(given))
    if not values:
        raise RequestError("The series is empty.", field="series")
    if all(value is None for value in values):
        raise RequestError(f"The series has {len(values)} values, and each is missing.", field="series")
    return values


def _of_frame(frame: Any, library: str) -> tuple[Any, Times | None]:
    """Its one column of numbers, and its times: in a column, or in pandas' index."""
    names = list(frame.columns)
    columns = {} if len(set(names)) < len(names) else {name: times(frame[name]) for name in names}
    clocks = {name: found for name, found in columns.items() if found is not None}
    others = [name for name in names if name not in clocks]
    if len(others) != 1 or len(clocks) > 1:
        raise RequestError(
            f"The frame has the columns {', '.join(map(str, names)) or '(none)'}, and a series is one of numbers, with "
            f"one of times at most: choose, such as frame[{(others or names or ['value'])[-1]!r}]",
            field="series",
        )
    values, index = frame[others[0]], _of_index(frame) if library == "pandas" else None
    return values, next(iter(clocks.values()), index)


def _of_index(given: Any) -> Times | None:
    """The times that a series or frame of pandas has beside its values."""
    index = getattr(given, "index", None)
    if getattr(index, "nlevels", 1) > 1:
        raise RequestError(
            "The index has several levels, and so there may be several series in it: choose one, such as "
            "series.xs(KEY)",
            field="series",
        )
    return times(index)


def _number(value: Any, i: int) -> float | None:
    kind = type(value).__name__
    if value is None or kind in ("NAType", "NaTType", "MaskedConstant"):  # pandas' and numpy's own for what is missing
        return None
    wrong = isinstance(value, str | bytes) or kind.startswith(("bool", "complex")) or not hasattr(value, "__float__")
    try:
        number = math.nan if wrong else float(value)
    except (TypeError, ValueError, OverflowError):
        wrong = True
    if wrong:
        raise TypeError(f"a series is of numbers, and [{i}] is {value!r:.60} of type {_type(value)}")
    if number != number:
        return None
    if number in (float("inf"), float("-inf")):
        raise RequestError(f"The series has {number} at [{i}]: a missing value is None or NaN.", field="series")
    return number


# --- proteins -----------------------------------------------------------------------------------------------


def proteins(given: Proteins) -> tuple[str, ...]:
    """Sequences, without their names."""
    return tuple(sequence for _, sequence in records(given))


def records(given: Proteins) -> list[tuple[str | None, str]]:
    """Names, where there are any, and sequences: of letters, of FASTA (which begins with >) and of the files, by path,
    that hold it; several of these in a list."""
    if isinstance(given, str | os.PathLike):
        return _records(given)
    if not _in_order(given):
        raise TypeError(
            f"proteins are sequences of letters, or FASTA by text or path, and this is {_type(given)}{_column(given)}"
        )
    found = []
    for i, each in enumerate(given):
        if not isinstance(each, str | os.PathLike):
            raise TypeError(f"proteins are strings or paths, and [{i}] is of type {_type(each)}")
        found += _records(each)
    if not found:
        raise RequestError("There is no protein: the list is empty.", field="proteins")
    return found


def _records(given: str | os.PathLike[str]) -> list[tuple[str | None, str]]:
    if isinstance(given, str) and re.match(r"[a-z][a-z0-9+.-]*://", given, re.I):
        raise RequestError(
            f"{given} is an address, and nothing is fetched: download it, give its path", field="proteins"
        )
    if not isinstance(given, str) or _is_path(given):
        return _fasta(attach.text(given), repr(os.fspath(given)))
    text = given.removeprefix("\ufeff").strip()
    if text.startswith(">"):
        return _fasta(text, "the FASTA text")
    return [(None, _sequence(text, "the sequence"))]


def _is_path(text: str) -> bool:
    """Letters of amino acids have neither dots nor slashes."""
    return "\n" not in text and bool(re.search(r"[./\\~]", text)) and not text.startswith(">")


def _fasta(text: str, where: str) -> list[tuple[str | None, str]]:
    """https://www.ncbi.nlm.nih.gov/genbank/fastaformat/ : a line with > and a name, then lines of letters."""
    text = "\n".join(text.strip().splitlines())  # whatever ends a line
    if not text.startswith(">"):
        raise RequestError(f"{where} is no FASTA: its first line is a > with a name", field="proteins")
    found: list[tuple[str | None, str]] = []
    for record in re.split(r"^>", text, flags=re.M)[1:]:
        head, _, body = record.partition("\n")
        name = head.split()[0] if head.split() else None
        found.append((name, _sequence(body, f"{name or 'a record'} in {where}")))
    return found


def _sequence(text: str, what: str) -> str:
    """In capitals, without line breaks, and without the * that may end it."""
    letters = "".join(text.split()).upper().removesuffix("*")
    if not letters:
        raise RequestError(f"There is no letter in {what}: a protein is a sequence of amino acids.", field="proteins")
    return letters
