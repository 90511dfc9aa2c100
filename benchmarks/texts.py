"""Vectors of texts and of proteins: all-MiniLM-L6-v2 and AntiBERTy in this process, against sentence-transformers and
transformers (torch, CPU) on the same inputs and weights, in a Python of its own that has them: `TRIVET_PEERS_PYTHON`,
else the one with torch that `make bench` sets up. Without one only a short text is measured."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.pairs import Row, at_least, at_most, rounds
from trivet.local import pull, weights
from trivet.local.provider import Local
from trivet.model import Model
from trivet.types import Embed

MODEL, PROTEINS = "minilm", "antiberty"
TORCH = Path(__file__).parent.parent / ".venv-torch" / "bin" / "python"
SHORT = "How do I bake bread at home?"
SHORTS = 20  # short texts of one round, one after the other
BATCH = 64
WORDS = (
    "time year people way day man thing woman life child world school state family student group country problem hand "
    "part place case week company system program question work government number night point home water room mother "
    "area money story fact month lot right study book eye job word business issue side kind head house service friend"
)

# The weights folder lacks sentence-transformers' own list of its steps, so that they are named here.
PEER = """
import json, sys, time
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
words = Transformer(sys.argv[1], max_seq_length=256)
model = SentenceTransformer(modules=[words, Pooling(384, pooling_mode="mean"), Normalize()], device="cpu")
model.encode(["loaded"])
print("ready", flush=True)
for line in sys.stdin:
    texts = json.loads(line)
    begin = time.perf_counter()
    model.encode(texts, show_progress_bar=False)
    print(time.perf_counter() - begin, flush=True)
"""

# What AntiBERTy's authors publish is transformers' BERT with other names; its package gives the mean of the residues.
PROTEIN_PEER = """
import json, sys, time, torch
from transformers import BertModel
model = BertModel.from_pretrained(sys.argv[1], add_pooling_layer=False).eval()
vocabulary = [line.strip() for line in open(sys.argv[1] + "/vocab.txt")]
place = {word: i for i, word in enumerate(vocabulary)}
print("ready", flush=True)
for line in sys.stdin:
    rows = json.loads(line)
    begin = time.perf_counter()
    ids = [[place["[CLS]"], *(place[letter] for letter in row), place["[SEP]"]] for row in rows]
    with torch.inference_mode():
        found = model(torch.tensor(ids)).last_hidden_state[:, 1:-1].mean(1).tolist()
    print(time.perf_counter() - begin, flush=True)
"""
AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
CHAINS, CHAIN = 8, 120  # proteins of one round, and residues of each, as an antibody's chain has


def texts() -> list[Row]:
    for name in (MODEL, PROTEINS):
        pull.pull(name, weights.home())
    python = _python()
    with asyncio.Runner() as runner:
        local = Local()
        model = local.model(MODEL)
        embed(runner, model, [SHORT])  # loads
        rows = [_short(runner, model)]
        if python is not None:
            with _peer(python, PEER, MODEL) as peer:
                rows += _against(runner, model, peer)
            with _peer(python, PROTEIN_PEER, PROTEINS) as peer:
                rows.append(_proteins(runner, local.model(PROTEINS), peer))
        runner.run(local.close())
    return rows


def embed(runner: asyncio.Runner, model: Model, some: Sequence[str]) -> float:
    """Seconds for one request of all of them."""
    return _asked(runner, model, Embed(texts=tuple(some)))


def _asked(runner: asyncio.Runner, model: Model, request: Embed) -> float:
    begin = time.perf_counter()
    runner.run(model.call(request))
    return time.perf_counter() - begin


def _short(runner: asyncio.Runner, model: Model) -> Row:
    taken = [embed(runner, model, [SHORT]) * 1e3 for _ in range(10 * SHORTS)]
    return at_most(5, "ms", "one short text, embedded", taken, f"{10 * SHORTS} requests, one by one", digits=1)


def _against(runner: asyncio.Runner, model: Model, peer: Callable[[Sequence[str]], float]) -> list[Row]:
    drawn: list[list[str]] = [[]]

    def fresh() -> float:
        chosen, words = random.Random(time.time_ns()), WORDS.split()
        drawn[0] = [" ".join(chosen.choices(words, k=chosen.randint(3, 100))) for _ in range(BATCH)]
        return 0.0

    fresh()
    sides = {"trivet": lambda: embed(runner, model, drawn[0]), "sentence-transformers": lambda: peer(drawn[0])}
    found = rounds(f"{BATCH} texts, embedded", sides)
    singles = {
        "trivet": lambda: sum(embed(runner, model, [SHORT]) for _ in range(SHORTS)),
        "sentence-transformers": lambda: sum(peer([SHORT]) for _ in range(SHORTS)),
    }
    alone = rounds("a short text, embedded", singles)
    return [
        _row(1.2, f"{BATCH} texts of 3 to 100 words, fp32, against sentence-transformers", found, BATCH),
        _row(None, "one short text, against sentence-transformers", alone, SHORTS),
    ]


def _proteins(runner: asyncio.Runner, model: Model, peer: Callable[[Sequence[str]], float]) -> Row:
    chosen = random.Random(1)
    chains = ["".join(chosen.choices(AMINO_ACIDS, k=CHAIN)) for _ in range(CHAINS)]
    request = Embed(proteins=tuple(chains))
    sides = {"trivet": lambda: _asked(runner, model, request), "transformers": lambda: peer(chains)}
    found = rounds(f"{CHAINS} proteins, embedded", sides)
    return _row(None, f"{CHAINS} proteins of {CHAIN} residues, fp32, against transformers", found, CHAINS, "proteins")


def _row(target: float | None, what: str, found: dict[str, list[float]], count: int, kind: str = "texts") -> Row:
    ours, theirs = found.values()
    speeds = [count / statistics.median(side) for side in (ours, theirs)]
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    return at_least(target, what, ratios, f"{speeds[0]:.0f} against {speeds[1]:.0f} {kind}/s")


def _python() -> str | None:
    """One that has sentence-transformers."""
    for python in (os.environ.get("TRIVET_PEERS_PYTHON"), str(TORCH)):
        if python and Path(python).exists():
            found = subprocess.run([python, "-c", "import sentence_transformers"], capture_output=True, check=False)
            if found.returncode == 0:
                return python
    return None


@contextlib.contextmanager
def _peer(python: str, script: str, name: str) -> Iterator[Callable[[Sequence[str]], float]]:
    """Seconds that the script takes for texts, by its own clock, on the weights of this name."""
    command, pipe = [python, "-c", script, str(weights.home() / name)], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, told = process.stdin, process.stdout
        if told.readline() != "ready\n":
            raise RuntimeError(f"the peer of {name} did not begin in {python}: run its script in {__file__} by hand")

        def seconds(some: Sequence[str]) -> float:
            asked.write(json.dumps(list(some)) + "\n")
            asked.flush()
            return float(told.readline())

        yield seconds
        asked.close()
