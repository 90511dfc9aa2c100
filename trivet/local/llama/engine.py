"""The loaded weights: a llama.cpp server inside this process.

A call blocks its thread until the answer is complete, so each slot has a thread of its own, and requests that find no
free slot wait in asyncio, where they can be cancelled: inside the engine a waiting call cannot. The engine calls
back with a chunk at a time, on the calling thread and without the GIL held in between; from there chunks go to the
event loop. When the callback answers True, the engine stops, after at most one batch.

The engine also listens on a loopback port; it cannot be told not to. A random key keeps others out. It is used
here for what the in-process interface lacks: counting tokens, and what the chat template can do.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import glob
import http.client
import os
import re
import secrets
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import msgspec

from trivet.errors import (
    ConfigError,
    ContextLengthError,
    ProviderError,
    RequestError,
    TransportError,
    TrivetError,
    WeightsError,
)
from trivet.local.llama.projector import Projector
from trivet.local.llama.sessions import LETTERS, Held, Sessions
from trivet.local.settings import LocalSettings
from trivet.local.slots import Slots

Chunk = dict[str, Any]
Call = Literal["chat", "complete"]

PROMPT_CACHE_MIB = 512  # of RAM, for prefixes that lost their slot; the engine's own default is 8,192
EMBED_TOKENS = 2048  # a text to embed is one physical batch, whose buffers grow with it: 0.8 GB at 2,048
READ = 1 << 20  # bytes at a time
_first_pid: int | None = None  # of the process in which an engine was first loaded


class Engine:
    """Weights that load at first use, and again after `unload`, and answer until `close`.

    `context` is the tokens of each slot, and `most` what a setting could raise that to; `adapters` are LoRA files, each
    of which a request switches on or off; `verify` is called before loading, on a thread, and raises what is wrong
    with the weights.
    """

    def __init__(
        self,
        path: Path,
        settings: LocalSettings,
        *,
        name: str,
        context: int,
        most: int,
        adapters: Sequence[str] = (),
        embedding: bool = False,
        ranking: bool = False,
        projector: Projector = Projector(),  # noqa: B008, it is immutable
        verify: Callable[[], object] | None = None,
    ) -> None:
        self.projector = projector
        self.path, self.settings, self.name, self.context, self.most = path, settings, name, context, most
        self.adapters = list(adapters)
        self.embedding = embedding or ranking  # one whole answer, and no text made
        self.ranking = ranking
        self._verify = verify
        self.slots = Slots(1 if self.embedding else settings.slots)
        self.sessions = Sessions(self.slots.total)
        self.caps: Mapping[str, bool] = {}
        self._server: Any = None
        self._key = secrets.token_urlsafe(32)
        self._lock = threading.Lock()
        self._loading: Future[None] | None = None
        self._closed = False
        self._workers = ThreadPoolExecutor(self.slots.total, thread_name_prefix=f"trivet {name}")
        self._side = ThreadPoolExecutor(1, thread_name_prefix=f"trivet {name} side")

    # --- life ------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Loads the weights, unless they are. Raises `WeightsError`; the next call tries again."""
        if _first_pid not in (None, os.getpid()):
            raise ConfigError(
                f"{self.name}: llama.cpp was at work when this process was forked, and would hang in it. "
                'Start processes by "spawn" (multiprocessing.get_context), or load models only after the fork'
            )
        with self._lock:
            if self._closed:
                raise ConfigError(f"{self.name} has been closed: make a new one")
            if self._loading is None or (self._loading.done() and self._loading.exception() is not None):
                self._loading = self._side.submit(self._load)
            loading = self._loading
        await asyncio.shield(asyncio.wrap_future(loading))

    @property
    def loaded(self) -> bool:
        return self._server is not None

    def _load(self) -> None:
        global _first_pid
        if self._verify is not None:
            self._verify()
        try:
            import xllamacpp
        except ImportError as e:
            raise ConfigError(f"{self.name} needs xllamacpp ({e}): pip install xllamacpp") from None
        try:
            _first_pid = os.getpid()
            for file in self._files():
                _read_ahead(file)
            self._server = xllamacpp.Server(self._params(xllamacpp))
        except (
            RuntimeError,
            OSError,
        ) as e:  # the engine's is the same for whatever is wrong, as far as not checked before
            files = ", ".join(self._files())
            raise WeightsError(
                f"llama.cpp could not load {files}: {e} The architecture may be unknown to this version of xllamacpp, "
                "the file damaged, or the memory too small for it: try a smaller [local] context or slots"
            ) from None
        # The engine's loop answers this one: so it runs. Told to end before it has begun, as whoever closes the engine
        # now would, it begins all the same, and who waits for its end does so for ever, with the GIL held.
        self._http("/slots", None)
        self.caps = {} if self.embedding else self._http("/props", None)["chat_template_caps"]

    def _params(self, xllamacpp: Any) -> Any:
        p = xllamacpp.CommonParams()
        p.model.path = str(self.path)
        p.api_keys = [self._key]
        p.endpoint_props = True
        p.verbosity = 0
        # xllamacpp holds the GIL until the engine is ready: what it need not do in that time is left out. An empty run
        # only makes the first answer faster by what it takes itself, and without a GPU there is nothing to fit into.
        p.warmup = False
        cpu = xllamacpp.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_CPU
        p.fit_params = any(device["type"] != cpu for device in xllamacpp.get_device_info())
        p.cache_ram_mib = PROMPT_CACHE_MIB
        p.slot_prompt_similarity = 0  # which takes the slot of another conversation: see `sessions`
        p.n_parallel = self.slots.total
        p.n_ctx = self.context * self.slots.total  # a slot gets its share, so that no request can crowd out another
        p.n_batch = self.settings.batch
        if self.settings.threads is not None:
            p.cpuparams.n_threads = p.cpuparams_batch.n_threads = self.settings.threads
        if self.settings.chat_template is not None:
            p.chat_template = template(self.settings.chat_template)
        if self.embedding:
            p.embedding = True
            kinds = xllamacpp.llama_pooling_type
            p.pooling_type = kinds.LLAMA_POOLING_TYPE_RANK if self.ranking else kinds.LLAMA_POOLING_TYPE_MEAN
            p.n_batch = p.n_ubatch = self.context
        if self.settings.draft is not None and not self.embedding:
            p.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
            p.speculative.draft.mparams.path = self.settings.draft
        if self.projector.file is not None:
            p.mmproj.path = str(self.projector.file)
            p.n_batch = max(p.n_batch, self.projector.batch)
        if self.adapters:
            p.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(a, 0.0) for a in self.adapters]
        return p

    async def close(self) -> None:
        """Stops what is under way, waits for its threads, and gives the memory back."""
        with self._lock:
            self._closed = True
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        # What has been handed over runs, and ends itself at once: a call that never ran would keep its slots.
        self._workers.shutdown(wait=True)
        self._side.shutdown(wait=True)
        self._server = None

    @functools.cached_property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(os.stat(file).st_size for file in self._files())

    def _files(self) -> list[str]:
        """All parts of the weights, the draft model, the adapters and the projector."""
        first = re.fullmatch(r"(.*-)00001(-of-\d{5}\.gguf)", self.path.name)
        parts = [self.path] if first is None else self.path.parent.glob(f"{glob.escape(first[1])}?????{first[2]}")
        beside = [] if self.embedding or self.settings.draft is None else [self.settings.draft]
        beside += [] if self.projector.file is None else [str(self.projector.file)]
        return [*map(str, parts), *self.adapters, *beside]

    async def unload(self) -> None:
        """Gives the memory back once the engine has let go of all slots; the next request loads it again."""
        await self.slots.take(self.slots.total)
        try:
            if not self._closed:
                await asyncio.get_running_loop().run_in_executor(self._side, self._drop)
        finally:
            self.slots.give(self.slots.total)

    def _drop(self) -> None:
        with self._lock:
            self._server = self._loading = None
        self.sessions = Sessions(self.slots.total)  # its caches are gone

    # --- calls -----------------------------------------------------------------------------------------

    async def stream(
        self,
        call: Call,
        body: Mapping[str, Any],
        *,
        slots: int = 1,
        held: Held = Held(),  # noqa: B008, it is immutable
    ) -> AsyncGenerator[Chunk, None]:
        """The engine's chunks for a chat or a plain completion, which takes `slots` slots: one that has the
        beginning of what it asks (`held`) where there is one.

        Closing the generator tells the engine to stop; the slots are free again when it has.
        """
        await self.load()
        await self.slots.take(slots)
        running = _Running(slots, self, held)
        try:
            self._open()
            work = self._server.handle_chat_completions if call == "chat" else self._server.handle_completions
            self._workers.submit(running.run, work, {**body, **running.place(), "stream": True})
        except BaseException:
            running.give()
            raise
        try:
            while (chunk := await running.queue.get()) is not None:
                if "error" in chunk:
                    raise self._refused(chunk["error"])
                yield chunk
            if running.failure is not None:
                raise self._failed(running.failure)
        finally:
            running.left = True

    async def embed(self, text: str) -> Chunk:
        """One text's vector, as the engine answers."""
        return await self._whole(lambda server: server.handle_embeddings({"input": [text]}))

    async def rank(self, query: str, document: str) -> Chunk:
        """One document's score, as the engine answers, where it is one for `ranking`."""
        return await self._whole(lambda server: server.handle_rerank({"query": query, "documents": [document]}))

    async def _whole(self, asked: Callable[[Any], Chunk]) -> Chunk:
        await self.load()
        await self.slots.take(1)
        try:
            self._open()
            call = asyncio.get_running_loop().run_in_executor(self._workers, asked, self._server)
            call.add_done_callback(lambda _: self.slots.give(1))
        except BaseException:
            self.slots.give(1)
            raise
        try:
            answer: Chunk = await asyncio.shield(call)
        except (ValueError, RuntimeError) as failure:
            raise self._failed(failure) from None
        if "error" in answer:
            raise self._refused(answer["error"])
        return answer

    async def ask(self, path: str, body: Mapping[str, Any]) -> Chunk:
        """A small question to the engine's own port, answered in milliseconds: a count, a template."""
        await self.load()
        self._open()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._side, self._http, path, body)
        except UnicodeEncodeError as failure:
            raise self._failed(failure) from None

    def _http(self, path: str, body: Mapping[str, Any] | None) -> Chunk:
        host = str(self._server.listening_address).removeprefix("http://")
        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        with contextlib.closing(http.client.HTTPConnection(host, timeout=60)) as connection:
            data = None if body is None else msgspec.json.encode(body)
            connection.request("GET" if data is None else "POST", path, data, headers)
            answer: Chunk = msgspec.json.decode(connection.getresponse().read())
        if "error" in answer:
            raise self._refused(answer["error"])
        return answer

    def _open(self) -> None:
        """Between the wait for a slot and the call: raises `TransportError` where `close` came first."""
        if self._closed:
            raise self.cut()

    # --- errors ----------------------------------------------------------------------------------------

    def _refused(self, error: Mapping[str, Any]) -> TrivetError:
        """What the engine says of a request that it does not take."""
        if error.get("type") == "exceed_context_size_error":
            return self.too_long(error["n_prompt_tokens"])
        if larger := re.match(r"input \((\d+) tokens\) is too large", str(error.get("message"))):
            return self.too_long(int(larger[1]))  # than a batch, which is what one text has to fit into
        if self.projector.file is not None and (unseen := self.projector.refused(error.get("message"), self.name)):
            return unseen
        if error.get("code") == 400:
            too_large = "parse grammar" in str(error.get("message"))
            hint = ": its grammar for this schema is too large, or goes round in a circle; ask for less"
            return RequestError(f"{self.name}: {error.get('message')}{hint if too_large else ''}")
        return ProviderError(
            f"{self.name}: llama.cpp failed: {error.get('message')}",
            provider="local",
            provider_status=error.get("code"),
        )

    def too_long(self, prompt_tokens: int) -> ContextLengthError:
        hint = "shorten it" + (", or raise [local] context" if self.context < self.most else "")
        return ContextLengthError(
            f"the prompt has {prompt_tokens:,} tokens, and {self.name} has room for {self.context:,}: {hint}",
            prompt_tokens=prompt_tokens,
            context_tokens=self.context,
        )

    def no_number(self) -> ProviderError:
        """What it has worked out is no number, which the engine tells as null."""
        return ProviderError(
            f"{self.name}: llama.cpp gave no number: the weights may be damaged, get the file again", provider="local"
        )

    def cut(self) -> TransportError:
        return TransportError(f"{self.name} was closed before its answer was complete")

    def _failed(self, failure: BaseException) -> BaseException:
        """What the engine raised: ValueError for messages, tools or schemas that its template or grammar refuses."""
        if re.search(r"surrogates? (not allowed|U\+D)", str(failure)):
            return RequestError("the text is no whole Unicode text: it has half a character")
        if isinstance(failure, ValueError):
            return RequestError(f"{self.name} cannot take this request: {_plain(failure)}")
        if isinstance(failure, TrivetError):
            return failure
        return ProviderError(f"{self.name}: llama.cpp failed: {_plain(failure)}", provider="local")


