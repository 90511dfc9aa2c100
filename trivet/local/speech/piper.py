"""Text to speech: an English voice of Piper's (VITS, arXiv:2106.06103), by onnxruntime."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet.errors import RequestError, UnsupportedError
from trivet.local.loaded import Loaded, needed
from trivet.local.onnx_session import session_options
from trivet.local.speech.english import Sentence, sentences
from trivet.local.speech.phonemes import Lexicon
from trivet.local.speech.sound import Encoder, check_format
from trivet.types import AudioDelta, Done, Event, Request, Speak, SpeakResponse

if TYPE_CHECKING:
    from trivet.local.speech.sound import Samples

__all__ = ["Piper"]

PAUSE_S = 0.25  # behind each sentence
MOST_SOUNDS = 250  # said at once: memory grows with their square, and a sentence may be of endless words
START, END, BETWEEN = "^", "$", "_"


class Voice:
    """The loaded network, its settings, and the lexicon."""

    def __init__(self, folder: Path, threads: int | None) -> None:
        onnxruntime = needed("onnxruntime", "speech")
        self._numpy = needed("numpy", "speech")
        (file,) = folder.glob("*.onnx")
        known = json.loads(file.with_name(f"{file.name}.json").read_text("utf-8"))
        self.rate: int = known["audio"]["sample_rate"]
        self._ids: dict[str, list[int]] = known["phoneme_id_map"]
        self._settings = known["inference"]
        options = session_options(onnxruntime, threads)
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._lexicon = Lexicon(folder / "cmudict.dict", folder / "checkpoint20.npz")

    def pieces(self, sentence: Sentence) -> list[str]:
        """A sentence in IPA, in pieces that are said at once."""
        left, found = self._lexicon.ipa(sentence), []
        while len(left) > MOST_SOUNDS:
            end = left.rfind(" ", 1, MOST_SOUNDS)  # between words, where there are several
            end = MOST_SOUNDS if end < 0 else end
            found.append(left[:end])
            left = left[end:]
        return [*found, left]

    def said(self, ipa: str, speed: float, pause_s: float) -> Samples:
        numpy, settings = self._numpy, self._settings
        ids = self.ids(ipa)
        scales = [settings["noise_scale"], settings["length_scale"] / speed, settings["noise_w"]]
        inputs = {
            "input": numpy.array([ids], numpy.int64),
            "input_lengths": numpy.array([len(ids)], numpy.int64),
            "scales": numpy.array(scales, numpy.float32),
        }
        samples = self._session.run(None, inputs)[0].reshape(-1)
        loudest = max(0.01, float(numpy.abs(samples).max()))  # each sentence is as loud as the next, as Piper has it
        pause = numpy.zeros(int(self.rate * pause_s / speed), numpy.float32)
        whole: Samples = numpy.concatenate([samples * (0.95 / loudest), pause])
        return whole

    def ids(self, ipa: str) -> list[int]:
        """Of each sound, with an empty one between them, as in training."""
        ids = [*self._ids[START], *self._ids[BETWEEN]]
        for sound in ipa:
            ids += [*self._ids[sound], *self._ids[BETWEEN]]
        return [*ids, *self._ids[END]]


class Piper(Loaded[Voice]):
    """A folder with a voice (`.onnx` and `.onnx.json`), `cmudict.dict` and g2p_en's network. It speaks English.

    Sound comes sentence by sentence. A WAV stream has a header that tells the largest length, the whole answer its
    own. Letters and signs that it cannot say are told in `notes`. Each time it sounds a little different."""

    tasks = ("speak",)
    extra = "speech"

    def check(self, request: Request) -> None:
        assert isinstance(request, Speak)
        if not request.text.strip():
            raise RequestError("text is empty: there is nothing to say.", field="text")
        names = (self.name.rpartition("-")[2], self.name.rpartition("/")[2])
        if request.voice is not None and request.voice not in names:
            raise UnsupportedError(
                f"{self.name} has no voice {request.voice!r}, it is one voice: say {names[0]!r}, or leave voice out",
                field="voice",
            )
        check_format(request.format)

    def load(self) -> Voice:
        return Voice(self.path, self.settings.threads)

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        self.require(request)
        assert isinstance(request, Speak)
        found, notes = await self.in_thread(lambda: self._understood(request))
        steps = self._spoken(found, request)
        # One sentence after the other in the model's thread, so that whoever stops to ask stops the work.
        while isinstance(step := await self.in_thread(lambda: next(steps)), bytes):
            if step:
                yield AudioDelta(data=step)
        encoder, audio = step
        yield Done(
            response=SpeakResponse(
                model=self.name,
                audio=audio,
                media_type=request.media_type,
                sample_rate=encoder.rate,
                duration_s=round(encoder.frames / encoder.rate, 3),
                notes=notes,
            )
        )

    def _understood(self, request: Speak) -> tuple[tuple[Sentence, ...], tuple[str, ...]]:
        """What no weights are needed for."""
        self.check(request)
        found, unsaid = sentences(request.text)
        if foreign := [char for char in unsaid if char.isalpha()]:
            raise UnsupportedError(
                f"{self.name} speaks English, and cannot say {''.join(foreign[:20])!r}: name another model",
                field="text",
            )
        if not found:
            raise RequestError("text has no word or number in it: there is nothing to say.", field="text")
        return found, (f"Not said: {' '.join(unsaid[:40])}",) if unsaid else ()

    def _spoken(self, found: tuple[Sentence, ...], request: Speak) -> Iterator[Any]:
        """In the model's thread: bytes for each piece, then the encoder and the whole file."""
        voice = self.weights()
        encoder = Encoder(request.format, voice.rate)
        for sentence in found:
            *begin, end = voice.pieces(sentence)
            for ipa in begin:
                yield encoder.add(voice.said(ipa, request.speed, 0))
            yield encoder.add(voice.said(end, request.speed, PAUSE_S))
        last, whole = encoder.end()
        yield last
        yield encoder, whole
