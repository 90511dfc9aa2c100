"""`trivet complete`: a text gone on with, or filled in."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from trivet.cli import examples, media, stdin

SAMPLING = ("temperature", "top_p", "top_k", "max_tokens", "seed", "stop")


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "complete",
        help="go on from a text, or fill in between two",
        description="Go on from a text, without a chat's template: prints what comes next. With --suffix, what comes "
        "between the two. Without a text, what is piped into standard input, as it is.",
        epilog=examples(
            'trivet complete "def fibonacci(n):" --max-tokens 60 --temperature 0',
            'trivet complete "def area(r):" --suffix "    return a" -m ./coder.gguf',
        ),
    )
    parser.add_argument("prompt", metavar="TEXT", nargs="?", help="the text; quote it if it has spaces")
    parser.add_argument("--suffix", metavar="TEXT", help="what comes after what is filled in, where the model can")
    parser.add_argument("--temperature", type=float, metavar="X", help="0 takes the likeliest token every time")
    parser.add_argument("--top-p", type=float, metavar="X", help="draw from the likeliest tokens, of this share")
    parser.add_argument("--top-k", type=media.count, metavar="N", help="draw from this many of the likeliest tokens")
    parser.add_argument(
        "--max-tokens", type=media.count, default=128, metavar="N", help="at most this many (default: 128)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same answer")
    parser.add_argument("--stop", action="append", metavar="TEXT", help="end here; may be given again")
    media.takes_model(parser, run)


def run(args: argparse.Namespace) -> int:
    from trivet.api import complete

    prompt = args.prompt if args.prompt is not None else stdin.whole()
    if not prompt:
        args.usage("there is no text: give one as an argument or on standard input")
    options: dict[str, Any] = {n: getattr(args, n) for n in SAMPLING if getattr(args, n) is not None}
    response = complete(prompt, suffix=args.suffix, model=args.model, config=args.config, **options)
    media.notes(response)
    if args.json:
        media.as_json(response)
        return 0
    print(response.text)
    if response.finish_reason == "length":
        print(f"trivet: cut after {args.max_tokens} tokens (--max-tokens).", file=sys.stderr)
    return 0
