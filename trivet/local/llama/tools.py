"""Tool calls of an embedded model.

`auto`: the model decides, which it can only where its chat template shows tools; the engine then reads the calls out of
its text. `required` and `named`: the engine itself would let plain text through, so the answer is held by a grammar
to one call, as the JSON object `{"name": …, "arguments": …}`. A template without tools is then shown them in
a system message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from trivet.errors import RequestError, UnsupportedError
from trivet.local.llama.schema import check_bounds, grammar, moved
from trivet.types import Conversation, Tool, ToolCall, ToolResult

Json = dict[str, Any]


def tool_fields(request: Conversation, model: str, caps: Mapping[str, bool]) -> Json:
    """The engine's fields for the request's tools; `grammar` among them where a call is forced."""
    choice = request.tool_choice
    mode = choice.mode if choice is not None else "auto"
    if not request.tools:
        if mode in ("required", "named"):
            raise RequestError("tool_choice asks for a tool call, and there are no tools: add some", field="tools")
        return {}
    _check(request.tools, model)
    if mode == "none":
        return {}
    if mode == "auto":
        if choice is not None and choice.names:
            raise UnsupportedError(
                f"{model} is held to some of its tools only where it must call one: require a call, or send only those",
                field="tool_choice.names",
            )
        if not caps.get("supports_tools"):
            raise UnsupportedError(
                f"{model} cannot choose among tools by itself, its chat template has no place for them: "
                "require a call (tool_choice) or name another model",
                field="tools",
            )
        if request.output is not None:
            raise UnsupportedError(f"{model} cannot hold a schema and choose among tools at once", field="tools")
        parallel = choice is None or choice.parallel is not False
        return {"tools": [_shown(t) for t in request.tools], "parallel_tool_calls": parallel}
    if request.output is not None:
        raise RequestError(
            "a forced tool call leaves no room for structured output: ask for one of them", field="output"
        )
    return {"grammar": _one_call(request, model), **shown_to(request.tools, caps)}


def shown_to(tools: Sequence[Tool], caps: Mapping[str, bool]) -> Json:
    """Tools for the template alone, so that the engine does not look for calls in the text itself."""
    if not caps.get("supports_tools"):
        return {}
    return {"chat_template_kwargs": {"tools": [_shown(t) for t in tools]}}


def described(request: Conversation) -> str:
    """The tools in words, for a template that does not show them, where a call is forced."""
    lines = [json.dumps(_shown(t)["function"], ensure_ascii=False) for t in _allowed(request)]
    return (
        "You can call these functions:\n" + "\n".join(lines) + "\n"
        'Call one by answering with a JSON object alone: {"name": the name, "arguments": the arguments}'
    )


def call_as_text(call: ToolCall) -> str:
    """An earlier call, in the form that the grammar holds, for a template that knows no calls."""
    return json.dumps({"name": call.name}, ensure_ascii=False)[:-1] + f', "arguments": {call.arguments}}}'


def result_as_text(result: ToolResult, name: str, text: str) -> str:
    return f"{'Error' if result.is_error else 'Result'} of {name}: {text}"


def _check(tools: Sequence[Tool], model: str) -> None:
    seen: set[str] = set()
    for i, tool in enumerate(tools):
        if tool.name in seen:
            raise RequestError(f"tools[{i}].name: there are two tools named {tool.name!r}", field=f"tools[{i}].name")
        if tool.extra:
            unknown = ", ".join(sorted(tool.extra))
            raise UnsupportedError(f"{model} does not know tools[{i}]: {unknown}", field=f"tools[{i}].{unknown}")
        check_bounds(tool.parameters, f"tools[{i}].parameters")
        seen.add(tool.name)


def _allowed(request: Conversation) -> Sequence[Tool]:
    """The tools that a forced call may name."""
    choice = request.tool_choice
    wanted = () if choice is None else choice.names if choice.name is None else (choice.name,)
    if not wanted:
        return request.tools
    names = [t.name for t in request.tools]
    for name in wanted:
        if name not in names:
            raise RequestError(f"tool_choice names {name!r}, and the tools are {', '.join(names)}", field="tool_choice")
    return [t for t in request.tools if t.name in wanted]


def _shown(tool: Tool) -> Json:
    function: Json = {"name": tool.name, "parameters": dict(tool.parameters)}
    if tool.description is not None:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _one_call(request: Conversation, model: str) -> str:
    """The grammar of a call of one of the tools. References inside a tool's schema count from that schema."""
    calls, parameters = [], {}
    for tool in _allowed(request):
        i = request.tools.index(tool)
        grammar(tool.parameters, f"tools[{i}].parameters", model)  # by itself, for an error that names the tool
        parameters[f"tool{i}"] = moved(tool.parameters, f"$defs/tool{i}")
        calls.append(
            {
                "type": "object",
                "properties": {"name": {"const": tool.name}, "arguments": {"$ref": f"#/$defs/tool{i}"}},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    return grammar({"anyOf": calls, "$defs": parameters}, "tools", model)


class CallReader:
    """Takes the text of a call that the grammar holds as it grows, and gives back name and arguments.

    The closing brace of the whole object may be any of the braces at the end of what is there so far, so these
    wait for what follows.
    """

    _HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*')

    def __init__(self) -> None:
        self.name: str | None = None
        self._text = ""

    def add(self, text: str) -> str:
        """More text; what is certain to belong to the arguments comes back."""
        self._text += text
        if self.name is None:
            head = self._HEAD.match(self._text)
            if head is None or head.end() == len(self._text):  # white space may still follow
                return ""
            self.name = json.loads(head[1])
            self._text = self._text[head.end() :]
        sure = self._text.rstrip("} \t\r\n")
        self._text = self._text[len(sure) :]
        return sure

    def end(self, *, whole: bool) -> str:
        """What was held back, without the closing brace where the object is `whole`."""
        held_back = self._text
        if whole:
            held_back = held_back.rstrip().removesuffix("}").rstrip()
        return held_back if self.name is not None else ""
