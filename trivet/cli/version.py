"""`trivet version`: what to put into a bug report."""

from __future__ import annotations

import argparse
from typing import Any

SHOWN = ("xllamacpp", "msgspec", "uvicorn", "huggingface_hub")


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "version",
        help="show versions, for a bug report",
        description="Show the versions of trivet, of Python and of the packages that matter most.",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from trivet import __version__

    print(f"trivet {__version__}")
    print(f"  Python {platform.python_version()} on {platform.platform()}")
    for package in SHOWN:
        try:
            print(f"  {package} {version(package)}")
        except PackageNotFoundError:
            print(f"  {package} is not installed")
    return 0
