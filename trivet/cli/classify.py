"""`trivet classify`: what is in a picture."""

from __future__ import annotations

import argparse
from typing import Any

from trivet.cli import examples, media


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "classify",
        help="say what is in a picture",
        description="Say what is in a picture: one line for each label, the most likely first, with its probability.",
        epilog=examples(
            "trivet classify photo.jpg --top 3",
            "cat photo.jpg | trivet classify -",
            "trivet classify photo.jpg --labels cat,dog --model ./clip-vit-base-patch32",
        ),
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="an image; - or none: standard input")
    parser.add_argument(
        "--labels", metavar="A,B,…", help="choose among these, which takes a model that knows words and images"
    )
    parser.add_argument(
        "--template", metavar="TEXT", help="what such a model is asked about a label, which goes where it has {}"
    )
    parser.add_argument("--top", type=media.count, default=5, metavar="N", help="print this many (default: 5)")
    media.takes_model(parser, run)


def run(args: argparse.Namespace) -> int:
    from trivet.api_media import classify

    labels = None if args.labels is None else [label.strip() for label in args.labels.split(",") if label.strip()]
    if labels == []:
        args.usage("--labels has no label: write them as --labels cat,dog")
    image = media.file(args, "image")
    response = classify(image, labels, top=args.top, template=args.template, model=args.model, config=args.config)
    media.notes(response)
    if args.json:
        media.as_json(response)
        return 0
    for label in response.labels:
        print(f"{label.score:.4f}\t{label.label}")
    return 0
