"""`trivet rerank`: which texts answer a query, the best first."""

from __future__ import annotations

import argparse
from typing import Any

from trivet.cli import examples, media, stdin


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "rerank",
        help="sort texts by how well they answer a query",
        description="Sort texts by how well they answer a query: one line for each, the best first, with its score, "
        "which is the model's own. Without texts, each line of standard input that is not blank is one.",
        epilog=examples(
            'trivet rerank "How do I bake bread?" "Knead flour and water." "Rates rose."',
            'trivet rerank "out of memory" --top 3 < errors.log',
        ),
    )
    parser.add_argument("query", metavar="QUERY", help="what is looked for; quote it if it has spaces")
    parser.add_argument("docs", metavar="TEXT", nargs="*", help="a text; quote it if it has spaces")
    parser.add_argument("--top", type=media.count, metavar="N", help="print this many")
    media.takes_model(parser, run)


def run(args: argparse.Namespace) -> int:
    from trivet.api_media import rerank
    from trivet.cli.table import plain

    docs = args.docs or [line for line in stdin.text().split("\n") if line.strip()]
    if not docs:
        args.usage("there is no text to sort: give some as arguments, or as lines of standard input")
    response = rerank(args.query, docs, top=args.top, model=args.model, config=args.config)
    media.notes(response)
    if args.json:
        media.as_json(response)
        return 0
    for ranked in response.results:
        print(f"{ranked.score:.4f}\t{plain(docs[ranked.index])}")
    return 0
