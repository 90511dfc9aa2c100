"""What every wrapper is put through, over every task: `test_wrappers.py` runs it. A new wrapper is a line in
`WRAPPERS`, a new task a line in `REQUESTS`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

from trivet.adapt.breaker import Breaker
from trivet.adapt.build import routed
from trivet.adapt.cache import Cache
from trivet.adapt.cache_store import CacheStore
from trivet.adapt.effort import DefaultEffort
from trivet.adapt.prompt import Prompt
from trivet.adapt.prompt_cache import PromptCache
from trivet.adapt.reading import Reading
from trivet.adapt.retry import Retry
from trivet.adapt.route import Route, Target
from trivet.adapt.settings import RouteSettings
from trivet.adapt.several import Several
from trivet.adapt.timeouts import Timeouts
from trivet.model import Model, Wrapper
from trivet.types import (
    Act,
    Audio,
    Chat,
    Classify,
    Complete,
    CountTokens,
    Embed,
    Fold,
    Forecast,
    Image,
    Mask,
    Read,
    Request,
    Rerank,
    Speak,
    Transcribe,
    user,
)

ALL = RouteSettings(policy="weighted", sticky=True, retries=0, hedge_s=60, first_content_s=60, gap_s=60, total_s=60)

WRAPPERS: dict[str, Callable[[Model], Model]] = {
    "plain": Wrapper,
    "prompt": lambda inner: Prompt(inner, "You are terse."),
    "several": Several,
    "reading": Reading,
    "effort": lambda inner: DefaultEffort(inner, "high"),
    "two prompts": lambda inner: Prompt(Prompt(inner, "inner"), "outer"),
    "prompt cache": lambda inner: PromptCache(inner, "anthropic", "claude-opus-5-5"),
    "cache": lambda inner: Cache(inner, CacheStore(tempfile.mkdtemp(prefix="trivet-cache-") + "/cache.db")),
    "retry": lambda inner: Retry(inner, patience_s=0),
    "breaker": Breaker,
    "timeouts": lambda inner: Timeouts(inner, first_content_s=60, gap_s=60, total_s=60),
    "route": lambda inner: Route([Target(inner)], name="route"),
    "hedged route": lambda inner: Route([Target(inner)], name="route", hedge_s=60),
    "all of a route": lambda inner: routed("all", [inner], ALL),
    "a route of a route": lambda inner: routed("outer", [routed("inner", [inner], ALL)], RouteSettings()),
}

REQUESTS: dict[str, Request] = {
    "chat": Chat(messages=(user("Hi"),)),
    "complete": Complete(prompt="Once"),
    "count_tokens": CountTokens(messages=(user("Hi"),)),
    "embed": Embed(texts=("a", "b")),
    "rerank": Rerank(query="Which river?", documents=("the Seine", "a hill")),
    "classify": Classify(image=Image(data=b"picture"), labels=("cat", "dog")),
    "read": Read(image=Image(data=b"picture")),
    "transcribe": Transcribe(audio=Audio(data=b"sound")),
    "speak": Speak(text="Hello"),
    "forecast": Forecast(series=(1.0, 2.0, None, 4.0), horizon=3),
    "mask": Mask(sequence="EVQ_V"),
    "fold": Fold(sequence="EVQLV"),
    "act": Act(instruction="grasp it", state=(0.5, 1.0)),
}
