"""Deltas put together again."""

from __future__ import annotations

from trivet.collect import Collector
from trivet.types import (
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageUpdate,
)


def test_parts_grow_side_by_side_and_come_out_in_order() -> None:
    collector = Collector()
    for event in [
        ThinkingDelta(text="h", part=0),
        ThinkingDelta(text="m", signature="s", part=0),
        ToolCallDelta(id="1", name="f", arguments='{"a"', part=2),
        ToolCallDelta(id="2", name="g", part=3),
        TextDelta(text="Hi", part=1),
        ToolCallDelta(arguments=":1}", part=2),
        UsageUpdate(usage=Usage()),
    ]:
        collector.add(event)
    assert collector.content() == (
        Thinking(text="hm", signature="s"),
        Text(text="Hi"),
        ToolCall(id="1", name="f", arguments='{"a":1}'),
        ToolCall(id="2", name="g", arguments="{}"),
    )
    assert collector.text() == "Hi"


def test_choices_do_not_mix_and_one_without_content_is_there() -> None:
    collector = Collector()
    collector.add(TextDelta(text="b", choice=1))
    collector.add(TextDelta(text="a", choice=0, logprobs=(TokenLogprob(token="a", logprob=-1.0),)))
    choices = collector.choices({2: "length", 0: "stop", 1: "stop"}, {1: "END"})
    assert [c.message.text for c in choices] == ["a", "b", ""]
    assert [c.finish_reason for c in choices] == ["stop", "stop", "length"]
    assert [c.stop_sequence for c in choices] == [None, "END", None]
    assert [c.logprobs is None for c in choices] == [False, True, True]
    assert [c.text for c in collector.text_choices({0: "stop", 1: "stop"}, {})] == ["a", "b"]


def test_arguments_that_were_cut_short_stay_as_they_are() -> None:
    collector = Collector()
    collector.add(ToolCallDelta(id="1", name="f", arguments='{"a": "x'))
    (call,) = collector.content()
    assert call == ToolCall(id="1", name="f", arguments='{"a": "x')
