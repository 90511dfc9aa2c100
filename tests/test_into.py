"""Answers into types of one's own: what is asked for, what comes back, and the one round of repair."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import decimal
import json
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any, Literal

import msgspec
import pydantic
import pytest

import trivet
from tests.engines import Llama
from tests.upstream import Reply, upstream
from trivet import Done, Fake, Wrapper, into, replace
from trivet.into import Shape
from trivet.providers.compatible import Compatible
from trivet.providers.settings import ProviderSettings
from trivet.types import Cost

ROOT = Path(__file__).parent.parent


@dataclasses.dataclass
class Line:
    what: str
    count: int = 1


class Invoice(msgspec.Struct):
    """A bill."""

    number: str
    lines: list[Line]
    due: datetime.date | None = None


class Book(pydantic.BaseModel):
    title: str
    year: int = pydantic.Field(gt=0)


class Film(typing.TypedDict):
    title: str
    year: int


class Tree(msgspec.Struct):
    name: str
    children: list[Tree] = []


class Tags(pydantic.RootModel[list[str]]):
    pass


@dataclasses.dataclass
class Range:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low is {self.low}, above high")


INVOICE = '{"number": "7", "lines": [{"what": "pen", "count": 2}], "due": "2026-11-25"}'


# --- what comes back ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Invoice, INVOICE, Invoice("7", [Line("pen", 2)], datetime.date(2026, 11, 25))),
        (Line, '{"what": "pen"}', Line("pen")),
        (Book, '{"title": "Faust", "year": 1808}', Book(title="Faust", year=1808)),
        (Film, '{"title": "M", "year": 1931}', {"title": "M", "year": 1931}),
        (Tree, '{"name": "a", "children": [{"name": "b", "children": []}]}', Tree("a", [Tree("b")])),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (int, '{"value": 3}', 3),
        (list[int], '{"value": [1, 2]}', [1, 2]),
        (list[Book], '{"value": [{"title": "Faust", "year": 1808}]}', [Book(title="Faust", year=1808)]),
        (set[int], '{"value": [1, 2, 1]}', {1, 2}),
        (Literal["yes", "no"], '{"value": "yes"}', "yes"),
        (int | None, '{"value": null}', None),
        (Line | None, '{"value": {"what": "pen"}}', Line("pen")),
        (Tags, '{"value": ["a"]}', Tags(["a"])),
        (decimal.Decimal, '{"value": "1.10"}', decimal.Decimal("1.10")),
    ],
)
def test_the_answer_becomes_a_value_of_the_type(kind: Any, text: str, value: object) -> None:
    answer = trivet.chat("?", model=Fake(text), into=kind)
    assert answer.value == value
    assert (answer.text, answer.notes) == (text, ())


def test_an_answer_is_a_response_with_a_value() -> None:
    answer = trivet.chat("?", model=Fake('{"value": 3}'), into=int)
    plain = trivet.chat("?", model=Fake('{"value": 3}'))
    assert isinstance(answer, trivet.ChatResponse)
    assert (answer.usage, answer.model, answer.finish_reason) == (plain.usage, "fake", "stop")


@pytest.mark.parametrize("around", ["```json\n{}\n```", "Here it is: {} I hope that it helps.", "\n {} "])
def test_words_around_the_answer_are_no_part_of_it(around: str) -> None:
    assert trivet.chat("?", model=Fake(around.replace("{}", '{"value": 3}')), into=int).value == 3


# --- what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [object, complex, 3, "Invoice"])
def test_a_type_without_a_schema_is_a_type_error(kind: Any) -> None:
    with pytest.raises(TypeError, match="JSON Schema"):
        trivet.chat("?", model=Fake(), into=kind)


@pytest.mark.parametrize(("options", "field"), [({"output": {"type": "object"}}, "into"), ({"n": 2}, "n")])
def test_what_contradicts_it_is_refused(options: dict[str, Any], field: str) -> None:
    fake = Fake()
    with pytest.raises(trivet.RequestError) as caught:
        trivet.chat("?", model=fake, into=int, **options)
    assert (caught.value.field, fake.requests) == (field, [])


# --- a model that does not hold the schema -----------------------------------------------------------------


def holds(*outputs: object) -> Fake:
    """A model that refuses, before its first event, any output but these, and answers 3."""

    def script(request: trivet.Request) -> str | Exception:
        output = request.output  # type: ignore[attr-defined]
        kind = "schema" if output and output.schema else "json" if output else None
        return '{"value": 3}' if kind in outputs else trivet.UnsupportedError("no such output")

    return Fake(script)


def test_it_is_asked_for_json_and_told_the_schema() -> None:
    fake = holds("json", None)
    answer = trivet.chat([trivet.system("S"), trivet.user("How many?")], model=fake, into=int)
    assert answer.value == 3
    assert answer.notes == ("the model does not hold int's schema: it was told it, and the answer was checked",)
    system, question = fake.requests[-1].messages  # type: ignore[attr-defined]
    assert fake.requests[-1].output == trivet.Output()  # type: ignore[attr-defined]
    assert system == trivet.system("S")
    assert question.content[0] == trivet.Text(text="How many?")
    told, _, schema = question.content[1].text.partition("\n")
    assert told.startswith("Answer with one JSON object and nothing else.")
    assert json.loads(schema) == Shape(int).schema


def test_it_is_only_told_where_it_has_no_json_mode() -> None:
    fake = holds(None)
    assert trivet.chat("?", model=fake, into=int).value == 3
    assert [r.output is None for r in fake.requests] == [False, False, True]  # type: ignore[attr-defined]


@pytest.mark.parametrize("field", ["response_format", "text.format.schema", "generation_config.response_json_schema"])
def test_a_provider_that_refuses_the_field_itself_is_told_too(field: str) -> None:
    fake = Fake([trivet.RequestError("this model has no such thing", field=field), '{"value": 3}'])
    answer = trivet.chat("?", model=fake, into=int)
    assert answer.value == 3
    assert answer.notes[0].startswith("the model does not hold")


def test_another_refusal_is_told_to_the_user() -> None:
    with pytest.raises(trivet.RequestError, match="no such tool"):
        trivet.chat("?", model=Fake([trivet.RequestError("no such tool", field="tools")]), into=int)


async def test_a_host_that_has_json_mode_alone_is_asked_for_that() -> None:
    """DeepSeek, by its row in the table of hosts; the answer has the shape of OpenAI's published reference."""
    message = {"role": "assistant", "content": '{"value": 3}'}
    body = {"id": "c", "model": "deepseek-chat", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    async with upstream(Reply(body=[json.dumps(body).encode()])) as host:
        provider = Compatible(ProviderSettings(kind="deepseek", base_url=host.url, api_key="k"), name="deepseek")
        try:
            request = trivet.Chat(messages=(trivet.user("How many?"),))
            answer = await into.ask(provider.model("deepseek-chat").call, request, int)
        finally:
            await provider.close()
    assert (answer.value, len(host.asked)) == (3, 1)
    assert host.asked[0].json["response_format"] == {"type": "json_object"}
    assert "JSON Schema" in json.dumps(host.asked[0].json["messages"])


def test_what_it_cannot_do_at_all_is_its_own_error() -> None:
    with pytest.raises(trivet.UnsupportedError, match="no such output"):
        trivet.chat("?", model=holds(), into=int)


# --- repair ------------------------------------------------------------------------------------------------


def test_an_answer_that_does_not_fit_is_sent_back_once_with_what_is_wrong() -> None:
    fake = Fake(['{"value": "three"}', '{"value": 3}'])
    answer = trivet.chat("How many?", model=fake, into=int)
    assert answer.value == 3
    first, second = fake.requests
    assert second.messages == (  # type: ignore[attr-defined]
        trivet.user("How many?"),
        trivet.assistant('{"value": "three"}'),
        trivet.user(
            "That answer does not fit: Expected `int`, got `str` - at `$.value`. "
            "Answer again, with the whole JSON object, corrected, and nothing else."
        ),
    )
    assert second.output == first.output  # type: ignore[attr-defined]
    (note,) = answer.notes
    assert note.startswith("the first answer did not fit int (Expected `int`, got `str`")


def test_usage_is_that_of_both_rounds() -> None:
    once = trivet.chat("?", model=Fake('{"value": 3}'), into=int).usage
    assert trivet.chat("?", model=Fake(["three", '{"value": 3}']), into=int).usage == trivet.Usage(
        uncached_input_tokens=6, cache_read_tokens=0, cache_write_tokens=0, output_tokens=3
    )
    assert once.uncached_input_tokens == 3


def test_cost_is_that_of_both_rounds() -> None:
    once = Cost(usd=decimal.Decimal("0.1"), source="here")

    class Costs(Wrapper):
        async def stream(self, request: Any) -> Any:
            async for event in self.inner.stream(request):
                yield replace(event, response=replace(event.response, cost=once)) if isinstance(event, Done) else event

    answer = trivet.chat("?", model=Costs(Fake(["three", '{"value": 3}'])), into=int)
    assert answer.cost == Cost(usd=decimal.Decimal("0.2"), source="here")


@pytest.mark.parametrize(
    ("kind", "wrong", "right", "told"),
    [
        (Book, '{"title": "Faust", "year": -1}', '{"title": "Faust", "year": 1808}', "year: Input should be greater"),
        (Range, '{"low": 2, "high": 1}', '{"low": 1, "high": 2}', "low is 2, above high"),
        (int, "Three.", '{"value": 3}', "JSON is malformed"),
        (set, '{"value": [[1]]}', '{"value": [1]}', "unhashable"),
    ],
)
def test_rules_of_the_type_that_no_schema_holds_are_told(kind: Any, wrong: str, right: str, told: str) -> None:
    fake = Fake([wrong, right])
    trivet.chat("?", model=fake, into=kind)
    assert told in fake.requests[1].messages[-1].text  # type: ignore[attr-defined]


def test_an_empty_answer_is_not_sent_back() -> None:
    fake = Fake(["", '{"value": 3}'])
    assert trivet.chat("?", model=fake, into=int).value == 3
    assert [m.role for m in fake.requests[1].messages] == ["user", "user"]  # type: ignore[attr-defined]


def test_a_second_answer_that_does_not_fit_is_an_error_with_its_text() -> None:
    fake = Fake(['{"value": "three"}', '{"value": "drei"}'])
    with pytest.raises(trivet.ProviderError) as caught:
        trivet.chat("?", model=fake, into=int)
    assert str(caught.value) == (
        "fake: the answer is no int: it was asked twice, and the last time: Expected `int`, got `str` - at `$.value`. "
        """It said '{"value": "drei"}'"""
    )
    assert caught.value.body == b'{"value": "drei"}'
    assert len(fake.requests) == 2


def ends(reason: Any, *parts: Any) -> trivet.ChatResponse:
    choice = trivet.Choice(message=trivet.assistant(*parts), finish_reason=reason)
    return trivet.ChatResponse(model="fake", choices=(choice,))


@pytest.mark.parametrize(
    ("response", "told"),
    [
        (ends("length", '{"value": '), "its tokens ran out before it was whole: raise max_tokens"),
        (ends("refusal", "I cannot."), "the model refused to answer. It said 'I cannot.'"),
        (ends("tool_calls", trivet.ToolCall(id="1", name="clock")), "the model calls tools"),
    ],
)
def test_an_answer_that_is_cut_refused_or_a_call_is_an_error_at_once(response: Any, told: str) -> None:
    fake = Fake([response])
    with pytest.raises(trivet.ProviderError, match=told):
        trivet.chat("?", model=fake, into=int)
    assert len(fake.requests) == 1


def test_a_cut_answer_that_is_whole_all_the_same_is_taken() -> None:
    assert trivet.chat("?", model=Fake([ends("length", '{"value": 3}')]), into=int).value == 3


# --- the embedded model ------------------------------------------------------------------------------------


def question(text: str, max_tokens: int) -> trivet.Chat:
    return trivet.Chat(messages=(trivet.user(text),), sampling=trivet.Sampling(temperature=0, max_tokens=max_tokens))


class Meeting(msgspec.Struct):
    day: datetime.date
    size: Literal["small", "large"]
    online: bool | None = None


@pytest.mark.parametrize("kind", [Meeting, bool, Literal["red", "blue"], set[Literal[1, 2]] | None])
async def test_the_embedded_model_holds_the_schema(llama: Llama, kind: Any) -> None:
    answer = await into.ask(llama.call, question("Make one up.", 100), kind)
    assert answer.notes == ()
    assert msgspec.convert(msgspec.to_builtins(answer.value), kind) == answer.value


async def test_an_answer_of_the_embedded_model_that_is_cut_says_so(llama: Llama) -> None:
    with pytest.raises(trivet.ProviderError, match="its tokens ran out"):
        await into.ask(llama.call, question("Count.", 5), tuple[int, int, int, int, int, int])


async def test_the_embedded_model_is_told_a_schema_that_its_grammar_does_not_hold(llama: Llama) -> None:
    class Odd(pydantic.BaseModel):
        model_config = {"json_schema_extra": {"not": {"required": ["b"]}}}
        colour: Literal["red"]

    asked: list[trivet.Request] = []

    async def call(request: trivet.Request) -> trivet.Response:
        asked.append(request)
        return await llama.call(request)

    with contextlib.suppress(trivet.ProviderError):  # so small a model need not find the answer
        await into.ask(call, question('Answer with {"colour": "red"}', 40), Odd)
    refused, taken = asked[:2]
    assert refused.output.strict is None  # type: ignore[attr-defined]
    assert taken.output == trivet.Output()  # type: ignore[attr-defined]


# --- for type checkers -------------------------------------------------------------------------------------


def test_mypy_knows_the_values_type(tmp_path: Path) -> None:
    code = tmp_path / "typed_use.py"
    code.write_text(
        """
import dataclasses, trivet
from typing import Literal, assert_type
@dataclasses.dataclass
class Line:
    what: str
assert_type(trivet.chat("?").text, str)
assert_type(trivet.chat("?"), trivet.ChatResponse)
assert_type(trivet.chat("?", into=Line).value, Line)
assert_type(trivet.chat("?", into=list[int], temperature=0).value, list[int])
trivet.chat("?", into=Literal["a"]).value
trivet.chat("?", tools=[len], attach="a.png", reasoning="low", user="u").text
"""
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(code)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
