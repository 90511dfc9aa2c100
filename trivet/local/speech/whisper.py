"""Speech to text: Whisper, converted for CTranslate2 and run by faster-whisper."""

from __future__ import annotations

import functools
import json
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

from trivet.errors import RequestError, UnsupportedError, WeightsError
from trivet.local.loaded import Loaded, needed
from trivet.local.speech.sound import Sound, refuse_address
from trivet.types import Done, Event, Request, Segment, SegmentDelta, Transcribe, TranscribeResponse, Word

__all__ = ["Whisper", "files"]

RATE = 16_000  # Hz: what Whisper hears
# The words of a multilingual vocabulary are so many at least; CTranslate2 tells the two kinds apart by it as well.
MULTILINGUAL = 51_865


def files(folder: Path) -> tuple[Path, ...]:
    """What of a folder is a Whisper for CTranslate2; nothing where it is none, or not whole."""
    vocabulary = next((folder / n for n in ("vocabulary.json", "vocabulary.txt") if (folder / n).is_file()), None)
    found = [folder / name for name in ("model.bin", "config.json", "tokenizer.json")]
    return (*found, vocabulary) if vocabulary is not None and all(file.is_file() for file in found) else ()


class Whisper(Loaded[Any]):
    """A folder with `model.bin`, `config.json`, `tokenizer.json` and the vocabulary. Weights are used as int8.

    Segments are told as they are found, in one thread for all requests; who leaves has it stop after the segment that
    is under way. A long sound is heard in pieces of ten minutes. Usage is unknown: Whisper's tokens are not told."""

    tasks = ("transcribe",)
    inputs = ("audio",)
    extra = "speech"

    def check(self, request: Request) -> None:
        assert isinstance(request, Transcribe)
        refuse_address(request.audio, "audio")
        if request.language is not None and not request.language.strip():
            raise RequestError(
                "language is empty. Leave it out, or name one by its code, such as en.", field="language"
            )

    def load(self) -> Any:
        faster_whisper = needed("faster_whisper", self.extra)
        threads = self.settings.threads or 0
        options = {"device": "cpu", "compute_type": "int8", "cpu_threads": threads, "local_files_only": True}
        try:
            return faster_whisper.WhisperModel(str(self.path), **options)
        except (RuntimeError, ValueError) as error:
            raise WeightsError(f"{self.path} cannot be loaded as a Whisper: {error}. Convert it again.") from None

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        self.require(request)
        self.check(request)
        assert isinstance(request, Transcribe)
        sound, language = await self.in_thread(lambda: self._understood(request))
        steps = self._segments(sound, request, language)
        segments: list[Segment] = []
        # One step after the other in the model's thread, so that whoever stops to ask stops the work.
        while (step := await self.in_thread(lambda: next(steps, None))) is not None:
            segment, language = step
            segments.append(segment)
            yield SegmentDelta(segment=segment)
        text = "".join(segment.text for segment in segments)
        cut = f"The file breaks off after {sound.duration_s:.1f} s: its end is missing, and so are the words in it"
        yield Done(
            response=TranscribeResponse(
                model=self.name,
                text=text.strip(),
                segments=tuple(segments),
                language=language or (None if self._multilingual else "en"),
                duration_s=round(sound.duration_s, 3),
                notes=(cut,) if sound.breaks_off else (),
            )
        )

    def _understood(self, request: Transcribe) -> tuple[Sound, str | None]:
        """What no weights are needed for: the file is opened, the language is one that the model has."""
        sound, several = Sound(request.audio), self._multilingual
        if request.language is None:
            return sound, None
        language = request.language.strip().lower().partition("-")[0]
        if not several:
            if language not in ("en", "english"):
                raise UnsupportedError(
                    f"{self.name} knows English only, not {request.language!r}: name another model", field="language"
                )
            return sound, "en"
        known = needed("faster_whisper.tokenizer", self.extra)._LANGUAGE_CODES
        if language not in known:
            raise UnsupportedError(
                f"{self.name} knows no language {request.language!r}. Name it by its ISO 639-1 code, such as en.",
                field="language",
            )
        return sound, language

    @functools.cached_property
    def _multilingual(self) -> bool:
        """Whether it knows more than English. First asked for in the model's thread, as it reads a file."""
        listed = self.path / "vocabulary.json"
        if listed.is_file():
            words = len(json.loads(listed.read_bytes()))
        else:  # a word a line
            words = (self.path / "vocabulary.txt").read_bytes().rstrip(b"\n").count(b"\n") + 1
        return words >= MULTILINGUAL

    def _segments(
        self, sound: Sound, request: Transcribe, language: str | None
    ) -> Iterator[tuple[Segment, str | None]]:
        """In the model's thread. Each with the language, which is found out once."""
        first = True
        for start_s, samples in sound.pieces(RATE):
            if not samples.any():
                continue  # of digital silence Whisper makes up words
            found, info = self._transcribe(samples, request, language)
            language = info.language
            for segment in found:
                text = segment.text.lstrip() if first else segment.text
                first = False
                words = tuple(
                    Word(
                        text=word.word.strip(),
                        start_s=round(start_s + float(word.start), 3),
                        end_s=round(start_s + float(word.end), 3),
                        probability=float(word.probability),
                    )
                    for word in segment.words or ()
                )
                start, end = start_s + float(segment.start), min(start_s + float(segment.end), sound.duration_s)
                yield Segment(text=text, start_s=round(start, 3), end_s=round(end, 3), words=words), language

    def _transcribe(self, samples: Any, request: Transcribe, language: str | None) -> Any:
        model = self.weights()
        prompt = request.prompt.strip() if request.prompt else None
        if prompt:
            most = model.max_length // 2 - 1
            tokens = len(model.hf_tokenizer.encode(" " + prompt, add_special_tokens=False).ids)
            if tokens > most:
                raise RequestError(f"prompt has {tokens} tokens, at most {most} fit: shorten it.", field="prompt")
        return model.transcribe(samples, language=language, initial_prompt=prompt, word_timestamps=request.words)
