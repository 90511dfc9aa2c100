"""A circuit breaker: a target that fails is left alone for a while (M. Nygard, Release It!, 2007)."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

from trivet.adapt.attempts import now, refuse
from trivet.errors import OverloadedError, ProviderError, TrivetError, WeightsError
from trivet.model import Model, Wrapper
from trivet.types import Done, Event, Request

__all__ = ["Breaker"]


class Breaker(Wrapper):
    """Lets requests pass to `inner` while it is closed, and refuses them with `OverloadedError` while it is open.

    ========== =========================================================== ========================================
    state      lets pass                                                   becomes
    ========== =========================================================== ========================================
    closed     every request                                               open, with a failure after which of the
                                                                           last `window` outcomes, `least` of them
                                                                           or more, a share of `rate` has failed
    open       none                                                        half-open, `cool_s` later
    half-open  one request, the probe; none beside it                      closed, when the probe has content;
                                                                           open, when it fails; stays, when its
                                                                           client leaves
    ========== =========================================================== ========================================

    A failure is an error of the provider's or the engine's, after content too; a wrong request is none, and neither is
    a client that leaves. A request that was refused here, or whose client left before any content, has no outcome.
    Outcomes of before the last opening or closing are forgotten."""

    def __init__(
        self, inner: Model, *, window: int = 20, least: int = 5, rate: float = 0.5, cool_s: float = 15
    ) -> None:
        refuse(inner, lambda model: isinstance(model, Breaker), "it has a breaker already: take one of the two out")
        several = "it stands for several models, and a breaker around them opens for all of them: give each its own"
        refuse(inner, lambda model: len(getattr(model, "inners", ())) > 1, several)
        super().__init__(inner)
        self.least, self.rate, self.cool_s = least, rate, cool_s
        self._failures: deque[bool] = deque(maxlen=window)
        self._opened: float | None = None
        self._probing = False
        self._era = 0  # how often it has opened or closed
        self._last = ""

    @property
    def state(self) -> Literal["closed", "open", "half-open"]:
        if self._opened is None:
            return "closed"
        return "open" if now() - self._opened < self.cool_s else "half-open"

    @property
    def lets_pass(self) -> bool:
        """Whether a request would get to the model now."""
        state = self.state
        return state == "closed" or (state == "half-open" and not self._probing)

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        if not self.lets_pass:
            raise self._refusal()
        self._probing = probes = self._opened is not None
        era, answered = self._era, False
        try:
            async with aclosing(self.inner.stream(request)) as events:
                async for event in events:
                    if not answered and (event.content or isinstance(event, Done)):
                        answered, era = True, self._hears(era)
                    yield event
        except TrivetError as error:
            if isinstance(error, ProviderError | WeightsError):
                answered = False
                self._counts(era, error)
            elif error.asked and not answered:
                answered, era = True, self._hears(era)  # it has looked at the request, and found it wrong
            raise
        finally:
            if answered:
                self._counts(era, None)
            if probes and era == self._era:
                self._probing = False  # nothing is known of it yet: the next request is the probe

    def _hears(self, era: int) -> int:
        """It says something: after that the probe's outcome, too, is one of the new era."""
        if era == self._era and self._opened is not None:
            self._turn(None)
            return self._era
        return era

    def _counts(self, era: int, failure: TrivetError | None) -> None:
        """One outcome for each request, at its end."""
        if era != self._era:
            return  # it was asked before the last opening or closing
        self._failures.append(failure is not None)
        if failure is None:
            return
        self._last = failure.message
        enough = len(self._failures) >= self.least and sum(self._failures) >= self.rate * len(self._failures)
        if self._opened is not None or enough:
            self._turn(now())

    def _turn(self, opened: float | None) -> None:
        self._opened, self._probing = opened, False
        self._failures.clear()
        self._era += 1

    def _refusal(self) -> OverloadedError:
        assert self._opened is not None
        left_s = max(0.0, self.cool_s - (now() - self._opened))
        when = f"in {left_s:.0f} s" if left_s else "when the request that tries it now is over"
        error = OverloadedError(
            f"{self.about.name} is left alone, because it failed lately (its last error: {self._last}). It is asked "
            f"again {when}",
            retry_after_s=left_s or None,
        )
        error.asked = False
        return error
