"""`[local] memory`: which weights stay, which go, and who waits. First with engines that only count, then real ones."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from trivet import catalog
from trivet.config import load
from trivet.errors import ConfigError, OverloadedError, WeightsError
from trivet.local import loaded, memory, weights
from trivet.local.loaded import Loaded
from trivet.local.memory import Kept, Memory
from trivet.local.provider import Local
from trivet.local.pull import pull
from trivet.local.settings import LocalSettings
from trivet.model import bottom
from trivet.types import Complete, Embed, EmbedResponse, Request, Sampling

ONE = Sampling(max_tokens=1, temperature=0.0)
CEILING_S = 60.0  # how long a test waits for what must happen


class Counting:
    """An engine that notes, in `log`, when its weights come and go."""

    def __init__(self, name: str, size: int, log: list[str]) -> None:
        self.name, self.size, self.log = name, size, log
        self.loaded = False

    async def unload(self) -> None:
        await asyncio.sleep(0)
        self.loaded = False
        self.log.append(f"-{self.name}")


async def used(held: Memory, engine: Counting, until: asyncio.Event | None = None) -> None:
    async with held.use(engine):
        if not engine.loaded:
            engine.loaded = True
            engine.log.append(f"+{engine.name}")
        if until is not None:
            await until.wait()


async def settled() -> None:
    """Everything that can go on has."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
def log() -> list[str]:
    return []


async def test_what_fits_stays(log: list[str]) -> None:
    held = Memory(10)
    a, b = Counting("a", 6, log), Counting("b", 4, log)
    for engine in (a, b, a, b):
        await used(held, engine)
    assert log == ["+a", "+b"]


async def test_the_longest_unused_makes_room(log: list[str]) -> None:
    held = Memory(10)
    a, b, c = (Counting(name, 5, log) for name in "abc")
    for engine in (a, b, a, c, b):
        await used(held, engine)
    assert log == ["+a", "+b", "-b", "+c", "-a", "+b"]


async def test_use_counts_until_its_end(log: list[str]) -> None:
    held = Memory(10)
    a, b, c = (Counting(name, 5, log) for name in "abc")
    end = asyncio.Event()
    long = asyncio.create_task(used(held, a, end))
    await settled()
    await used(held, b)
    end.set()
    await long
    await used(held, c)
    assert log == ["+a", "+b", "-b", "+c"]


async def test_no_more_go_than_must(log: list[str]) -> None:
    held = Memory(10)
    for engine in (Counting("a", 4, log), Counting("b", 4, log), Counting("c", 6, log)):
        await used(held, engine)
    assert log == ["+a", "+b", "-a", "+c"]


async def test_a_large_one_takes_the_place_of_several(log: list[str]) -> None:
    held = Memory(10)
    for engine in (Counting("a", 4, log), Counting("b", 4, log), Counting("c", 10, log)):
        await used(held, engine)
    assert log == ["+a", "+b", "-a", "-b", "+c"]


async def test_one_in_use_stays_and_whoever_needs_its_place_waits(log: list[str]) -> None:
    held = Memory(10)
    a, b = Counting("a", 6, log), Counting("b", 6, log)
    end = asyncio.Event()
    first = asyncio.create_task(used(held, a, end))
    await settled()
    second = asyncio.create_task(used(held, b))
    await settled()
    assert log == ["+a"]
    end.set()
    await asyncio.gather(first, second)
    assert log == ["+a", "-a", "+b"]


async def test_it_is_in_use_until_the_last_of_its_requests_has_ended(log: list[str]) -> None:
    held = Memory(10)
    a, b = Counting("a", 6, log), Counting("b", 6, log)
    ends = asyncio.Event(), asyncio.Event()
    uses = [asyncio.create_task(used(held, a, end)) for end in ends]
    await settled()
    other = asyncio.create_task(used(held, b))
    ends[0].set()
    await settled()
    assert log == ["+a"]
    ends[1].set()
    await asyncio.gather(*uses, other)
    assert log == ["+a", "-a", "+b"]


async def test_a_model_that_is_always_asked_does_not_keep_another_out(log: list[str]) -> None:
    held = Memory(10)
    a, b = Counting("a", 6, log), Counting("b", 6, log)
    end = asyncio.Event()
    first = asyncio.create_task(used(held, a, end))
    await settled()
    other = asyncio.create_task(used(held, b))
    await settled()
    later = asyncio.create_task(used(held, a))
    await settled()
    end.set()
    await asyncio.gather(first, other, later)
    assert log == ["+a", "-a", "+b", "-b", "+a"]