class _Running:
    """One call on its thread. `None` ends its queue."""

    def __init__(self, slots: int, engine: Engine, held: Held = Held()) -> None:  # noqa: B008, it is immutable
        self.queue: asyncio.Queue[Chunk | None] = asyncio.Queue()
        self.failure: BaseException | None = None
        self.left = False  # the client has gone
        self._loop = asyncio.get_running_loop()
        self._slots = slots
        self._engine = engine
        self._held, self._tokens = held, 0
        self._places: Sequence[int] = ()
        self._actual: int | None = None

    def run(self, work: Callable[[bytes, Callable[[bytes], bool]], Any], body: Mapping[str, Any]) -> None:
        """`work` is given JSON and gives JSON: xllamacpp itself would take four times as long to write what has an
        image of some megabytes in it, with the GIL held."""
        try:
            if not self._over():
                work(msgspec.json.encode(body), self._chunk)
        except BaseException as e:
            self.failure = e
        finally:
            self.give()
            self._put(None)

    def place(self) -> Mapping[str, int]:
        """Which slot the engine is to take, where it is told."""
        self._places, own = self._engine.sessions.take(self._held, self._slots)
        return {"id_slot": self._places[0]} if own else {}

    def give(self) -> None:
        """Gives the slots back."""
        held = self._held._replace(made=self._tokens * LETTERS)
        self._engine.sessions.give(self._places, held, self._actual)
        self._engine.slots.give(self._slots)

    def _chunk(self, told: bytes) -> bool:
        """True stops the engine, and so does any other truthy value. It swallows what is raised in here, and then its
        answer looks complete: so that is carried out by hand."""
        try:
            chunk: Chunk = msgspec.json.decode(told)
            self._tokens += 1  # a chunk is a token, as a rule
            if self._slots == 1 and "__verbose" in chunk:  # the last one tells
                self._actual = chunk["__verbose"].get("id_slot")
            return self._over() or not self._put(chunk)
        except BaseException as e:
            self.failure = e
            return True

    def _over(self) -> bool:
        """Whether nobody wants the answer any more."""
        if self._engine._closed and not self.left:
            self.failure = self._engine.cut()
        return self.left or self._engine._closed

    def _put(self, chunk: Chunk | None) -> bool:
        try:
            self._loop.call_soon_threadsafe(self.queue.put_nowait, chunk)
        except RuntimeError:  # the loop has been closed: nobody listens any more
            return False
        return True


def _read_ahead(file: str) -> None:
    """Has the system read the file and keep it in memory, without the GIL: the engine would read it with."""
    piece = bytearray(READ)
    with open(file, "rb", buffering=0) as read:
        while read.readinto(piece):
            pass


def _plain(error: BaseException) -> str:
    return re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__


def template(path: str) -> str:
    """The text of the `chat_template` setting."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as e:
        raise ConfigError(f"[local] chat_template: {path} cannot be read ({e.strerror}): name a file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"[local] chat_template: {path} is no text: name a file with a Jinja template") from None
