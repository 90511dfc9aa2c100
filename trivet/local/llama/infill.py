"""Fill-in-the-middle: a prompt of what stands before and after, for models that were trained on it.

Bavarian et al. 2022 (arXiv:2207.14255), in the order prefix, suffix, middle, with the tokens that the GGUF names for
it. The engine's own `/infill` is not used: it cuts both texts, in silence, to what fits one batch of
prefill.
"""

from __future__ import annotations

from trivet.errors import UnsupportedError
from trivet.local.gguf import Header
from trivet.local.llama.engine import Engine

_KEYS = {"prefix": "fim_pre_token_id", "suffix": "fim_suf_token_id", "middle": "fim_mid_token_id"}


def refuse(header: Header, name: str, *, sees: bool = False) -> None:
    """Raises `UnsupportedError` where the file does not name all three tokens, or has a projector beside it."""
    missing = [f"tokenizer.ggml.{key}" for kind, key in _KEYS.items() if kind not in header.fim_token_ids]
    if missing:
        raise UnsupportedError(
            f"{name} does not fill in before a suffix: its GGUF has no {' and no '.join(missing)}. Leave the suffix "
            "out, or name a model of code whose file has them",
            field="suffix",
        )
    if sees:
        raise UnsupportedError(
            f"{name} does not fill in before a suffix while it has a projector, with which llama.cpp takes no prompt "
            "of tokens: leave the suffix out, or move the projector (mmproj) elsewhere",
            field="suffix",
        )


async def prompt(engine: Engine, header: Header, before: str, after: str) -> list[int]:
    """The prompt as tokens: marks that stand in the texts themselves are text."""
    ids = header.fim_token_ids
    start = (await _tokens(engine, "", special=True))[:1]
    if start != [header.bos_token_id]:  # not every model begins with one, and some end with one
        start = []
    prefix, suffix = await _tokens(engine, before), await _tokens(engine, after)
    return [*start, ids["prefix"], *prefix, ids["suffix"], *suffix, ids["middle"]]


async def _tokens(engine: Engine, text: str, *, special: bool = False) -> list[int]:
    asked = {"content": text, "add_special": special, "parse_special": False}
    tokens: list[int] = (await engine.ask("/tokenize", asked))["tokens"]
    return tokens
