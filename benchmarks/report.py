"""The table, and the page around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from benchmarks.gateway import ROUNDS
from benchmarks.pairs import PAIRS, Row

HEAD = """# How fast

Written by `make bench` on {date}; the whole run took {minutes:.1f} minutes.

{machine}

Model: SmolLM2-135M-Instruct, Q4_1, with trivet's default settings but for the threads. The bare engine is
`xllamacpp.Server`, called directly with the same parameters: in this process and on the same loaded weights; the server
of the HTTP rows has weights of its own. All sides take turns in every round, {pairs} rounds or more, each with prompts
that no cache has seen; all stream, greedily, the same number of tokens. A ratio is that of the speeds within one round:
measured is the median of the rounds, the spread its quartiles. "bare again" is the bare engine against itself: what
chance does here.

Between a client and a provider, the limit ("bare") is a handler of some forty lines over aiohttp, which trivet uses too
(`passthrough.py`). "bare, pyreqwest" is the same over a library that was not chosen: it leaves a request that is
cancelled before its answer came running at the provider, who charges for it. wrk asks, nginx answers, `drip.py`
streams, all on this machine's cores, one side at a time, {gateway} rounds; what is added is the median less that of
nginx itself in the same round. "Translated" is Anthropic's protocol in, OpenAI's out;
"routed" is a route of two models with retries, breakers and stickiness on, of which the first answers. These three are
with the ledger off (`[ledger] enabled = false`): nothing is counted, and no key is asked for.

"All on" is the routed side with everything that counts: a key with a budget in USD, a limit of requests and one of
tokens; prices; the ledger; prompt caches, which such a host needs no marks or keys for; and metrics, which are scraped
every 15 seconds. It is against the bare pass-through of its own rounds. "LiteLLM" is LiteLLM's proxy in those rounds
too, as it is by itself: one model, no keys, no budgets, no database. It is measured where `make bench-peers` has
installed it.

The wrappers stand over a model in memory whose answer is ready, and their time is what a request takes less that of
the model alone in the same round; "all five of a route" are those that `[models.NAME.route]` can put around two
targets. A Meter alone has no attempts to count, as these come from Priced.

How long the event loop stands still: the most that a turn which was due came late, in a fresh process for each model,
prepared as the server is, and not longer than that process ran meanwhile. Beside it another process does nothing but
turn, which tells what this machine does to anybody.
"""


def page(rows: Sequence[Row], machine: Mapping[str, str], seconds: float) -> str:
    facts = "\n".join(f"- {name}: {fact}" for name, fact in machine.items())
    head = HEAD.format(date=date.today().isoformat(), minutes=seconds / 60, machine=facts, pairs=PAIRS, gateway=ROUNDS)
    return f"{head}\n{table(rows)}\n\n## What lost\n\n{lost(rows)}\n"


def table(rows: Sequence[Row]) -> str:
    lines = ["| what | target | measured | quartiles | passed | medians |", "|---|---|---|---|---|---|"]
    for row in rows:
        passed = "–" if row.passed is None else "yes" if row.passed else "**no**"
        lines.append(f"| {row.what} | {row.target} | {row.measured} | {row.spread} | {passed} | {row.detail} |")
    return "\n".join(lines)


def lost(rows: Sequence[Row]) -> str:
    missed = [row for row in rows if row.passed is False]
    if not missed:
        return "Nothing: every target was met."
    return "\n".join(f"- {r.what}: {r.measured}, the target is {r.target} ({r.detail})." for r in missed)
