"""`import trivet` and its functions: one bridge, from ordinary code to models."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import signal
import subprocess
import sys
import threading
import typing
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

import trivet
from tests.local_stub import WHERE
from trivet import STALL, Fake, registry, sync
from trivet.model import bottom

ROOT = Path(__file__).parent.parent
CEILING_S = 60  # how long anything may take; nothing waits this long where it works
WHOLE = trivet.Context(whole=True)  # what a call tells its model: nobody reads before the end


@pytest.fixture(autouse=True)
def bridge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A bridge of the test's own, over the stub, in an empty folder."""
    monkeypatch.setitem(registry.PROVIDERS, "local", WHERE)
    monkeypatch.chdir(tmp_path)
    trivet.close()
    yield
    trivet.close()


class Noted(trivet.Wrapper):
    """Tells when a stream of the inner model has ended, from below."""

    def __init__(self, inner: trivet.Model) -> None:
        super().__init__(inner)
        self.ended = threading.Event()

    async def stream(self, request: trivet.Request) -> AsyncGenerator[trivet.Event, None]:
        try:
            async with aclosing(self.inner.stream(request)) as events:
                async for event in events:
                    yield event
        finally:
            self.ended.set()


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, with `trivet` and the tests' folder to import from."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=CEILING_S)


# --- what can be asked -------------------------------------------------------------------------------------


def test_chat_answers_with_the_default_model() -> None:
    response = trivet.chat("Hi")
    assert (response.text, response.model) == ("1: Hi", "local/smollm2")


def test_a_model_object_is_as_good_as_a_name() -> None:
    fake = Fake("Hello")
    assert trivet.chat("Hi", model=fake).text == "Hello"
    assert fake.requests == [trivet.Chat(messages=(trivet.user("Hi"),), context=WHOLE)]


def test_the_name_asked_for_is_in_the_request() -> None:
    trivet.chat("Hi", model="local/smollm2")
    seen = bottom(sync.bridge().runtime(None).model("local/smollm2")).requests[-1]  # type: ignore[attr-defined]
    assert seen.model == "local/smollm2"


def test_a_path_to_weights_is_a_name() -> None:
    assert trivet.chat("Hi", model="./x.gguf").model == os.path.abspath("x.gguf")


def test_every_argument_of_chat_reaches_the_model() -> None:
    fake = Fake()
    tool = trivet.Tool(name="clock")
    trivet.chat(
        [trivet.user("Hi"), trivet.assistant("Yes?"), trivet.user("Bye")],
        model=fake,
        system="Be brief.",
        tools=[tool],
        tool_choice="clock",
        output={"type": "object"},
        temperature=0,
        stop="\n",
        max_tokens=3,
        attach=[b"%PDF-1.7"],
        reasoning="low",
        user="u-1",
        cache_key="k",
        service_tier="flex",
        cache="off",
        extra={"metadata": {"a": "b"}},
    )
    assert fake.requests == [
        trivet.Chat(
            context=trivet.Context(whole=True, cache="off"),
            messages=(
                trivet.system("Be brief."),
                trivet.user("Hi"),
                trivet.assistant("Yes?"),
                trivet.user(trivet.Document(data=b"%PDF-1.7", media_type="application/pdf"), "Bye"),
            ),
            tools=(tool,),
            tool_choice=trivet.ToolChoice(mode="named", name="clock"),
            output=trivet.Output(schema={"type": "object"}),
            reasoning=trivet.Reasoning(effort="low"),
            sampling=trivet.Sampling(temperature=0.0, stop=("\n",), max_tokens=3),
            user="u-1",
            cache_key="k",
            service_tier="flex",
            extra={"metadata": {"a": "b"}},
        )
    ]


@pytest.mark.parametrize("mode", ["auto", "none", "required"])
def test_a_tool_choice_may_be_its_mode(mode: typing.Any) -> None:
    fake = Fake()
    trivet.chat("Hi", model=fake, tool_choice=mode)
    assert fake.requests[0].tool_choice == trivet.ToolChoice(mode=mode)  # type: ignore[attr-defined]


