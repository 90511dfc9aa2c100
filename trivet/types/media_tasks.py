"""Tasks over images, sound, numbers, proteins and robots: their requests and answers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

from trivet.types.messages import Audio, Image
from trivet.types.requests import Request
from trivet.types.responses import Response
from trivet.types.value import Value

# --- what is in a picture -----------------------------------------------------------------------------------


class Label(Value, frozen=True, kw_only=True):
    """`score` is the probability, of all labels together 1. Where a model judges each label by itself (SigLIP), it is
    that of this one, whatever the others have, and the answer's notes say so."""

    label: str
    score: float


class ClassifyResponse(Response, tag="classify", frozen=True, kw_only=True):
    """The most likely first."""

    labels: tuple[Label, ...]


class Classify(Request, tag="classify", frozen=True, kw_only=True):
    """Which of the model's own labels an image has, or which of `labels`, by a model that knows words and images
    (zero-shot). `top` is how many to tell; all where labels are given. `template` is what is asked about a label, which
    goes where it has `{}`; None is the model's own way."""

    response_type = ClassifyResponse

    image: Image
    labels: tuple[str, ...] = ()
    top: int = 5
    template: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.top, int) and self.top < 1:
            raise ValueError(f"top is {self.top}, must be at least 1")


class Line(Value, frozen=True, kw_only=True):
    """A line of text in an image. `box` has its corners in pixels, from the upper left one clockwise; `score` is from 0
    to 1, None where the model does not say."""

    text: str
    box: tuple[tuple[float, float], ...] = ()
    score: float | None = None


class ReadResponse(Response, tag="read", frozen=True, kw_only=True):
    """Lines from top to bottom."""

    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines)


class Read(Request, tag="read", frozen=True, kw_only=True):
    """What is written in an image (OCR)."""

    response_type = ReadResponse

    image: Image


# --- which texts fit ----------------------------------------------------------------------------------------


class Ranked(Value, frozen=True, kw_only=True):
    """`index` is the document's place in the request; a larger `score` fits better, and is the model's own: scores of
    two models cannot be compared."""

    index: int
    score: float


class RerankResponse(Response, tag="rerank", frozen=True, kw_only=True):
    """The best first. `method` says how the scores came about."""

    results: tuple[Ranked, ...]
    method: Literal["cross-encoder", "embedding similarity"] = "cross-encoder"


class Rerank(Request, tag="rerank", frozen=True, kw_only=True):
    """How well each document answers `query`. `top` is how many to tell, None being all."""

    response_type = RerankResponse

    query: str
    documents: tuple[str, ...]
    top: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.top, int) and self.top < 1:
            raise ValueError(f"top is {self.top}, must be at least 1")

    def ranked(self, scores: Sequence[float]) -> tuple[Ranked, ...]:
        """What to tell of the documents, with a score for each: the best first, of equal ones the earlier."""
        best = sorted(range(len(scores)), key=lambda place: -scores[place])[: self.top]
        return tuple(Ranked(index=place, score=scores[place]) for place in best)


# --- speech -------------------------------------------------------------------------------------------------


class Word(Value, frozen=True, kw_only=True):
    text: str
    start_s: float
    end_s: float
    probability: float | None = None


class Segment(Value, frozen=True, kw_only=True):
    """A stretch of speech. `words` are there where they were asked for."""

    text: str
    start_s: float
    end_s: float
    words: tuple[Word, ...] = ()


class TranscribeResponse(Response, tag="transcribe", frozen=True, kw_only=True):
    """`language` is an ISO 639-1 code; `duration_s` is the sound's."""

    text: str
    segments: tuple[Segment, ...] = ()
    language: str | None = None
    duration_s: float | None = None


class Transcribe(Request, tag="transcribe", frozen=True, kw_only=True):
    """What is said in `audio`. `language` is an ISO 639-1 code, None being: find out. `prompt` is text that goes
    before, for names and spelling; `words` asks for each word's time."""

    response_type = TranscribeResponse

    audio: Audio
    language: str | None = None
    prompt: str | None = None
    words: bool = False


