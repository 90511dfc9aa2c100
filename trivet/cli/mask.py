"""`trivet mask`: the amino acids that a protein may have at its masked places."""

from __future__ import annotations

import argparse
from typing import Any

from trivet.cli import examples, media, stdin


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "mask",
        help="fill in the amino acids that a protein lacks",
        description="Fill in the amino acids of a protein that are masked, written _: prints the sequence, then a line "
        "for each place, counted from 1, with what may stand there, the most likely first.",
        epilog=examples(
            "trivet mask EVQLVESGGG_VQPGGSLRLSCAAS",
            "trivet mask antibody.fasta --json",
        ),
    )
    parser.add_argument(
        "sequence", metavar="SEQUENCE", nargs="?", help="letters of amino acids with _, or a FASTA file"
    )
    parser.add_argument("--top", type=media.count, default=3, metavar="N", help="this many for each place (default: 3)")
    media.takes_model(parser, run)


def run(args: argparse.Namespace) -> int:
    from trivet.api_media import mask

    sequence = stdin.text().strip() if args.sequence in (None, "-") else args.sequence
    if not sequence:
        args.usage("there is no sequence: give one as an argument or on standard input")
    response = mask(sequence, top=args.top, model=args.model, config=args.config)
    media.notes(response)
    if args.json:
        media.as_json(response)
        return 0
    print(response.sequence)
    for place in response.places:
        print(f"{place.position + 1}", *(f"{r.letter} {r.probability:.1%}" for r in place.residues), sep="\t")
    return 0