def test_a_question_may_be_a_message_or_a_part() -> None:
    fake = Fake()
    image = trivet.Image(data=b"x", media_type="image/png")
    for given in (trivet.user("Hi"), trivet.Text(text="Hi"), image):
        trivet.chat(given, model=fake)
    assert [r.messages for r in fake.requests] == [(trivet.user("Hi"),), (trivet.user("Hi"),), (trivet.user(image),)]  # type: ignore[attr-defined]


def test_complete_embed_and_count_tokens_ask_for_their_tasks() -> None:
    fake = Fake("and so on")
    assert trivet.complete("Once", suffix="end", model=fake, seed=1).text == "and so on"
    assert trivet.embed(["a", "bb"], model=fake, dimensions=2).vectors == ((1.0, 1.0), (2.0, 1.0))
    assert trivet.embed("a", model=fake).vectors == ((1.0, 1.0),)
    assert trivet.count_tokens("Hi", model=fake, system="S").input_tokens == 3
    assert fake.requests == [
        trivet.Complete(prompt="Once", suffix="end", sampling=trivet.Sampling(seed=1), context=WHOLE),
        trivet.Embed(texts=("a", "bb"), dimensions=2, context=WHOLE),
        trivet.Embed(texts=("a",), context=WHOLE),
        trivet.CountTokens(messages=(trivet.system("S"), trivet.user("Hi")), context=WHOLE),
    ]


def test_a_configuration_may_be_given_as_a_file_or_a_value(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text('[models.default]\nbase = "local/smollm2"\nsystem = "S"\n')
    assert trivet.chat("Hi", config=path).text == trivet.chat("Hi", config=str(path)).text == "2: S | Hi"
    assert trivet.chat("Hi", config=trivet.Config()).text == "1: Hi"
    assert trivet.chat("Hi").text == "1: Hi"


def test_an_empty_mapping_is_an_empty_configuration_and_another_is_told_what_to_be() -> None:
    assert trivet.Runtime({}).config == trivet.Config()  # type: ignore[arg-type]
    assert trivet.chat("Hi", config={}).text == "1: Hi"  # type: ignore[arg-type, call-overload]
    for wrong, said in (({"models": {}}, "config is a mapping"), (7, "config is int"), ([], "config is list")):
        for ask in (trivet.Runtime, lambda config: trivet.chat("Hi", config=config)):
            with pytest.raises(trivet.ConfigError, match=said) as caught:
                ask(wrong)  # type: ignore[arg-type]
            assert "give a trivet.Config(" in str(caught.value)


def test_the_file_of_the_current_folder_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "trivet.toml").write_text('[models.default]\nbase = "local/smollm2"\nsystem = "S"\n')
    assert trivet.chat("Hi").text == "2: S | Hi"


def test_one_file_is_one_runtime_however_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trivet.toml"
    path.write_text("")
    over = sync.bridge()
    assert over.runtime(None) is over.runtime("trivet.toml") is over.runtime(path)


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [trivet.chat, trivet.stream, trivet.complete])
def test_an_unknown_sampling_name_is_a_type_error_with_the_nearest(function: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match=rf"{function.__name__}\(\) has no argument 'temprature'.*'temperature'"):
        function("Hi", model=Fake(), temprature=1)


def test_a_wrong_sampling_value_is_refused_before_it_is_asked() -> None:
    fake = Fake()
    for wrong in ({"temperature": -1}, {"temperature": "hot"}, {"max_tokens": 0}, {"n": 0}, {"stop": ["", "a"]}):
        with pytest.raises(trivet.RequestError):
            trivet.chat("Hi", model=fake, **wrong)  # type: ignore[arg-type]
    assert fake.requests == []


def test_a_word_on_the_cache_is_off_or_on() -> None:
    fake = Fake()
    with pytest.raises(trivet.RequestError, match="cache"):
        trivet.chat("Hi", model=fake, cache="no")  # type: ignore[call-overload]
    assert fake.requests == []


def test_messages_that_are_none_are_refused() -> None:
    for wrong in ([{"role": "user", "content": "Hi"}], {"role": "user"}, 3, ["Hi"], b"Hi"):
        with pytest.raises(TypeError, match=r"trivet.user"):
            trivet.chat(wrong, model=Fake())  # type: ignore[arg-type]
    with pytest.raises(trivet.RequestError, match="no message"):
        trivet.chat([], model=Fake())


