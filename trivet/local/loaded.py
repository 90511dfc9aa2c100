"""What embedded models share that are no language models: weights that load once, and work that never holds the event
loop up."""

from __future__ import annotations

import asyncio
import functools
import importlib
import sys
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from trivet.errors import ConfigError, TrivetError, UnsupportedError
from trivet.local.settings import LocalSettings
from trivet.model import About, Model
from trivet.types import Done, Event, Request, Response

__all__ = ["HELD", "Loaded", "needed"]

# Of what an extra brings ("": the core, for GGUF), the libraries whose import keeps other threads waiting for 10 to 25
# ms in one piece, as their compiled parts set themselves up. OpenCV does so as well, 12 ms, and is left out for the
# memory that it takes.
HELD: dict[str, tuple[str, ...]] = {
    "": ("llguidance",),
    "onnx": ("numpy", "onnxruntime", "onnx"),
    "images": ("numpy", "onnxruntime", "onnx"),
    "speech": ("numpy", "onnxruntime"),
    "series": ("numpy",),
}

W = TypeVar("W")
T = TypeVar("T")


def needed(module: str, extra: str) -> Any:
    """A module that `pip install "trivet[EXTRA]"` brings. Raises `ConfigError`, which says so, where it is not here."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f'{module} is not installed ({error}). Install it: pip install "trivet[{extra}]"') from None


def give_back() -> None:
    """Memory that nothing uses goes back to the system. glibc keeps what a thread has freed: of a CLIP of 600 MB that
    was unloaded 500, and of one that has loaded 60."""
    if sys.platform == "linux":
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # which other C libraries do not have
        if trim is not None:
            trim(0)


class Loaded(Model, Generic[W]):
    """A model of files in `path`. Subclasses have `tasks`, `inputs`, `extra`, `load` and `answer`.

    `verify` is called before the weights load and raises `WeightsError`. Loading and answering run in one thread of the
    model's own, one request after the other; a request that is cancelled while it waits is not answered."""

    tasks: ClassVar[tuple[str, ...]]
    inputs: ClassVar[tuple[str, ...]] = ("text",)
    extra: ClassVar[str]
    fields: ClassVar[frozenset[str]] = frozenset()  # of a request's `extra`: those that it knows

    def __init__(
        self,
        path: Path,
        settings: LocalSettings | None = None,
        *,
        name: str,
        license: str | None = None,
        verify: Callable[[], object] | None = None,
    ) -> None:
        self.path, self.settings, self.name, self._license = path, settings or LocalSettings(), name, license
        self._verify = verify
        self._weights: W | None = None
        self._worker: ThreadPoolExecutor | None = None
        self._closed = False

    @property
    def about(self) -> About:
        return About(name=self.name, tasks=self.tasks, inputs=self.inputs, where="embedded", license=self._license)

    def require(self, request: Request) -> None:
        """Raises `UnsupportedError` for a task that it does not have, and for a field that it does not know."""
        super().require(request)
        for field in request.extra.keys() - self.fields:
            raise UnsupportedError(f"{self.name} does not know {field}: leave it out", field=field)

    def check(self, request: Request) -> None:
        """Raises `RequestError` for what no weights are needed to refuse."""

    def load(self) -> W:
        """Reads the weights. In the model's thread."""
        raise NotImplementedError

    def answer(self, weights: W, request: Request) -> Response:
        """The whole answer. In the model's thread."""
        raise NotImplementedError

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        self.require(request)
        self.check(request)
        response: Any = await self.in_thread(lambda: self.answer(self.weights(), request))
        yield Done(response=response)

    def weights(self) -> W:
        """What `load` has given, loaded by now. In the model's thread."""
        if self._weights is None:
            if self._verify is not None:
                self._verify()
            self._weights = self.load()
            give_back()
        return self._weights

    async def in_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise TrivetError(f"{self.name} is closed: make another runtime", status=503)
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix=f"trivet {self.name}")
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    @property
    def loaded(self) -> bool:
        return self._weights is not None

    @functools.cached_property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    def engine_for(self, request: Request) -> Loaded[W]:
        """What `[local] memory` loads and unloads."""
        return self

    async def unload(self) -> None:
        """Drops the weights, after whatever still works with them; the next request loads them again."""
        if self._worker is not None:
            await self.in_thread(self._drop)

    def _drop(self) -> None:
        self._weights = None
        give_back()

    async def close(self) -> None:
        self._closed, self._weights = True, None
        if self._worker is not None:
            self._worker.shutdown(wait=False, cancel_futures=True)
            self._worker = None
