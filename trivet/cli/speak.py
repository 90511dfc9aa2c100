"""`trivet speak`: a text said aloud, into a file or a pipe."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from typing import Any

from trivet.cli import examples, media, stdin

FORMATS = ("wav", "pcm", "flac", "mp3", "opus", "aac")


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "speak",
        help="say a text aloud, into a file",
        description="Say a text aloud, into a file, or into a pipe as it is made. Without a text, what is piped into "
        "standard input.",
        epilog=examples(
            'trivet speak "The train leaves at 9." -o train.wav',
            "trivet speak < letter.txt > letter.wav",
        ),
    )
    parser.add_argument("text", nargs="*", help="the text; quotes may be left out")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="where to write the sound; its end says the format; -: standard output"
    )
    parser.add_argument("--format", choices=FORMATS, help="the sound's format (default: by the file's end, else wav)")
    parser.add_argument("--voice", metavar="NAME", help="one of the model's voices")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="2 is twice as fast")
    media.takes_model(parser, run)


def run(args: argparse.Namespace) -> int:
    from trivet.api_media import speak

    text = " ".join(args.text) or stdin.text()
    if not text.strip():
        args.usage("there is no text: give one as an argument or on standard input")
    if args.output == "-":
        args.output = None
    if args.output is None and not args.json and sys.stdout.isatty():
        args.usage("sound is not for a terminal: write it to a file with -o hello.wav, or pipe it into a player")
    options = {"voice": args.voice, "speed": args.speed, "format": _format(args)}
    if args.output is not None:
        media.writable(args.output)
    if args.output is None and not args.json and _is_pipe():
        return _into_pipe(text, args, options)
    response = speak(text, model=args.model, config=args.config, **options)
    media.notes(response)
    if args.output is not None:
        response.save(args.output)
    if args.json:
        media.as_json(response, without=["audio"] if args.output is not None else [])
    elif args.output is None:
        sys.stdout.buffer.write(response.audio)
        sys.stdout.buffer.flush()
    else:
        length = "" if response.duration_s is None else f"{response.duration_s:.1f} s, "
        print(f"{args.output}: {length}{response.media_type}, {response.model}", file=sys.stderr)
    return 0


def _is_pipe() -> bool:
    """Whether somebody may listen already. A file gets its sound whole: only then can a WAV say how long it is."""
    try:
        return stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _into_pipe(text: str, args: argparse.Namespace, options: dict[str, Any]) -> int:
    """The sound as it is made."""
    from trivet.api_media import speak

    with speak(text, stream=True, model=args.model, config=args.config, **options) as sound:
        for piece in sound:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    media.notes(sound.response)
    return 0


def _format(args: argparse.Namespace) -> str:
    """What --format says, else the end of the file's name."""
    end = os.path.splitext(args.output or "")[1].lower().removeprefix(".")
    named = {"ogg": "opus", "oga": "opus"}.get(end, end)
    if args.format is not None:
        if named in FORMATS and named != args.format:
            args.usage(f"--format is {args.format}, and {args.output} ends as {named}: leave one of them out")
        return str(args.format)
    if end and named not in FORMATS:
        args.usage(f"{args.output} ends in .{end}: say which --format it shall have, of {', '.join(FORMATS)}")
    return named or "wav"
