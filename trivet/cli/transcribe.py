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
    from trivet.calls import bar

    if args.json and (args.srt or args.vtt):
        args.usage("--json, --srt and --vtt are three forms: choose one")
    options = {"language": args.language, "prompt": args.prompt, "words": args.words}
    sound = media.file(args, "recording")
    plain = not (args.json or args.srt or args.vtt)
    # Where the segments are not seen as they come, which can take long: a second is a step.
    watched = sys.stderr.isatty() and not (plain and sys.stdout.isatty())
    seconds, heard = (_seconds(sound), 0) if watched else (0, 0)
    with (
        bar(seconds, seconds > 0) as advance,
        transcribe(sound, stream=True, model=args.model, config=args.config, **options) as segments,
    ):
        for segment in segments:
            if plain:
                print(segment.text.strip(), flush=True)
            for _ in range(heard, min(seconds, round(segment.end_s))):
                advance()
            heard = max(heard, round(segment.end_s))
        for _ in range(heard, seconds):  # nothing is said in the rest
            advance()
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


def _seconds(sound: Any) -> int:
    """How long a recording is; 0 where only the model can tell."""
    from trivet import inputs
    from trivet.errors import TrivetError
    from trivet.local.speech.sound import Sound

    try:
        return round(Sound(inputs.sound(sound)).duration_s)
    except TrivetError:
        return 0
