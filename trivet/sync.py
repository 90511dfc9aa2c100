"""The one bridge from ordinary code to the async runtime: an event loop in a thread of its own.

Everything synchronous is a `Job` on that loop: a coroutine, a queue for what it says, and at the end of the queue
the finished task. Waiting on the queue blocks only the thread that waits, which may have a running event loop of
its own (a notebook). Ctrl-C while waiting cancels the job and waits until it has let go of its model.

The process ends promptly: the bridge is closed before Python joins its threads. A child made by `fork` has no such
thread, so it starts anew, with a bridge and models of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor  # its module's own closing is registered before ours, at the end
from contextlib import aclosing
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from trivet.config import Config, checked, find, load
from trivet.errors import TransportError, TrivetError
from trivet.runtime import Runtime
from trivet.types import (
    AudioDelta,
    ChatResponse,
    Done,
    Event,
    Response,
    Segment,
    SegmentDelta,
    SpeakResponse,
    TextDelta,
    TranscribeResponse,
)

__all__ = ["AudioStream", "Bridge", "Job", "SegmentStream", "Stream", "bridge", "close"]

T = TypeVar("T")
P = TypeVar("P")
R = TypeVar("R", bound=Response)
Say = Callable[[Any], None]
LOOK_S = 0.5  # how often a wait looks around: a Ctrl-C just before it began to block is seen only then
CLOSING_S = 10.0  # the longest that models may take to close


class Job(Generic[T]):
    """A coroutine at work on the bridge's loop. `work(say)` makes it; what it says comes out of `take`, and when it
    is over, the finished task does, each time.

    Ctrl-C may come between any two steps of the main thread. So a job is made first, then held by somebody who will
    `stop` it, and only then started.
    """

    def __init__(self, bridge: Bridge, work: Callable[[Say], Coroutine[Any, Any, T]]) -> None:
        bridge.refuse_own_thread()
        self._bridge = bridge
        self._work = work
        self._said: SimpleQueue[Any] = SimpleQueue()
        self._over = threading.Event()
        self._task: asyncio.Task[T] | None = None

    def run(self, *, last: bool = False) -> T:
        """From start to end. Leaving it by an exception (Ctrl-C) cancels the job and waits until it is over."""
        try:
            self.start(last=last)
            return self.result()
        except BaseException:
            self.stop()
            raise

    def start(self, *, last: bool = False) -> None:
        try:
            self._bridge.submit(self._begin, last=last)
        except TrivetError:
            self._over.set()
            raise

    def take(self) -> Any:
        """The next thing said, or the finished task."""
        self._bridge.refuse_lost()
        while True:
            try:
                item = self._said.get(timeout=LOOK_S)
            except Empty:
                continue
            if item is self._task:
                self._said.put(item)  # for whoever asks next, perhaps in another thread
            return item

    def result(self) -> T:
        """What the coroutine returned, once all that it said has been taken; what it raised is raised here."""
        task: asyncio.Task[T] = self.take()
        if task.cancelled():
            raise TrivetError("The request was cancelled: trivet, or its stream, was closed.")
        return task.result()

    def cancel(self) -> None:
        """Asks for an end and does not wait, so that a finaliser may call it in any thread."""
        if not self._bridge.lost:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and the job with it
                self._bridge.loop.call_soon_threadsafe(self._halt)

    def stop(self) -> None:
        """Cancels what is still under way and waits until it is over."""
        if not self._over.is_set() and not self._bridge.lost:
            self.cancel()
            while not self._over.wait(LOOK_S) and self._bridge.is_alive():
                pass

    # on the loop

    def _begin(self) -> None:
        if not self._over.is_set():
            self._task = asyncio.get_running_loop().create_task(self._work(self._said.put))
            self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[T]) -> None:
        self._said.put(task)
        self._over.set()

    def _halt(self) -> None:
        if self._task is None:
            self._over.set()  # and `_begin` lets it be
        else:
            self._task.cancel()


class Pieces(Iterator[P], Generic[P, R]):
    """The pieces of an answer, as they come; `response` is the whole answer afterwards.

    Leaving early cancels the request: `close()`, the end of a `with` block, or dropping the stream.
    """

    def __init__(self, bridge: Bridge, open: Callable[[], AsyncGenerator[Event, None]]) -> None:
        self._over = True  # for `__del__`, as long as there is no job
        self._response: Response | None = None
        kind = type(self)  # and not self, which the job would hold: a stream that is dropped is left at once
        self._job = Job(bridge, lambda say: _pump(open, say, kind.piece, kind.whole))
        self._over = False
        self._job.start()

    @staticmethod
    def piece(event: Event) -> Any:
        """What an event brings, None being nothing."""
        raise NotImplementedError

    @staticmethod
    def whole(response: Any) -> Sequence[Any]:
        """The pieces of a model that has told all of its answer at the end."""
        return ()

    def __next__(self) -> P:
        if self._over:
            raise StopIteration
        try:
            said = self._job.take()
            if type(said) is tuple:
                piece: P = said[0]
                return piece
            self._response = self._job.result()
        except BaseException:
            self.close()
            raise
        self._over = True
        raise StopIteration

    @property
    def response(self) -> R:
        """The response that the stream ended with. Raises RuntimeError before the end."""
        if self._response is None:
            how = "was left before its end" if self._over else "is not over: read its pieces first"
            raise RuntimeError(f"There is no response, the stream {how}.")
        return cast(R, self._response)

    def close(self) -> None:
        """Cancels what is still under way and waits until the model is free. Closing twice is fine."""
        if not self._over:
            self._over = True
            self._job.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._over:
            self._job.cancel()


class Stream(Pieces[str, ChatResponse]):
    """The pieces of an answer's text."""

    @staticmethod
    def piece(event: Event) -> str | None:
        return event.text or None if type(event) is TextDelta else None


