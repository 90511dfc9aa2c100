"""Events that are here already go out together: sending is put off until the next event has to be waited for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """`items`, where `meanwhile()` is awaited before each wait for the next: not for those that are ready.

    It drives the coroutine behind the next item itself, as `await` does, and so sees whether that has to wait. What is
    thrown in at that time, a cancellation for example, goes on to the coroutine."""

    def __init__(self, items: AsyncIterator[T], meanwhile: Callable[[], Awaitable[None]]) -> None:
        self.items, self.meanwhile = items, meanwhile

    def __aiter__(self) -> Ahead[T]:
        return self

    def __anext__(self) -> Ahead[T]:
        return self

    def __await__(self) -> Generator[Any, Any, T]:
        steps: Any = self.items.__anext__().__await__()
        error: BaseException | None = None
        first = True
        while True:
            try:
                waits_for = steps.send(None) if error is None else steps.throw(error)
            except StopIteration as end:
                item: T = end.value
                return item
            error = None
            try:
                if first:
                    first = False
                    yield from self.meanwhile().__await__()
                yield waits_for
            except BaseException as thrown:
                error = thrown
