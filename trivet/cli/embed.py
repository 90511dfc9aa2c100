"""`trivet embed`: texts in, vectors out, a line of JSON for each."""

from __future__ import annotations

import argparse
from typing import Any

from trivet.cli import stdin, takes_config


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "embed",
        help="turn texts into vectors",
        description="Turn texts into vectors, one line of JSON for each: its text and its vector. Without texts, "
        "each line of standard input is one.",
    )
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="a text; quote it if it has spaces")
    parser.add_argument("-m", "--model", metavar="NAME", help="a model's name, or a path to a GGUF file")
    parser.add_argument("--dimensions", type=int, metavar="N", help="shorter vectors than the model's own")
    takes_config(parser)
    parser.set_defaults(run=run, usage=parser.error)


def run(args: argparse.Namespace) -> int:
    import json

    from trivet.api_media import embed

    texts = args.texts or [line for line in stdin.text().split("\n") if line.strip()]
    if not texts:
        args.usage("there is no text: give some as arguments, or as lines of standard input")
    response = embed(texts, model=args.model, dimensions=args.dimensions, config=args.config)
    for text, vector in zip(texts, response.vectors, strict=True):
        print(json.dumps({"text": text, "vector": vector}, ensure_ascii=False))
    return 0
