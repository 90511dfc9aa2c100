"""How many tokens an answer took."""

from __future__ import annotations

from trivet.types.value import Value


class Usage(Value, omit_defaults=False, frozen=True, kw_only=True):
    """Tokens. The three input counts are disjoint and add up to the prompt; None is unknown, never 0. Where a provider
    tells the prompt's length and not what of it came from a cache, the three are None, and `prompt_tokens` has it.

    The rest are parts of these: `cache_write_1h_tokens` of the cache writes (what is kept for an hour, the others being
    kept for five minutes), `audio_input_tokens` of the prompt, `reasoning_tokens` and `audio_output_tokens` of the
    output.
    """

    uncached_input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    prompt_tokens: int | None = None

    @staticmethod
    def of_input(tokens: int) -> Usage:
        """Of what goes in as a whole, from no cache, and has no tokens as its answer: vectors, scores."""
        return Usage(uncached_input_tokens=tokens, cache_read_tokens=0, cache_write_tokens=0, output_tokens=0)

    @property
    def input_tokens(self) -> int | None:
        """The whole prompt, or None where it is unknown."""
        parts = _sum(_sum(self.uncached_input_tokens, self.cache_read_tokens), self.cache_write_tokens)
        return self.prompt_tokens if parts is None else parts

    @property
    def total_tokens(self) -> int | None:
        return _sum(self.input_tokens, self.output_tokens)

    def __add__(self, other: Usage) -> Usage:
        """The sum, in which unknown plus anything stays unknown: of a split prompt and one that is not, the sum is
        not."""
        counts = {f: _sum(getattr(self, f), getattr(other, f)) for f in self.__struct_fields__ if f != "prompt_tokens"}
        both = Usage(**counts)
        if both.input_tokens is None and (whole := _sum(self.input_tokens, other.input_tokens)) is not None:
            return Usage(**counts, prompt_tokens=whole)
        return both


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b