async def test_one_that_is_too_large_alone_is_refused_and_nothing_goes_for_it(log: list[str]) -> None:
    held = Memory(10)
    await used(held, Counting("a", 6, log))
    with pytest.raises(ConfigError, match=r"b has .* of weights, more than \[local\] memory allows"):
        await used(held, Counting("b", 11, log))
    assert log == ["+a"]


async def test_whoever_waits_too_long_is_told_who_is_at_work(log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "WAIT_S", 0.0)
    held = Memory(10)
    async with held.use(Counting("a", 6, log)):
        with pytest.raises(OverloadedError, match="a had requests under way"):
            await used(held, Counting("b", 6, log))
    monkeypatch.undo()
    await used(held, Counting("b", 6, log))
    assert log == ["-a", "+b"]


async def test_who_leaves_while_it_waits_is_in_nobodys_way(log: list[str]) -> None:
    held = Memory(10)
    end = asyncio.Event()
    first = asyncio.create_task(used(held, Counting("a", 6, log), end))
    await settled()
    gone = asyncio.create_task(used(held, Counting("b", 6, log)))
    next_ = asyncio.create_task(used(held, Counting("c", 6, log)))
    await settled()
    gone.cancel()
    end.set()
    await asyncio.gather(first, next_)
    assert log == ["+a", "-a", "+c"]


async def test_weights_that_could_not_be_loaded_go_first(log: list[str]) -> None:
    held = Memory(10)
    a, bad, c = (Counting(name, 5, log) for name in ("a", "bad", "c"))
    await used(held, a)
    with pytest.raises(WeightsError):
        async with held.use(bad):
            raise WeightsError("bad is damaged")
    await used(held, c)
    assert log == ["+a", "-bad", "+c"]


def test_two_event_loops_share_what_there_is(log: list[str]) -> None:
    held = Memory(10)
    a, b = Counting("a", 6, log), Counting("b", 6, log)
    inside, end = threading.Event(), threading.Event()

    async def long() -> None:
        async with held.use(a):
            inside.set()
            await asyncio.to_thread(end.wait, CEILING_S)

    thread = threading.Thread(target=asyncio.run, args=(long(),))
    thread.start()
    assert inside.wait(CEILING_S)

    async def other() -> None:
        waiting = asyncio.create_task(used(held, b))
        await settled()
        assert log == []
        end.set()
        await waiting

    asyncio.run(other())
    thread.join(CEILING_S)
    assert log == ["-a", "+b"]


def test_a_loop_that_has_ended_while_it_waited_is_in_nobodys_way(log: list[str]) -> None:
    held = Memory(10)
    a, b = Counting("a", 6, log), Counting("b", 6, log)

    def other() -> None:
        async def gives_up() -> None:
            waiting = asyncio.create_task(used(held, b))
            await settled()
            waiting.cancel()

        asyncio.run(gives_up())

    async def main() -> None:
        async with held.use(a):
            await asyncio.to_thread(other)
        await used(held, b)

    asyncio.run(main())
    assert log == ["-a", "+b"]


# --- the setting -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ("8GB", 8_000_000_000),
        ("8 gb", 8_000_000_000),
        ("7.5GiB", 8_053_063_680),
        ("512MB", 512_000_000),
        ("512M", 512_000_000),
        ("1000000", 1_000_000),
    ],
)
def test_sizes_are_read_as_people_write_them(said: str, size: int) -> None:
    assert LocalSettings(memory=said).memory_bytes == size


@pytest.mark.parametrize("said", ["", "much", "-8GB", "8 potatoes", "0GB", "8,5GB"])
def test_what_is_no_size_is_refused(tmp_path: Path, said: str) -> None:
    file = tmp_path / "trivet.toml"
    file.write_text(f'[local]\nmemory = "{said}"\n')
    with pytest.raises(ConfigError, match="8GB"):
        load(file)


# --- real weights ------------------------------------------------------------------------------------------

STORY = Complete(prompt="Once upon a time", sampling=ONE)
WORDS = Embed(texts=("a few words",))


@pytest.fixture(scope="module", autouse=True)
def minilm() -> None:
    pull("minilm", weights.home())


@pytest.fixture
async def local() -> AsyncIterator[Local]:
    """Room for one of the two."""
    opened = Local(LocalSettings(memory="120MB", context=256, slots=2, threads=1))
    yield opened
    await opened.close()


def engine(model: Any, request: Request) -> Any:
    assert isinstance(model, Kept)
    return model.engine_for(request)


async def test_sizes_are_those_of_the_files(local: Local) -> None:
    for name, request in (("smollm2", STORY), ("minilm", WORDS)):
        assert engine(local.model(name), request).size == sum(f.size for f in catalog.named(name).every_file)