def test_stream_gives_one_answer() -> None:
    with pytest.raises(trivet.RequestError, match="n is 2"):
        trivet.stream("Hi", model=Fake(), n=2)


def test_errors_of_the_model_arrive_as_they_are() -> None:
    with pytest.raises(trivet.RateLimitError, match="slow"):
        trivet.chat("Hi", model=Fake([trivet.RateLimitError("slow")]))
    with pytest.raises(trivet.UnknownModelError, match="'local/smollm2'"):
        trivet.chat("Hi", model="smollm2")
    with pytest.raises(trivet.RequestError, match="minilm"):  # the default, which the stub does not have
        trivet.embed("a")
    with pytest.raises(ZeroDivisionError):
        trivet.chat("Hi", model="local/breaks")


def test_the_sampling_arguments_are_those_of_sampling_and_the_options_those_of_chat() -> None:
    sampling, chat = set(trivet.Sampling.__struct_fields__), set(trivet.Chat.__struct_fields__)
    assert set(trivet.SamplingOptions.__annotations__) == sampling
    arguments = set(inspect.signature(trivet.count_tokens).parameters)
    assert set(trivet.ChatOptions.__annotations__) - sampling - {"cache"} == chat - arguments - {
        "sampling",
        "context",
        "source",
    }


def test_reasoning_is_an_effort_a_budget_or_a_value() -> None:
    fake = Fake()
    for given in ("high", 2048, trivet.Reasoning(adaptive=True)):
        trivet.chat("Hi", model=fake, reasoning=given)
    assert [r.reasoning for r in fake.requests] == [  # type: ignore[attr-defined]
        trivet.Reasoning(effort="high"),
        trivet.Reasoning(budget_tokens=2048),
        trivet.Reasoning(adaptive=True),
    ]
    for wrong in ("hgih", 0):
        with pytest.raises(trivet.RequestError, match="reasoning is"):
            trivet.chat("Hi", model=fake, reasoning=wrong)
    with pytest.raises(TypeError, match="of type bool"):
        trivet.chat("Hi", model=fake, reasoning=True)


# --- streams -----------------------------------------------------------------------------------------------


def test_stream_gives_pieces_and_then_the_response() -> None:
    stream = trivet.stream("Hi", model=Fake([["Hel", "lo"]]))
    with pytest.raises(RuntimeError, match="not over"):
        stream.response  # noqa: B018
    assert list(stream) == ["Hel", "lo"]
    assert stream.response.text == "Hello"
    assert list(stream) == []


def test_a_piece_arrives_before_the_next_is_made() -> None:
    gate = threading.Event()

    class Gated(Fake):
        async def stream(self, request: trivet.Request) -> AsyncGenerator[trivet.Event, None]:
            yield trivet.TextDelta(text="first")
            await asyncio.to_thread(gate.wait, CEILING_S)
            yield trivet.TextDelta(text="second")
            yield trivet.Done(response=response)

    response = trivet.chat("Hi", model=Fake())
    stream = trivet.stream("Hi", model=Gated())
    assert next(stream) == "first"
    gate.set()
    assert list(stream) == ["second"]


def test_an_error_after_content_arrives_after_that_content() -> None:
    stream = trivet.stream("Hi", model=Fake([["Hel", trivet.TransportError("gone")]]))
    assert next(stream) == "Hel"
    with pytest.raises(trivet.TransportError, match="gone"):
        next(stream)
    assert list(stream) == []
    with pytest.raises(RuntimeError, match="left before its end"):
        stream.response  # noqa: B018


def test_a_stream_that_is_cut_is_an_error() -> None:
    with pytest.raises(trivet.TransportError, match="before its answer was complete"):
        list(trivet.stream("Hi", model=Fake([["Hel", trivet.CUT]])))


def test_closing_a_stream_cancels_and_waits_until_the_model_is_free() -> None:
    fake = Fake([["Hel", STALL]])
    stream = trivet.stream("Hi", model=fake)
    assert next(stream) == "Hel"
    stream.close()
    assert (fake.log, fake.open) == (["start", "closed"], 0)
    assert list(stream) == []
    stream.close()