class SegmentStream(Pieces[Segment, TranscribeResponse]):
    """The segments of a transcript."""

    @staticmethod
    def piece(event: Event) -> Segment | None:
        return event.segment if type(event) is SegmentDelta else None

    @staticmethod
    def whole(response: TranscribeResponse) -> Sequence[Segment]:
        return response.segments


class AudioStream(Pieces[bytes, SpeakResponse]):
    """The bytes of the sound, which together are those of `response.audio`."""

    @staticmethod
    def piece(event: Event) -> bytes | None:
        return event.data or None if type(event) is AudioDelta else None

    @staticmethod
    def whole(response: SpeakResponse) -> Sequence[bytes]:
        return (response.audio,)


async def _pump(
    open: Callable[[], AsyncGenerator[Event, None]],
    say: Say,
    piece: Callable[[Event], Any],
    whole: Callable[[Any], Sequence[Any]],
) -> Response:
    """Says each piece, in a tuple of its own, and returns the response. The reader is never waited for: an answer is as
    long as the model's tokens allow, and a model that is done is free for others."""
    told = False
    async with aclosing(open()) as events:
        async for event in events:
            if isinstance(event, Done):
                for each in () if told else whole(event.response):
                    say((each,))
                return event.response
            if (part := piece(event)) is not None:
                told = True
                say((part,))
    raise TransportError("The stream ended before its answer was complete. Ask again.")


class Bridge:
    """A thread with an event loop, and the runtimes that live there: one per configuration."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.lost = False  # in a child made by fork: the thread stayed with the parent
        self._closing = False
        self._lock = threading.Lock()
        self._default = find()
        self._runtimes: dict[object, Runtime] = {}
        # For what closing does in a thread. It is started now: Python 3.12 starts none once the process is ending.
        self._closer = ThreadPoolExecutor(1, thread_name_prefix="trivet closing")
        self._closer.submit(int)
        self._thread = threading.Thread(target=self._run, name="trivet", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def submit(self, begin: Callable[[], None], *, last: bool = False) -> None:
        """Calls `begin` on the loop, soon. After the `last` one, which cancels those before it, nothing is taken."""
        with self._lock:
            if self._closing:
                raise TrivetError("trivet is being closed. Ask again.")
            self._closing = last
            self.loop.call_soon_threadsafe(begin)

    def refuse_own_thread(self) -> None:
        if threading.current_thread() is self._thread:
            raise RuntimeError(
                "trivet's synchronous functions cannot be called from inside a model or tool that trivet runs: they "
                "would wait for themselves. Make it an async function that awaits a model's call, or use a thread."
            )

    def refuse_lost(self) -> None:
        if self.lost:
            raise RuntimeError("This request belongs to the process that forked. Ask again in this one.")

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Runs a coroutine on the loop to its end."""
        return Job(self, lambda say: work()).run()

    def runtime(self, config: Config | str | os.PathLike[str] | None) -> Runtime:
        """The runtime of a configuration, made once; on the loop only. Without one: ./trivet.toml, if it was there
        when trivet was first used."""
        if config is not None and not isinstance(config, str | os.PathLike):
            given = checked(config)
            key: object = id(given) if given is config else "{}"  # an empty mapping is like any other
            if key not in self._runtimes:
                self._runtimes[key] = Runtime(given)
        else:
            path = config or self._default
            key = path and os.path.abspath(path)
            if key not in self._runtimes:
                self._runtimes[key] = Runtime(load(path) if path else None)
        return self._runtimes[key]

    def close(self) -> None:
        """Cancels what is under way, closes every model, and ends the thread."""
        try:
            Job(self, lambda say: self._close_all()).run(last=True)
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(CLOSING_S)
            if not self._thread.is_alive():
                self.loop.close()

    async def _close_all(self) -> None:
        self.loop.set_default_executor(self._closer)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                others = asyncio.all_tasks() - {asyncio.current_task()}
                for task in others:
                    task.cancel()
                await asyncio.gather(*others, return_exceptions=True)
                for runtime in self._runtimes.values():
                    await runtime.close()
                await self.loop.shutdown_asyncgens()


_bridge: Bridge | None = None
_lock = threading.Lock()


def bridge() -> Bridge:
    """The process's bridge, started on first use."""
    global _bridge
    with _lock:
        if _bridge is None:
            _bridge = Bridge()
        return _bridge


def close() -> None:
    """Cancels what is under way, closes every model and gives back its memory. The next call starts anew. Python
    does this by itself when the process ends."""
    global _bridge
    with _lock:
        closing, _bridge = _bridge, None
    if closing is not None:
        closing.close()


def _after_fork() -> None:
    """In the child: the models' threads stayed with the parent. What is left of models and requests is kept for
    good, beyond the end of the modules too: to destroy an engine whose threads are gone may hang."""
    global _bridge, _lock
    _lock = threading.Lock()
    if _bridge is not None:
        import ctypes

        _bridge.lost = True
        kept = ctypes.py_object((_bridge, asyncio.all_tasks(_bridge.loop)))
        ctypes.pythonapi.Py_IncRef(kept)
        _bridge = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _close_at_exit() -> None:
    with contextlib.suppress(KeyboardInterrupt):  # an impatient second Ctrl-C: what is left ends with the process
        close()


# What is registered last is called first: models stop before Python waits for the threads that they work in, which
# it does before `atexit`.
getattr(threading, "_register_atexit", atexit.register)(_close_at_exit)
