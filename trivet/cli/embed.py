"""`trivet embed`: texts, images or proteins in, vectors out, a line of JSON for each."""

from __future__ import annotations

import argparse
from typing import Any

from trivet.cli import examples, media, stdin


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "embed",
        help="turn texts, images or proteins into vectors",
        description="Turn texts into vectors, one line of JSON for each: its text and its vector. Without texts, "
        "each line of standard input that is not blank is one.",
        epilog=examples(
            'trivet embed "A cat sleeps."',
            "trivet embed < lines.txt | jq -c .vector",
            "trivet embed --proteins antibodies.fasta > vectors.jsonl",
        ),
    )
    parser.add_argument("inputs", metavar="TEXT", nargs="*", help="a text; quote it if it has spaces")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--images", action="store_true", help="the arguments, or lines, are paths of images")
    kinds.add_argument("--proteins", action="store_true", help="… are amino acids, FASTA files, or FASTA itself")
    parser.add_argument("--dimensions", type=int, metavar="N", help="shorter vectors than the model's own")
    parser.add_argument(
        "--truncate", action="store_true", default=None, help="leave out what a text has beyond the model's length"
    )
    media.takes_model(parser, run)


def run(args: argparse.Namespace) -> int:
    import json

    from trivet.api_media import embed
    from trivet.inputs import records

    given = _piped(args.proteins) if args.inputs in ([], ["-"]) else args.inputs
    if not given:
        what = "image" if args.images else "protein" if args.proteins else "text"
        args.usage(f"there is no {what}: give some as arguments, or as lines of standard input")
    options = {"model": args.model, "dimensions": args.dimensions, "truncate": args.truncate, "config": args.config}
    if args.images:
        told = [{"image": path} for path in given]
        response = embed(images=given, **options)
    elif args.proteins:
        named = records(given)
        told = [{"protein": name or letters} for name, letters in named]
        response = embed(proteins=[letters for _, letters in named], **options)
    else:
        told = [{"text": text} for text in given]
        response = embed(given, **options)
    media.notes(response)
    if args.json:
        media.as_json(response)
        return 0
    for head, vector in zip(told, response.vectors, strict=True):
        print(json.dumps({**head, "vector": vector}, ensure_ascii=False))
    return 0


def _piped(proteins: bool) -> list[str]:
    text = stdin.text()
    if proteins and text.lstrip().startswith(">"):
        return [text]
    return [line for line in text.split("\n") if line.strip()]
