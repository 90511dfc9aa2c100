"""The projector of a model that sees: a GGUF of its own (mmproj), which makes embeddings of an image.

It is named by `[local] projector`, or stands beside the model, as in the repositories of llama.cpp's models: the one
file there with "mmproj" in its name that fits. Those that do not are no error as long as nobody sends an image.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from trivet.errors import ConfigError, RequestError, TrivetError, WeightsError
from trivet.local import gguf

__all__ = ["ARCHITECTURE", "Projector", "find"]

ARCHITECTURE = "clip"  # of every projector, whatever it is made of
# Their images look both ways, so that one has to be a single batch: llama.cpp cuts larger ones up in silence, and what
# was cut sees only itself (mtmd_decode_use_non_causal in its tools/mtmd/mtmd.cpp). They have up to 280 tokens.
BOTH_WAYS, WHOLE = "gemma", 512


class Projector(NamedTuple):
    """`batch` is the least number of tokens per step of prefill. Where there is no `file`, `why` says what to do."""

    file: Path | None = None
    batch: int = 1
    why: str = ""

    def refused(self, said: object, model: str) -> TrivetError | None:
        """What the engine means by two short words of its own about an image."""
        if said == "Invalid token":
            return ConfigError(
                f"{model}: {self.file} puts tokens around an image that the model does not have, so they do not belong "
                "together. Name the mmproj file that came with the model as [local] projector"
            )
        if said == "Failed to tokenize prompt":
            return RequestError(f"{model}: {self.file} takes no image of such a shape: make it less long and narrow")
        return None


def find(model: Path, header: gguf.Header, setting: str | None) -> Projector:
    """The projector for the GGUF `model` with its `header`. Raises `ConfigError` where the one that `setting` names is
    none or does not fit, `WeightsError` where it is missing or damaged."""
    if setting is not None:
        file = Path(os.path.abspath(os.path.expanduser(setting)))
        problem = _problem(file, gguf.read(file), header)
        if problem:
            raise ConfigError(
                f"[local] projector: {file} {problem}. Name the mmproj file that came with {model.name}, or none"
            )
        return _found(file)
    return _beside(model, header)


def _beside(model: Path, header: gguf.Header) -> Projector:
    fitting: list[Path] = []
    problems: list[str] = []
    for file in sorted(model.parent.glob("*.gguf")):
        if "mmproj" not in file.name.lower() or file == model:
            continue
        try:
            problem = _problem(file, gguf.read(file), header)
        except WeightsError as error:
            problem = f"cannot be used ({error})"
        if problem:
            problems.append(f"{file.name} {problem}")
        else:
            fitting.append(file)
    if len(fitting) == 1:
        return _found(fitting[0])
    return Projector(why=_why(model, fitting, problems))


def _why(model: Path, fitting: Sequence[Path], problems: Sequence[str]) -> str:
    if fitting:
        names = ", ".join(file.name for file in fitting)
        return f"beside it are several projectors that fit ({names}): choose one by [local] projector"
    mend = f"put the mmproj file that came with it into {model.parent}, or name that by [local] projector"
    return f"{'; '.join(problems)}: {mend}" if problems else f"it has no projector: {mend}"


def _found(file: Path) -> Projector:
    kind = _kind(gguf.read(file))
    return Projector(file, WHOLE if kind.startswith(BOTH_WAYS) else 1)


def _kind(header: gguf.Header) -> str:
    found = (header.metadata.get(f"clip.{of}projector_type") for of in ("", "vision."))
    return next((kind for kind in found if isinstance(kind, str)), "")


def _problem(file: Path, projector: gguf.Header, model: gguf.Header) -> str:
    """What is wrong with it, as a sentence goes on that begins with its name; nothing where it can be right.

    Converters before that of today wrote other things as the length, LLaVA's CLIP's own: of those the engine decides.
    """
    if projector.architecture != ARCHITECTURE:
        return f"is no projector (its architecture is {projector.architecture!r})"
    if projector.metadata.get("clip.has_vision_encoder") is not True:
        return "sees no images"
    made, taken = projector.metadata.get("clip.vision.projection_dim"), model.embedding_length
    if projector.metadata.get("general.type") == "mmproj" and taken is not None and made != taken:
        return f"makes embeddings of {made} numbers, and the model takes {taken}"
    return ""
