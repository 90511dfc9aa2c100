"""What `trivet serve` prints: what it found, where it listens, and two lines to paste."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import trivet
from trivet import catalog
from trivet.errors import WeightsError

if TYPE_CHECKING:
    from trivet.config import ServerSettings
    from trivet.runtime import Runtime


def before(runtime: Runtime, settings: ServerSettings) -> list[str]:
    """The version and what is there."""
    path = runtime.config.path
    return [
        f"trivet {trivet.__version__}",
        f"  configuration  {path or 'none (trivet.toml in this folder is read where there is one)'}",
        f"  models         {', '.join(runtime.names())}",
        *(f"  weights        {line}" for line in weights(runtime.config.local.home)),
        f"  keys           {len(settings.keys) or 'none: whoever is on this machine may ask'}",
    ]


def weights(setting: str | None) -> list[str]:
    """One line for each entry of the catalogue that set-up gets, with the command that gets it where it is not here."""
    from trivet.local.weights import find, home

    lines = []
    for entry in catalog.defaults():
        try:
            lines.append(f"{entry.name} in {_short(find(entry.name, home(setting)))}")
        except WeightsError as error:
            lines.append(f"{entry.name}: {error.message}")
    return lines


def after(runtime: Runtime, settings: ServerSettings, port: int) -> list[str]:
    """Where it listens, and how to ask."""
    url = address(settings.host, port)
    here = address("127.0.0.1" if settings.host in ("0.0.0.0", "", "::") else settings.host, port)  # noqa: S104
    names = runtime.names()
    model = names[0] if names else "MODEL"
    header, imports, key = "", "openai", '"none"'
    if settings.keys:
        header, imports, key = ' -H "authorization: Bearer $TRIVET_KEY"', "os, openai", 'os.environ["TRIVET_KEY"]'
    ask = f'model="{model}", messages=[{{"role": "user", "content": "Hi"}}]'
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hi"}}]}}'
    python = (
        f'import {imports}; print(openai.OpenAI(base_url="{here}/v1", api_key={key})'
        f".chat.completions.create({ask}).choices[0].message.content)"
    )
    return [
        f"listening on {url}",
        f"  curl {here}/v1/chat/completions{header} -H 'content-type: application/json' -d '{body}'",
        f"  python -c '{python}'",
    ]


def address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _short(path: Path) -> str:
    """With the user's own folder as ~."""
    home = Path.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)