async def test_models_that_do_not_fit_together_take_turns_and_answer_as_before(local: Local) -> None:
    smol, mini = local.model("smollm2"), local.model("minilm")
    answers, there = [], []
    for model, request in ((smol, STORY), (mini, WORDS)) * 2:
        answers.append(await model.call(request))
        there.append((engine(smol, STORY).loaded, engine(mini, WORDS).loaded))
    assert there == [(True, False), (False, True)] * 2
    assert answers[0].text == answers[2].text  # type: ignore[attr-defined]
    first, second = answers[1], answers[3]
    assert isinstance(first, EmbedResponse)
    assert isinstance(second, EmbedResponse)
    assert first.vectors == second.vectors


async def test_an_answer_under_way_is_finished_before_its_weights_go(local: Local) -> None:
    smol, mini = local.model("smollm2"), local.model("minilm")
    async with aclosing(smol.stream(Complete(prompt="Once", sampling=Sampling(max_tokens=40)))) as events:
        await anext(events)
        other = asyncio.create_task(mini.call(WORDS))
        *_, last = [event async for event in events]
        assert type(last).__name__ == "Done"
        assert not other.done()
    await other
    assert not engine(smol, STORY).loaded


async def test_an_answer_that_is_left_makes_room_at_once(local: Local) -> None:
    smol, mini = local.model("smollm2"), local.model("minilm")
    async with aclosing(smol.stream(Complete(prompt="Once", sampling=Sampling(max_tokens=200)))) as events:
        await anext(events)
    await mini.call(WORDS)
    assert not engine(smol, STORY).loaded
    assert engine(mini, WORDS).loaded


async def test_weights_go_only_when_the_engine_has_let_go_of_them(local: Local) -> None:
    model = local.model("smollm2")
    await model.call(STORY)
    smol = engine(model, STORY)
    await smol.slots.take(1)  # as does a request whose client has gone, until the end of its batch
    going = asyncio.create_task(smol.unload())
    await settled()
    assert smol.loaded
    smol.slots.give(1)
    await going
    assert (smol.loaded, smol.slots.busy) == (False, 0)


async def test_a_models_chats_and_embeddings_are_two_engines_that_take_turns(local: Local) -> None:
    model = local.model("smollm2")
    await model.call(STORY)
    await model.call(WORDS)
    assert (engine(model, STORY).loaded, engine(model, WORDS).loaded) == (False, True)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_weights_do_not_need_goes_back_to_the_system() -> None:
    """Of 91 MB, as they load and when they go: the C library keeps 25 and 30, and more of larger ones, on top of which
    the next model's came."""
    found = subprocess.run([sys.executable, "-c", GIVEN_BACK], capture_output=True, text=True, timeout=60, check=True)
    before, loaded, after = map(int, found.stdout.split())
    assert 90_000 < loaded - before < 110_000
    assert after - before < 24_000


# Prints the kilobytes that the process has for itself: before, with and after the weights.
GIVEN_BACK = """
import asyncio
from pathlib import Path
from trivet.local.provider import Local
from trivet.local.settings import LocalSettings
from trivet.types import Embed

def shown():
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(line.split()[1] for line in lines if line.startswith("RssAnon")))

async def main():
    import numpy, onnx.helper, onnxruntime, tokenizers
    model = Local(LocalSettings()).model("minilm")
    shown()
    await model.call(Embed(texts=("a few words",)))
    shown()
    await model.unload()
    shown()

asyncio.run(main())
"""


async def test_one_that_is_too_large_is_refused_before_it_loads() -> None:
    local = Local(LocalSettings(memory="50MB", context=256, slots=1, threads=1))
    model = local.model("smollm2")
    with pytest.raises(ConfigError, match=r"local/smollm2 has 0\.0984 GB of weights"):
        await model.call(STORY)
    assert not engine(model, STORY).loaded
    await local.close()


async def test_without_a_limit_nothing_is_wrapped() -> None:
    local = Local(LocalSettings(context=256, slots=1, threads=1))
    model = local.model("minilm")
    assert bottom(model) is model
    await local.close()


async def test_weights_are_dropped_in_the_models_own_thread(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    drop = loaded.Loaded._drop

    def noting(self: Loaded[Any]) -> None:
        threads.append(threading.current_thread())
        drop(self)

    monkeypatch.setattr(loaded.Loaded, "_drop", noting)
    await local.model("minilm").call(WORDS)
    await local.model("smollm2").call(STORY)
    assert [thread.name for thread in threads] == ["trivet local/minilm_0"]
