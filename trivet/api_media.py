"""The functions of `import trivet` over vectors, images, sound, numbers and proteins; see `trivet.api` for `model` and
`config`, and `trivet.inputs` for what each takes.

What is given is looked at before a model loads: what is no such thing raises TypeError or `RequestError`, which say
what it was and what is wanted. Whether a file really holds what it begins like is for the model to see.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, cast, overload

from trivet import inputs
from trivet.calls import ConfigLike, answer, bar, call, each, events, named
from trivet.collect import vectors_together
from trivet.errors import RequestError
from trivet.inputs import Picture, Proteins, Series, Sound
from trivet.model import Model
from trivet.sync import AudioStream, SegmentStream, bridge
from trivet.types import (
    Classify,
    ClassifyResponse,
    Embed,
    EmbedResponse,
    Forecast,
    ForecastResponse,
    Mask,
    MaskResponse,
    Read,
    ReadResponse,
    Request,
    Rerank,
    RerankResponse,
    Speak,
    SpeakResponse,
    Transcribe,
    TranscribeResponse,
    check,
    replace,
)

__all__ = ["classify", "embed", "forecast", "mask", "read", "rerank", "speak", "transcribe"]

Q = TypeVar("Q", bound=Request)
MOST = 1000  # inputs of one request of `embed`
AT_ONCE = 4  # of its requests, where there are more


def embed(
    texts: str | Iterable[str] | None = None,
    *,
    images: Picture | Iterable[Picture] | None = None,
    proteins: Proteins | None = None,
    model: str | Model | None = None,
    dimensions: int | None = None,
    truncate: bool | None = None,
    progress: bool | None = None,
    config: ConfigLike | None = None,
) -> EmbedResponse:
    """One vector for each of `texts`, `images` or `proteins`, in order: `.vectors`. ::

        trivet.embed(["a cat", "a dog"]).vectors
        trivet.embed(proteins="antibodies.fasta").vectors

    A text that is longer than the model takes is embedded the model's own way: of the default one's, the vector is the
    mean over all its parts, and `.notes` say so. `truncate=True` leaves out what is beyond instead, as
    sentence-transformers does.

    More than 1,000 are asked for in several requests, whose answers are put together; `progress` says whether to show a
    bar on standard error meanwhile, None being: where that is a terminal.
    """
    given = {"texts": texts, "images": images, "proteins": proteins}
    kinds = [kind for kind, value in given.items() if value is not None]
    if len(kinds) != 1:
        said = " and ".join(kinds) or "none of them"
        raise TypeError(f"embed() takes one of texts, images and proteins, and was given {said}")
    request = _made(
        Embed,
        texts=() if texts is None else inputs.texts(texts, "texts"),
        images=() if images is None else inputs.pictures(images),
        proteins=() if proteins is None else inputs.proteins(proteins),
        dimensions=dimensions,
        truncate=truncate,
    )
    pieces = _pieces(request, kinds[0])
    if len(pieces) == 1:
        return cast(EmbedResponse, call(request, model, config))
    over = bridge()
    with bar(len(pieces), progress) as advance:
        answers = over.run(lambda: each(pieces, lambda piece: answer(over, piece, model, config), AT_ONCE, advance))
    return vectors_together(answers)


def rerank(
    query: str,
    docs: Iterable[str],
    *,
    top: int | None = None,
    model: str | Model | None = None,
    config: ConfigLike | None = None,
) -> RerankResponse:
    """The documents that answer `query`, the best first: `.results`, each with the `index` of its document and its
    `score`. `top` is how many to tell. `.method` says how the scores came about. ::

        docs = ["Bern is in Switzerland.", "Bread is baked."]
        best = trivet.rerank("Where is Bern?", docs).results[0]
        docs[best.index]
    """
    if isinstance(docs, str):
        raise TypeError("docs are a list of texts, and this is one string: use [text]")
    if isinstance(query, str) and not query.strip():
        raise RequestError("query is empty: say what the documents are to answer.", field="query")
    request = _made(Rerank, query=query, documents=inputs.texts(docs, "docs"), top=top)
    return cast(RerankResponse, call(request, model, config))


def classify(
    image: Picture,
    labels: Iterable[str] | None = None,
    *,
    top: int = 5,
    template: str | None = None,
    model: str | Model | None = None,
    config: ConfigLike | None = None,
) -> ClassifyResponse:
    """What is in a picture: `.labels`, the most likely first, each with its `score`. They are the model's own, or those
    in `labels`, which takes a model that knows words and images. `top` is how many to tell; of `labels`, all are. ::

        trivet.classify("cat.jpg", ["cat", "dog"], model="./clip-vit-base-patch32").labels[0].label

    A CLIP is asked about "a photo of a LABEL.", which `template="an X-ray of a {}."` says otherwise.
    """
    if isinstance(labels, str):
        raise TypeError(f"labels are a list, and this is one string: use [{labels!r}]")
    said = () if labels is None else inputs.texts(labels, "labels")
    request = _made(Classify, image=inputs.picture(image), labels=said, top=top, template=template)
    return cast(ClassifyResponse, call(request, model, config))


def read(image: Picture, *, model: str | Model | None = None, config: ConfigLike | None = None) -> ReadResponse:
    """What is written in a picture: `.text`, and `.lines` with the `box` and `score` of each."""
    return cast(ReadResponse, call(_made(Read, image=inputs.picture(image)), model, config))


@overload
def transcribe(
    audio: Sound,
    *,
    language: str | None = None,
    prompt: str | None = None,
    words: bool = False,
    stream: Literal[False] = False,
    model: str | Model | None = None,
    config: ConfigLike | None = None,
) -> TranscribeResponse: ...


@overload
def transcribe(
    audio: Sound,
    *,
    language: str | None = None,
    prompt: str | None = None,
    words: bool = False,
    stream: Literal[True],
    model: str | Model | None = None,
    config: ConfigLike | None = None,
) -> SegmentStream: ...


def transcribe(
    audio: Sound,
    *,
    language: str | None = None,
    prompt: str | None = None,
    words: bool = False,
    stream: bool = False,
    model: str | Model | None = None,
    config: ConfigLike | None = None,
) -> TranscribeResponse | SegmentStream:
    """What is said in a recording: `.text`, and `.segments` with their times. ::

        trivet.transcribe("talk.mp3").text
        for segment in trivet.transcribe("talk.mp3", stream=True):
            print(segment.start_s, segment.text)

    `language` is an ISO 639-1 code, None being: find out. `prompt` is text that goes before, for names and spelling;
    `words` asks for each word's time. With `stream`, the segments as they come, and then the `response`.
    """
    sound = inputs.sound(audio)
    request = _made(Transcribe, audio=sound, language=language, prompt=prompt, words=words)
    if not stream:
        return cast(TranscribeResponse, call(request, model, config))
    over = bridge()
    return SegmentStream(over, lambda: events(over, named(request, model), model, config))


@overload
def speak(
    text: str,
    *,
    voice: str | None = None,
    format: str = "wav",
    speed: float = 1.0,
    stream: Literal[False] = False,
    model: str | Model | None = None,
    config: ConfigLike | None = None,
) -> SpeakResponse: ...


@overload
def speak(
    text: str,
    *,
    voice: str | None = None,
    format: str = "wav",
    speed: float = 1.0,
    stream: Literal[True],
    model: str | Model | None = None,
    config: ConfigLike | None = None,
) -> AudioStream: ...


def speak(
    text: str,
    *,
    voice: str | None = None,
    format: str = "wav",
    speed: float = 1.0,
    stream: bool = False,
    model: str | Model | None = None,
    config: ConfigLike | None = None,
) -> SpeakResponse | AudioStream:
    """`text`, said aloud: `.audio` has the bytes, and `.save(path)` writes them. ::

        trivet.speak("Hello").save("hello.wav")

    `voice` is one of the model's; `format` wav, pcm (16 bits, one channel, no header), flac, mp3, opus or aac, as far
    as the model has them; `speed` 2 is twice as fast. With `stream`, the bytes as they come, and then the `response`.
    """
    if isinstance(text, str) and not text.strip():
        raise RequestError("There is nothing to say: the text is empty.", field="text")
    request = _made(Speak, text=text, voice=voice, format=format, speed=speed)
    if not stream:
        return cast(SpeakResponse, call(request, model, config))
    over = bridge()
    return AudioStream(over, lambda: events(over, named(request, model), model, config))


def forecast(
    series: Series,
    horizon: int,
    *,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    fill: Literal["linear"] | None = None,
    season: int | None = None,
    model: str | Model | None = None,
    config: ConfigLike | None = None,
) -> ForecastResponse:
    """How a series goes on for `horizon` steps: `.point` has the median of each, `.quantiles` a series for each level,
    by its number as text (`"0.1"`). ::

        trivet.forecast([1, 2, 3, 1, 2, 3, 1, 2, 3], horizon=2).point

    `series` has its values at equal distances; NaN and None are missing ones, which `fill="linear"` puts in where they
    stand between others. `season` is how many steps a season has, where the model asks for it.
    """
    values = inputs.series(series)
    levels = _levels(quantiles)
    request = _made(Forecast, series=values, horizon=horizon, quantiles=levels, fill=fill, season=season)
    return cast(ForecastResponse, call(request, model, config))


def mask(
    sequence: str, *, top: int = 3, model: str | Model | None = None, config: ConfigLike | None = None
) -> MaskResponse:
    """Which amino acids stand at the places of a protein that are `_`: `.sequence` has the most likely at each, and
    `.places` the `top` of each with their probability. ::

        trivet.mask("EVQLVESGPGLVQPGKSLRLSCVASGFTFSGY_MHWVRQAPGKGLEWIALIIYDESNKYYADSVKG").sequence
    """
    found = inputs.proteins(sequence)
    if len(found) != 1:
        raise RequestError(f"mask takes one sequence, and these are {len(found)}: ask for each", field="sequence")
    return cast(MaskResponse, call(_made(Mask, sequence=found[0], top=top), model, config))


def _levels(given: Any) -> tuple[float, ...]:
    """Quantiles, rounded: what is reckoned, such as 3 * 0.1, or is of 32 bits, is a little beside what is meant."""
    try:
        return tuple(round(float(level), 6) for level in given)
    except (TypeError, ValueError):
        raise TypeError(f"quantiles are a list of numbers, such as [0.1, 0.9], and this is {given!r:.60}") from None


def _made(kind: type[Q], **fields: Any) -> Q:
    """A request, with every type and bound checked. Numbers may be numpy's."""
    try:
        return check(kind(**{name: _number(value) for name, value in fields.items()}))
    except ValueError as error:  # a bound
        raise RequestError(f"{kind.__name__}.{error}", field=str(error).split()[0]) from None


def _number(value: Any) -> Any:
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else value


def _pieces(request: Embed, kind: str) -> list[Embed]:
    """The same in requests of a size that hosts take: OpenAI has 2,048 texts at most
    (https://platform.openai.com/docs/api-reference/embeddings/create)."""
    given = getattr(request, kind)
    return [replace(request, **{kind: given[at : at + MOST]}) for at in range(0, len(given), MOST)]