def test_leaving_a_with_block_cancels() -> None:
    fake = Fake([["Hel", STALL]])
    with trivet.stream("Hi", model=fake) as pieces:
        for _ in pieces:
            break
    assert fake.log == ["start", "closed"]


def test_breaking_out_of_the_loop_cancels() -> None:
    model = Noted(Fake([["Hel", STALL]]))
    for _ in trivet.stream("Hi", model=model):
        break
    gc.collect()
    assert model.ended.wait(CEILING_S)


def test_a_stream_that_nobody_reads_cancels_when_it_is_dropped() -> None:
    model = Noted(Fake([["Hel", STALL]]))
    stream = trivet.stream("Hi", model=model)
    next(stream)
    del stream
    gc.collect()
    assert model.ended.wait(CEILING_S)


def test_a_stream_closed_in_another_thread_ends_for_its_reader() -> None:
    stream = trivet.stream("Hi", model=Fake([["Hel", STALL]]))
    assert next(stream) == "Hel"
    closer = threading.Thread(target=stream.close)
    closer.start()
    with pytest.raises(trivet.TrivetError, match="closed"):
        stream._job.result()
    closer.join()


# --- Ctrl-C, threads, loops, the end -----------------------------------------------------------------------


def interrupts(request: trivet.Request) -> list[object]:
    """Ctrl-C for the main thread, which waits for this answer."""
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # type: ignore[arg-type]
    return ["", STALL]


@pytest.mark.skipif(os.name != "posix", reason="pthread_kill")
@pytest.mark.parametrize("ask", [trivet.chat, lambda text, model: next(trivet.stream(text, model=model))])
def test_ctrl_c_while_waiting_cancels_the_request(ask: Callable[..., object]) -> None:
    fake = Fake(interrupts)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        ask("Hi", model=fake)
    assert trivet.chat("Hi", model=Fake("Hello")).text == "Hello"  # by then the loop has come to the cancellation
    assert fake.log == ["start", "closed"]


def test_it_works_inside_a_running_event_loop() -> None:
    async def notebook() -> str:
        return trivet.chat("Hi", model=Fake("Hello")).text + "".join(trivet.stream("Hi", model=Fake("Hello")))

    assert asyncio.run(notebook()) == "HelloHello"


