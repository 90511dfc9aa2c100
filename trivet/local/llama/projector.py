"""The projector of a model that sees: a GGUF of its own (mmproj), which makes embeddings of an image.

It is named by `[local] projector`, for whichever models it fits, or stands beside the model, as in the repositories of
llama.cpp's models: the one file there with "mmproj" in its name that fits. One that does not fit is no error as long as
nobody sends an image.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from trivet.errors import ConfigError, RequestError, TrivetError, WeightsError
from trivet.local import gguf

__all__ = ["Projector", "find"]

# Their images look both ways, so that one has to be a single batch: llama.cpp cuts larger ones up in silence, and what
# was cut sees only itself (mtmd_decode_use_non_causal in its tools/mtmd/mtmd.cpp). They have up to 280 tokens.
BOTH_WAYS, WHOLE = "gemma", 512
_NAME = "Name the mmproj file that came with a model"


class Projector(NamedTuple):
    """`batch` is the least number of tokens per step of prefill. Where there is no `file`, `why` says what to do."""

    file: Path | None = None
    batch: int = 1
    why: str = ""

    def refused(self, said: object, model: str) -> TrivetError | None:
        """What the engine means by a few short words of its own about an image."""
        if said == "Invalid token":
            return ConfigError(
                f"{model}: {self.file} puts tokens around an image that the model does not have, so they do not belong "
                "together. Name the mmproj file that came with the model as [local] projector"
            )
        if said == "Failed to tokenize prompt":
            return RequestError(f"{model}: {self.file} takes no image of such a shape: make it less long and narrow")
        if said == "Failed to load image or audio file":
            return RequestError(f"{model}: llama.cpp cannot read one of the images: send it as PNG")
        return None


def find(model: Path, header: gguf.Header, setting: str | None) -> Projector:
    """The projector for the GGUF `model` with its `header`. Raises `ConfigError` where what `setting` names is none for
    any model, `WeightsError` where it is missing or damaged."""
    if setting is None:
        return _beside(model, header)
    file = Path(os.path.abspath(os.path.expanduser(setting)))
    try:
        named = gguf.read(file)
    except WeightsError as error:
        raise WeightsError(f"[local] projector: {error} {_NAME}") from None
    if problem := _blind(named):
        raise ConfigError(f"[local] projector: {file} {problem}. {_NAME}")
    if problem := _misfit(named, header):  # it may be meant for another model of this configuration
        found = _beside(model, header)
        return found if found.file else found._replace(why=f"[local] projector: {file.name} {problem}; {found.why}")
    return _found(file, named)


def _beside(model: Path, header: gguf.Header) -> Projector:
    fitting: list[tuple[Path, gguf.Header]] = []
    problems: list[str] = []
    for file in sorted(model.parent.glob("*.gguf")):
        if "mmproj" not in file.name.lower() or file == model:
            continue
        try:
            candidate = gguf.read(file)
        except WeightsError as error:
            problems.append(f"{file.name} cannot be used ({error})")
            continue
        if problem := _blind(candidate) or _misfit(candidate, header) or _cut(candidate, file):
            problems.append(f"{file.name} {problem}")
        else:
            fitting.append((file, candidate))
    if len(fitting) == 1:
        return _found(*fitting[0])
    return Projector(why=_why(model, [file.name for file, _ in fitting], problems))


def _why(model: Path, fitting: Sequence[str], problems: Sequence[str]) -> str:
    if fitting:
        return f"beside it are several projectors that fit ({', '.join(fitting)}): choose one by [local] projector"
    mend = f"if it came with one (an mmproj file), put that into {model.parent}, or name it by [local] projector"
    return f"{'; '.join(problems)}: {mend}" if problems else f"it has no projector: {mend}"


def _found(file: Path, header: gguf.Header) -> Projector:
    kinds = (header.metadata.get(f"clip.{of}projector_type") for of in ("", "vision."))
    whole = any(isinstance(kind, str) and kind.startswith(BOTH_WAYS) for kind in kinds)
    return Projector(file, WHOLE if whole else 1)


def _blind(projector: gguf.Header) -> str:
    """Why it makes nothing of an image for any model, as a sentence goes on that begins with its name; or nothing."""
    if projector.architecture != gguf.PROJECTOR:
        return f"is no projector (its architecture is {projector.architecture!r})"
    return "" if projector.metadata.get("clip.has_vision_encoder") is True else "sees no images"


def _misfit(projector: gguf.Header, model: gguf.Header) -> str:
    """Why it does not fit the model, in the same way; nothing where it can. Converters before that of today wrote other
    things as the length, LLaVA's CLIP's own: of those the engine decides."""
    made, taken = projector.metadata.get("clip.vision.projection_dim"), model.embedding_length
    if projector.metadata.get("general.type") == "mmproj" and taken is not None and made != taken:
        return f"makes embeddings of {made} numbers, and the model takes {taken}"
    return ""


def _cut(projector: gguf.Header, file: Path) -> str:
    """That the file is not all here, in the same way: one that is still being downloaded, for example."""
    there = file.stat().st_size
    if projector.size is None or there >= projector.size:
        return ""
    return f"has {there:,} of {projector.size:,} bytes (copy or download it again)"
