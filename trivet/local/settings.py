"""The settings of embedded models: the `[local]` table of trivet.toml."""

from __future__ import annotations

import re

from trivet.types import Value


class LocalSettings(Value, frozen=True, kw_only=True):
    """How embedded models run.

    `threads` is the number of CPU threads, None being one per physical core; `context` the tokens that each request
    has for its prompt and answer, None being what the model was trained for, at most 8,192; `slots` the number of
    requests at once: memory grows by context x slots; `batch` the tokens per step of prefill, which bounds how long
    a cancelled prefill goes on; `home` the folder of weights; `draft` a small GGUF that drafts tokens for the large
    one to verify; `projector` the GGUF (mmproj) that makes embeddings of images, None being the one that stands beside
    a model, if any; `chat_template` a file with a Jinja template that replaces the model's own; `memory`, such as
    "8GB", what the weights of all models may take together, by the size of their files: the longest unused is unloaded
    where another would not fit. None: nothing is unloaded.
    """

    threads: int | None = None
    context: int | None = None
    slots: int = 4
    batch: int = 64  # 4 % slower than 128 in prefill here, and cancelled in half the time
    home: str | None = None
    draft: str | None = None
    projector: str | None = None
    chat_template: str | None = None
    memory: str | None = None

    def __post_init__(self) -> None:
        for name in ("threads", "context", "slots", "batch"):
            value = getattr(self, name)
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{name} is {value}, must be at least 1")
        if self.memory is not None and not self.memory_bytes:
            raise ValueError(f'memory is {self.memory!r}, must be a size such as "8GB", "512MB" or "7.5GiB"')

    @property
    def memory_bytes(self) -> int | None:
        """`memory` as a number: GB are powers of 1,000, GiB of 1,024."""
        size = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", self.memory or "", re.IGNORECASE)
        if size is None:
            return None
        return int(float(size[1]) * (1024 if size[3] else 1000) ** " kmgt".index(size[2].lower() or " "))
