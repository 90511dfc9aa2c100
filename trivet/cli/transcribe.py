"""`trivet transcribe`: what is said in a recording, as text or as subtitles."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from trivet.cli import examples, media


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "transcribe",
        help="write down what is said in a recording",
        description="Write down what is said in a recording: WAV, FLAC, OGG or MP3. A line for each segment, as they "
        "come.",
        epilog=examples(
            "trivet transcribe talk.wav",
            "trivet transcribe talk.mp3 --srt > talk.srt",
            'trivet speak "Hello." | trivet transcribe -',
        ),
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="a recording; - or none: standard input")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--srt", action="store_true", help="print subtitles, as SubRip has them")
    form.add_argument("--vtt", action="store_true", help="print subtitles, as WebVTT has them")
    parser.add_argument("--language", metavar="CODE", help="what is spoken, as en or de (default: find out)")
    parser.add_argument("--prompt", metavar="TEXT", help="text that goes before: for names and spelling")
    parser.add_argument("--words", action="store_true", help="with --json: when each word is said")
    media.takes_model(parser, run)


def run(args: argparse.Namespace) -> int:
    from trivet.api_media import transcribe

    if args.json and (args.srt or args.vtt):
        args.usage("--json, --srt and --vtt are three forms: choose one")
    options = {"language": args.language, "prompt": args.prompt, "words": args.words}
    sound = media.file(args, "recording")
    plain = not (args.json or args.srt or args.vtt)
    with transcribe(sound, stream=True, model=args.model, config=args.config, **options) as segments:
        for segment in segments:
            if plain:
                print(segment.text.strip(), flush=True)
            elif sys.stderr.isatty():  # what is printed at the end can take long
                print(f"\r{segment.end_s:.0f} s …", end="", file=sys.stderr, flush=True)
    if not plain and sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    response = segments.response
    media.notes(response)
    if args.json:
        media.as_json(response)
    elif args.srt or args.vtt:
        from trivet.wire.openai_audio import subtitles

        print((subtitles.srt if args.srt else subtitles.vtt)(response.segments), end="")
    elif not response.text.strip():
        print("trivet: nothing is said that the model can make out.", file=sys.stderr)
    return 0
