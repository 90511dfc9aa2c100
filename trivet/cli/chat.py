"""`trivet chat`: one question, or a conversation."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from trivet.cli import media, stdin, takes_config

SAMPLING = ("temperature", "top_p", "top_k", "max_tokens", "seed", "stop")


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "chat",
        help="ask a model",
        description="Ask a model. What is piped into standard input is added to the question. Without either, "
        "on a terminal, a conversation: /exit or Ctrl-D ends it, Ctrl-C stops an answer.",
    )
    parser.add_argument("question", nargs="*", help="the question; quotes may be left out")
    parser.add_argument("-m", "--model", metavar="NAME", help="a model's name, or a path to a GGUF file")
    parser.add_argument("--system", metavar="TEXT", help="a system prompt")
    parser.add_argument(
        "-a",
        "--attach",
        action="append",
        metavar="FILE",
        help="an image, audio, a PDF or a text to ask about: a path or a URL; may be given again",
    )
    parser.add_argument("--schema", metavar="FILE", help="a JSON Schema that the answer must have")
    parser.add_argument("--json", action="store_true", help="print the whole response as JSON")
    parser.add_argument("--temperature", type=float, metavar="X", help="0 takes the likeliest token every time")
    parser.add_argument("--top-p", type=float, metavar="X", help="draw from the likeliest tokens, of this share")
    parser.add_argument("--top-k", type=int, metavar="N", help="draw from this many of the likeliest tokens")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="the longest answer, in tokens")
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same answer")
    parser.add_argument("--stop", action="append", metavar="TEXT", help="end the answer here; may be given again")
    takes_config(parser)
    parser.set_defaults(run=run, usage=parser.error)


def run(args: argparse.Namespace) -> int:
    options = {name: getattr(args, name) for name in SAMPLING if getattr(args, name) is not None}
    options |= {"model": args.model, "system": args.system, "config": args.config}
    question = " ".join(args.question)
    if not question and stdin.is_terminal():
        for name in ("json", "attach", "schema"):
            if getattr(args, name):
                args.usage(f"--{name} needs a question, as an argument or on standard input")
        return _conversation(options)
    question = "\n\n".join(part for part in (question, stdin.text()) if part)
    if not question:
        args.usage("there is no question: give one as an argument or on standard input")
    if args.attach:
        options["attach"] = args.attach
    if args.schema:
        options["output"] = _schema(args.schema)
    if args.json:
        return _print_json(question, options)
    _answer(question, options)
    return 0


def _schema(path: str) -> dict[str, Any]:
    import json

    from trivet.errors import RequestError

    try:
        with open(path, "rb") as file:
            schema = json.load(file)
    except ValueError as error:  # no JSON, or no UTF-8
        raise RequestError(f"{path} is no JSON: {error}", field="schema") from None
    if not isinstance(schema, dict):
        raise RequestError(f"{path} is no JSON Schema: that is an object", field="schema")
    return schema


def _print_json(question: str, options: dict[str, Any]) -> int:
    from trivet.api import chat

    media.as_json(chat(question, **options))
    return 0


def _answer(messages: Any, options: dict[str, Any], pieces: list[str] | None = None) -> None:
    """Prints the answer as it comes, and adds its pieces to `pieces`. Says so where it is not whole."""
    from trivet.api import stream

    said = [] if pieces is None else pieces
    with stream(messages, **options) as answer:
        try:
            for piece in answer:
                said.append(piece)
                print(piece, end="", flush=True)
        finally:
            if said and not said[-1].endswith("\n"):
                print(flush=True)
    choice = answer.response.choices[0]
    if choice.finish_reason == "length":
        print("trivet: the answer was cut: its tokens ran out (--max-tokens, or the context).", file=sys.stderr)
    elif choice.finish_reason == "refusal":
        print("trivet: the model refused to answer.", file=sys.stderr)


def _conversation(options: dict[str, Any]) -> int:
    import trivet
    from trivet.api import about
    from trivet.cli import line

    _line_editing()
    model = about(options["model"], config=options["config"])
    print(f"{model.name}: /exit or Ctrl-D ends, Ctrl-C stops an answer.", file=sys.stderr)
    turns: list[trivet.Message] = []
    while (question := _ask()) is not None:
        if not question.strip():
            continue
        said: list[str] = []
        try:
            _answer([*turns, trivet.user(question)], options, said)
        except KeyboardInterrupt:
            print("(stopped)", file=sys.stderr)
        except trivet.TrivetError as error:
            print(f"trivet: {line(error)}", file=sys.stderr)
        if said:  # a turn without an answer is forgotten, so that the next question can be asked
            turns += [trivet.user(question), trivet.assistant("".join(said))]
    return 0


def _ask() -> str | None:
    """The next question, None at the end."""
    try:
        question = input("> ")
    except EOFError:
        print()
        return None
    return None if question.strip() == "/exit" else question


def _line_editing() -> None:
    """Arrow keys and the history of this conversation, where Python has readline."""
    import contextlib

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401