class SpeakResponse(Response, tag="speak", frozen=True, kw_only=True):
    """`audio` is of `media_type`; `sample_rate` is in Hz."""

    audio: bytes
    media_type: str
    sample_rate: int
    duration_s: float | None = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the sound to a file, in the format that it has."""
        with open(path, "wb") as file:
            file.write(self.audio)


_MEDIA_TYPES = {
    "wav": "audio/wav",
    "pcm": "audio/pcm",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
}


class Speak(Request, tag="speak", frozen=True, kw_only=True):
    """`text`, said aloud. `voice` is one of the model's; `speed` 2 is twice as fast. `pcm` is of 16 bits, little
    endian, one channel, without a header."""

    response_type = SpeakResponse

    text: str
    voice: str | None = None
    format: Literal["wav", "pcm", "flac", "mp3", "opus", "aac"] = "wav"
    speed: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.speed, int | float) and not 0.25 <= self.speed <= 4:
            raise ValueError(f"speed is {self.speed}, must be between 0.25 and 4")

    @property
    def media_type(self) -> str:
        """What sound in its `format` is sent as."""
        return _MEDIA_TYPES[self.format]


# --- numbers over time --------------------------------------------------------------------------------------


class ForecastResponse(Response, tag="forecast", frozen=True, kw_only=True):
    """`point` has the median for each step ahead; `quantiles` a series for each level that was asked for, by its number
    as text (`"0.1"`), which never cross."""

    point: tuple[float, ...]
    quantiles: Mapping[str, tuple[float, ...]] = {}


class Forecast(Request, tag="forecast", frozen=True, kw_only=True):
    """How `series` goes on for `horizon` steps; its values stand at equal distances, and None is a missing one, which
    `fill` puts in where it is between others. `season` is how many steps a season has, where the model asks for it."""

    response_type = ForecastResponse

    series: tuple[float | None, ...]
    horizon: int
    quantiles: tuple[float, ...] = (0.1, 0.5, 0.9)
    fill: Literal["linear"] | None = None
    season: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.horizon, int) and self.horizon < 1:
            raise ValueError(f"horizon is {self.horizon}, must be at least 1")
        if any(isinstance(q, float) and not 0 < q < 1 for q in self.quantiles):
            raise ValueError(f"quantiles are {self.quantiles}, must be between 0 and 1")
        if isinstance(self.season, int) and self.season < 1:
            raise ValueError(f"season is {self.season}, must be at least 1")
        if isinstance(self.fill, str) and self.fill != "linear":
            raise ValueError(f"fill is {self.fill!r}, must be 'linear'")


# --- proteins -----------------------------------------------------------------------------------------------


class Residue(Value, frozen=True, kw_only=True):
    """An amino acid by its letter, and its probability at this place."""

    letter: str
    probability: float


class Place(Value, frozen=True, kw_only=True):
    """A masked place of a sequence, counted from 0, and what may stand there, the most likely first."""

    position: int
    residues: tuple[Residue, ...]


class MaskResponse(Response, tag="mask", frozen=True, kw_only=True):
    """`sequence` has the most likely residue at each masked place."""

    sequence: str
    places: tuple[Place, ...]


class Mask(Request, tag="mask", frozen=True, kw_only=True):
    """Which amino acids stand at the masked places of a protein, `_` in `sequence`. `top` is how many to tell of
    each."""

    response_type = MaskResponse

    sequence: str
    top: int = 3

    def __post_init__(self) -> None:
        if isinstance(self.top, int) and self.top < 1:
            raise ValueError(f"top is {self.top}, must be at least 1")


class FoldResponse(Response, tag="fold", frozen=True, kw_only=True):
    """`structure` is a PDB file; `plddt` how sure the model is of each residue, from 0 to 100."""

    structure: str
    plddt: tuple[float, ...] = ()


class Fold(Request, tag="fold", frozen=True, kw_only=True):
    """The structure of a protein."""

    response_type = FoldResponse

    sequence: str


# --- robots -------------------------------------------------------------------------------------------------


class ActResponse(Response, tag="act", frozen=True, kw_only=True):
    """`actions` has a row for each of the next steps, each with the robot's number of degrees of freedom."""

    actions: tuple[tuple[float, ...], ...]


class Act(Request, tag="act", frozen=True, kw_only=True):
    """What a robot does next, which sees `images`, is in `state` (as its policy wants it) and is told `instruction`."""

    response_type = ActResponse

    instruction: str | None = None
    images: tuple[Image, ...] = ()
    state: tuple[float, ...] = ()
