"""`trivet read`: the text in a picture."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from trivet.cli import examples, media


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "read",
        help="read the text in a picture (OCR)",
        description="Read the text in a picture, line by line from the top. --json has each line's place and score.",
        epilog=examples(
            "trivet read page.png",
            "trivet read page.png --json | jq .lines[0].box",
        ),
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="an image; - or none: standard input")
    media.takes_model(parser, run)


def run(args: argparse.Namespace) -> int:
    from trivet.api_media import read

    response = read(media.file(args, "image"), model=args.model, config=args.config)
    media.notes(response)
    if args.json:
        media.as_json(response)
    elif response.lines:
        print(response.text)
    else:
        print("trivet: there is no text in the image that the model can read.", file=sys.stderr)
    return 0
