"""What each wrapper costs a request: the time through it less that of the model alone, which has its answer ready in
memory. One request at a time, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from benchmarks.pairs import Row, at_most, rounds
from benchmarks.routing import CHAT, Ready, microseconds
from trivet.adapt.breaker import Breaker
from trivet.adapt.build import routed
from trivet.adapt.cache import Cache
from trivet.adapt.cache_store import CacheStore
from trivet.adapt.prompt_cache import PromptCache
from trivet.adapt.retry import Retry
from trivet.adapt.route import Route, Target
from trivet.adapt.settings import RouteSettings
from trivet.adapt.timeouts import Timeouts
from trivet.ledger.account import Book
from trivet.ledger.budgets import Budgets
from trivet.ledger.keys import Keys
from trivet.ledger.limits import Limit
from trivet.ledger.meter import Meter
from trivet.ledger.metrics import Metrics
from trivet.ledger.priced import Priced
from trivet.ledger.prices import Prices
from trivet.ledger.settings import BudgetSettings, OwnPrice
from trivet.ledger.store import Store
from trivet.model import Model
from trivet.types import Chat, Context, Sampling, replace

REQUESTS = 100  # of one side in a round: so few that most rounds are not interrupted
ROUNDS = 100
ALL = "all five of a route"
LIMITED = "Meter and Priced, under a budget and two limits"
MOST = {ALL: 100, LIMITED: 40}  # of five wrappers, and of two
PRICE = OwnPrice(input=Decimal("1.25"), output=Decimal(10))
CLAUDE = "claude-opus-4-7"


def wrappers() -> list[Row]:
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder, _sides(Path(folder), runner) as sides:
        runs = {name: microseconds(runner, model, REQUESTS, chat) for name, (model, chat) in sides.items()}
        found = rounds("wrappers", runs, ROUNDS)
    bare = found.pop("bare")
    return [
        at_most(
            MOST.get(name, 20),
            "µs",
            f"a request through a wrapper: {name}",
            [us - base for us, base in zip(values, bare, strict=True)],
            f"{statistics.median(values):.1f} against {statistics.median(bare):.1f} µs",
            digits=1,
        )
        for name, values in found.items()
    ]


@contextlib.contextmanager
def _sides(folder: Path, runner: asyncio.Runner) -> Iterator[dict[str, tuple[Model, Chat]]]:
    """Every wrapper around a model, and what it is asked."""
    settings = RouteSettings(sticky=True, first_content_s=60, gap_s=60, total_s=600)
    both = [Ready(), Ready()]
    keys, store, answers = Keys(folder / "keys.db"), Store(folder / "ledger.db"), CacheStore(folder / "cache.db")
    limits = [Limit.of(text) for text in ("1000usd/day", "100m requests/minute", "100000m tokens/minute")]
    keys.add("bench", limits)
    budgets = Budgets(keys, BudgetSettings())
    add, metrics = store.add, Metrics()
    book = Book(budgets, [lambda row, request, response: add(row), metrics.observe])
    bounded = replace(CHAT, sampling=Sampling(max_tokens=100))
    exact = replace(CHAT, sampling=Sampling(temperature=0))
    prices = Prices("m", None, own=PRICE)
    cache = Cache(Ready(), answers)
    runner.run(cache.call(exact))
    sides: dict[str, tuple[Model, Chat]] = {
        "bare": (Ready(), CHAT),
        "Retry": (Retry(Ready()), CHAT),
        "Breaker": (Breaker(Ready()), CHAT),
        "Timeouts": (Timeouts(Ready(), first_content_s=60, gap_s=60), CHAT),
        "Route, sticky, of two": (Route([Target(model) for model in both], name="r", sticky=True), CHAT),
        ALL: (routed("r", both, settings), CHAT),
        "Priced": (Priced(Ready(), book, prices), CHAT),
        "Meter, ledger and metrics": (Meter(Ready(), book, "m"), CHAT),
        LIMITED: (Meter(Priced(Ready(), book, prices), book, "m"), replace(bounded, context=Context(key="bench"))),
        "PromptCache, Claude's break points": (PromptCache(Ready(), "anthropic", CLAUDE), CHAT),
        "PromptCache, OpenAI's key": (PromptCache(Ready(), "openai", "gpt-5"), CHAT),
        "Cache, a hit": (cache, exact),
        "Cache, not deterministic": (cache, CHAT),
    }
    try:
        yield sides
    finally:
        runner.run(budgets.close())
        store.close()
        answers.close()
        keys.close()
