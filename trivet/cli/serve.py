"""`trivet serve`: the models of a runtime, to any OpenAI, Anthropic or Gemini client."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from trivet.cli import takes_config

if TYPE_CHECKING:
    from trivet.config import Config, Secret, ServerSettings


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "serve",
        help="serve models over HTTP",
        description="Serve models to OpenAI, Anthropic and Gemini clients. SIGTERM or Ctrl-C ends it when the requests "
        "in flight are over; a second one, at once.",
    )
    parser.add_argument("--host", metavar="H", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", metavar="P", type=_port, help="port to listen on; 0 is any free one (default: 8484)")
    takes_config(parser)
    parser.add_argument(
        "--key",
        metavar="KEY",
        action="append",
        default=[],
        help="a key that clients must send, beside those in trivet.toml; env:NAME takes it from a variable, out of "
        "sight of other users of the machine",
    )
    parser.add_argument(
        "--log",
        nargs="?",
        const="text",
        choices=("text", "json"),
        help="one line for each request, with who was asked for the answer, on standard error: as text, or as JSON",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from trivet.config import Config, load
    from trivet.runtime import Runtime
    from trivet.server.run import serve

    runtime = Runtime.load(args.config)
    path = runtime.config.path

    def read() -> tuple[Config, ServerSettings]:
        config = load(path) if path is not None else Config()
        return config, _settings(config, args)

    serve(runtime, _settings(runtime.config, args), log=args.log, read=read)
    return 0


def _settings(config: Config, args: argparse.Namespace) -> ServerSettings:
    """Those of the file, and over them those of the command line."""
    from trivet.errors import ConfigError
    from trivet.types import replace

    settings = config.server
    try:
        return replace(
            settings,
            host=settings.host if args.host is None else args.host,
            port=settings.port if args.port is None else args.port,
            keys=(*settings.keys, *map(secret, args.key)),
        )
    except ValueError as error:
        raise ConfigError(f"{error}: give --host and --key a value, or leave them out") from None


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def secret(text: str) -> Secret:
    """A key, or the value of the variable that `env:NAME` names."""
    import os

    from trivet.config import Secret
    from trivet.errors import ConfigError

    if not text.startswith("env:"):
        return Secret(text)
    value = os.environ.get(text.removeprefix("env:"))
    if value is None or not value.strip():
        state = "not set" if value is None else "empty"
        raise ConfigError(f"--key {text}: that environment variable is {state}. Set it, or pass another key.")
    return Secret(value)