def test_many_threads_may_ask_at_once() -> None:
    barrier: list[asyncio.Barrier] = []

    async def together(request: trivet.Request) -> str:
        if not barrier:
            barrier.append(asyncio.Barrier(8))
        await barrier[0].wait()
        return request.messages[0].text  # type: ignore[attr-defined, no-any-return]

    fake, answers = Fake(together), {}
    threads = [
        threading.Thread(target=lambda i=i: answers.update({i: trivet.chat(str(i), model=fake).text})) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(CEILING_S)
    assert answers == {i: str(i) for i in range(8)}


def test_asking_from_inside_a_model_is_refused_in_place_of_waiting_for_itself() -> None:
    inner = Fake()
    with pytest.raises(RuntimeError, match="wait for themselves"):
        trivet.chat("Hi", model=Fake(lambda request: trivet.chat("Hi", model=inner).text))


def test_close_closes_models_and_the_next_call_starts_anew() -> None:
    trivet.chat("Hi")
    over = sync.bridge()
    provider = over.runtime(None)._providers["local"]
    trivet.close()
    assert provider.closed == 1  # type: ignore[attr-defined]
    assert not over._thread.is_alive()
    trivet.close()
    assert trivet.chat("Hi").text == "1: Hi"
    assert sync.bridge() is not over


def test_close_ends_what_is_under_way() -> None:
    fake = Fake([["Hel", STALL]])
    stream = trivet.stream("Hi", model=fake)
    assert next(stream) == "Hel"
    trivet.close()
    assert fake.log == ["start", "closed"]
    with pytest.raises(trivet.TrivetError, match="cancelled"):
        next(stream)


def test_the_process_ends_with_a_stream_under_way_and_an_engine_at_work() -> None:
    done = run_python(
        """
import threading, concurrent.futures, asyncio, trivet
from tests import local_stub
from trivet import registry
class Engine(local_stub.LocalStub):
    "A worker thread that is at work until the engine is closed."
    def __init__(self, settings):
        super().__init__(settings)
        self.stop = threading.Event()
        self.pool = concurrent.futures.ThreadPoolExecutor(1)
        self.pool.submit(self.stop.wait)
    async def close(self):
        self.stop.set()
        await asyncio.to_thread(self.pool.shutdown)
        print("engine closed", flush=True)
local_stub.Engine = Engine
registry.PROVIDERS["local"] = "tests.local_stub:Engine"
stream = trivet.stream("Hi", model="local/stalls")
print(next(stream), flush=True)
"""
    )
    assert (done.stdout, done.stderr, done.returncode) == ("begun \nengine closed\n", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_starts_anew_and_refuses_its_parents_streams() -> None:
    done = run_python(
        """
import os, warnings, trivet
warnings.simplefilter("ignore")
stream = trivet.stream("Hi", model=trivet.Fake([["Hel", trivet.STALL]]))
next(stream)
child = os.fork()
if child == 0:
    print(trivet.chat("Hi", model=trivet.Fake("child")).text, flush=True)
    try:
        next(stream)
    except RuntimeError as error:
        print(error, flush=True)
else:
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), trivet.chat("Hi", model=trivet.Fake("parent")).text)
"""
    )
    assert done.stdout == "child\nThis request belongs to the process that forked. Ask again in this one.\n0 parent\n"
    assert (done.stderr, done.returncode) == ("", 0)


# --- map ---------------------------------------------------------------------------------------------------


def test_map_answers_in_order_with_errors_in_their_places() -> None:
    async def script(request: trivet.Request) -> str | Exception:
        text = request.messages[0].text  # type: ignore[attr-defined]
        for _ in range({"a": 5, "b": 0, "c": 2}[text]):
            await asyncio.sleep(0)
        return trivet.RateLimitError("slow") if text == "b" else text.upper()

    fake = Fake(script)
    a, b, c = trivet.map(["a", "b", "c"], model=fake)
    assert (a.text, c.text) == ("A", "C")
    assert isinstance(b, trivet.RateLimitError)
    assert fake.log.count("failed") == 1


def test_map_gives_system_and_options_to_questions_and_leaves_requests_as_they_are() -> None:
    fake, own = Fake(), trivet.Chat(messages=(trivet.user("b"),))
    trivet.map(["a", own], model=fake, system="Be brief.", max_tokens=3, concurrency=1)
    asked, left = fake.requests
    assert asked == trivet.Chat(
        messages=(trivet.system("Be brief."), trivet.user("a")),
        sampling=trivet.Sampling(max_tokens=3),
        context=WHOLE,
    )
    assert left == trivet.replace(own, context=WHOLE)
    with pytest.raises(TypeError, match="did you mean 'max_tokens'"):
        trivet.map(["a"], model=fake, max_token=3)  # type: ignore[call-arg]


def test_map_takes_requests_of_any_task_and_names() -> None:
    answers = trivet.map(
        ["Hi", trivet.Embed(texts=("abc",), model="local/smollm2"), trivet.Chat(messages=(trivet.user("x"),)), "y"],
        config=trivet.Config(),
    )
    assert answers[0].text == "1: Hi"
    assert answers[1].vectors == ((3.0, 1.0),)
    assert (answers[2].text, answers[3].text) == ("1: x", "1: y")


def test_map_asks_the_models_that_requests_name_and_the_given_one_otherwise() -> None:
    fake = Fake("fake")
    named = trivet.Chat(messages=(trivet.user("x"),), model="local/smollm2")
    assert [r.text for r in trivet.map([named, "y"], model=fake)] == ["1: x", "fake"]
    assert [r.text for r in trivet.map([named, "y"], model="./x.gguf")] == ["1: x", "from a file"]


def test_map_has_as_many_under_way_as_it_is_told() -> None:
    most, barrier = [0], []

    async def script(request: trivet.Request) -> str:
        if not barrier:
            barrier.append(asyncio.Barrier(3))
        most[0] = max(most[0], fake.open)
        await barrier[0].wait()
        return "x"

    fake = Fake(script)
    assert len(trivet.map(["?"] * 9, concurrency=3, model=fake)) == 9
    assert most == [3]


def test_map_of_nothing_is_nothing() -> None:
    assert trivet.map([]) == []


def test_map_refuses_what_is_no_request() -> None:
    with pytest.raises(TypeError, match=r"\[1\] is int"):
        trivet.map(["a", 3], model=Fake())  # type: ignore[list-item]
    with pytest.raises(ValueError, match="concurrency is 0"):
        trivet.map(["a"], concurrency=0)


def test_a_defect_in_a_model_ends_map_and_cancels_the_rest() -> None:
    def script(request: trivet.Request) -> object:
        return ZeroDivisionError("defect") if request.messages[0].text == "b" else [STALL]  # type: ignore[attr-defined]

    fake = Fake(script)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        trivet.map(["a", "b", "c"], model=fake)
    assert fake.open == 0
    assert fake.log.count("closed") == 2


@pytest.mark.skipif(os.name != "posix", reason="pthread_kill")
def test_ctrl_c_cancels_all_of_map() -> None:
    def script(request: trivet.Request) -> object:
        return interrupts(request) if request.messages[0].text == "b" else [STALL]  # type: ignore[attr-defined]

    fake = Fake(script)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        trivet.map(["a", "b"], model=fake)
    assert (fake.open, fake.log.count("closed")) == (0, 2)


def test_map_shows_a_bar_where_it_is_told_to(capsys: pytest.CaptureFixture[str]) -> None:
    trivet.map(["a", "b"], model=Fake(), progress=True)
    shown = capsys.readouterr()
    assert "2/2" in shown.err
    assert shown.out == ""
    trivet.map(["a", "b"], model=Fake())
    assert capsys.readouterr() == ("", "")


# --- for type checkers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [trivet.chat, lambda question, model: list(trivet.stream(question, model=model))])
@pytest.mark.parametrize("model", [3, Fake, Path("mine.gguf")])
def test_a_model_that_is_none_is_refused_and_the_default_does_not_answer(
    ask: Callable[..., object], model: typing.Any
) -> None:
    with pytest.raises(TypeError, match=rf"model is a name.* of type {type(model).__name__}"):
        ask("Hi", model=model)


def test_map_and_count_tokens_take_no_more_than_they_say() -> None:
    with pytest.raises(TypeError, match=r"map\(\) has no argument 'tools'"):
        trivet.map(["a"], model=Fake(), tools=[])  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"count_tokens\(\) has no argument 'temperature'"):
        trivet.count_tokens("a", model=Fake(), temperature=0)  # type: ignore[call-arg]


def test_map_refuses_a_single_string() -> None:
    with pytest.raises(TypeError, match="this is one string"):
        trivet.map("Hi")


def test_signatures_are_there_for_editors() -> None:
    """Of help() and of notebooks: each option by its name."""
    sampling, chat = list(trivet.SamplingOptions.__annotations__), list(trivet.ChatOptions.__annotations__)
    conversation = ["system", "attach", "tools", "tool_choice", "reasoning"]
    for function, own, options in [
        (trivet.chat, ["messages", "model", "output", "into", "config"], conversation + chat),
        (trivet.stream, ["messages", "model", "output", "config"], conversation + chat),
        (trivet.count_tokens, ["messages", "model", "output", "config"], conversation),
        (trivet.complete, ["prompt", "suffix", "model", "config"], sampling),
        (trivet.map, ["requests", "concurrency", "model", "system", "progress", "config"], chat),
    ]:
        parameters = inspect.signature(function).parameters
        assert sorted(parameters) == sorted(own + options), function.__name__
        assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in list(parameters.values())[1:])
    parameters = inspect.signature(trivet.chat).parameters
    assert {name: parameters[name].default for name in sampling} == {
        name: getattr(trivet.Sampling(), name) for name in sampling
    }
    assert str(parameters["temperature"]) == "temperature: 'float | None' = None"
