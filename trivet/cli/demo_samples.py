"""What `trivet demo` asks of each task: samples that are written here, drawn or spoken, and what to show of answers."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import trivet
from trivet.local.loaded import needed

__all__ = ["SAMPLES", "Sample"]


class Answered(NamedTuple):
    """The response, what was asked, and what came of it, as a line each."""

    response: Any
    input: str
    output: str


class Sample(NamedTuple):
    """`needs` are the catalogue's tasks whose weights it takes: the first is that of the model that is shown. `ask`
    gets a name of a model for each; so does `first`, which is done before the clock runs."""

    task: str
    needs: tuple[str, ...]
    ask: Callable[[Mapping[str, str], Any], Answered]
    first: Callable[[Mapping[str, str], Any], object] | None = None


# --- words --------------------------------------------------------------------------------------------------

QUESTION = "What is the capital of France? Answer in English."
CODE = "def fibonacci(n):"


def chat(models: Mapping[str, str], config: Any) -> Answered:
    response = trivet.chat(QUESTION, model=models["chat"], temperature=0, max_tokens=40, config=config)
    return Answered(response, QUESTION, response.text)


def complete(models: Mapping[str, str], config: Any) -> Answered:
    response = trivet.complete(CODE, model=models["chat"], temperature=0, max_tokens=32, config=config)
    return Answered(response, CODE, response.text)


def count_tokens(models: Mapping[str, str], config: Any) -> Answered:
    response = trivet.count_tokens(QUESTION, model=models["chat"], config=config)
    return Answered(response, QUESTION, f"{response.input_tokens} tokens, with the chat's template")


TEXTS = ("A cat sleeps.", "A kitten naps.", "Interest rates rose.")


def embed(models: Mapping[str, str], config: Any) -> Answered:
    response = trivet.embed(TEXTS, model=models["embed"], config=config)
    near, far = _cosine(*response.vectors[:2]), _cosine(response.vectors[0], response.vectors[2])
    told = f"{len(response.vectors[0])} numbers each; cosine cat-kitten {near:.2f}, cat-rates {far:.2f}"
    return Answered(response, " / ".join(TEXTS), told)


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


QUERY = "How do I bake bread?"
DOCS = (
    "The train to Bern leaves at nine.",
    "Knead flour, water and yeast, then bake it.",
    "Bread was rationed in 1917.",
)


def rerank(models: Mapping[str, str], config: Any) -> Answered:
    response = trivet.rerank(QUERY, DOCS, model=models["rerank"], config=config)
    best = response.results[0]
    told = f"{best.score:.2f} {DOCS[best.index]} (by {response.method})"
    return Answered(response, f"{QUERY} ({len(DOCS)} texts)", told)


# --- pictures -----------------------------------------------------------------------------------------------


def classify(models: Mapping[str, str], config: Any) -> Answered:
    response = trivet.classify(_traffic_light(), model=models["classify"], config=config)
    told = ", ".join(f"{label.label} {label.score:.0%}" for label in response.labels[:3])
    return Answered(response, "a drawing of a traffic light", told)


def _traffic_light() -> bytes:
    image, draw = _canvas(400, 400, "#8fb8de")
    draw.rectangle((190, 330, 210, 400), fill="#333333")
    draw.rounded_rectangle((140, 30, 260, 340), 20, fill="#1c1c1c", outline="#404040", width=4)
    for i, colour in enumerate(("#ff2a1a", "#4a3d00", "#003d14")):
        draw.ellipse((160, 45 + 97 * i, 240, 125 + 97 * i), fill=colour)
    return _png(image)


TEXT = "Everything is a model."


def read(models: Mapping[str, str], config: Any) -> Answered:
    image, draw = _canvas(560, 200, "white")
    draw.text((60, 70), TEXT, fill="black", font_size=40)
    response = trivet.read(_png(image), model=models["read"], config=config)
    return Answered(response, f"a picture of {TEXT!r}", response.text)


def _canvas(width: int, height: int, colour: str) -> tuple[Any, Any]:
    image = needed("PIL.Image", "images").new("RGB", (width, height), colour)
    return image, needed("PIL.ImageDraw", "images").Draw(image)


def _png(image: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


# --- speech -------------------------------------------------------------------------------------------------

SENTENCE = "The train to the city leaves in the morning."


@functools.cache  # `transcribe` hears it too
def spoken(model: str, config: Any) -> Any:
    return trivet.speak(SENTENCE, model=model, config=config)


def speak(models: Mapping[str, str], config: Any) -> Answered:
    response = spoken(models["speak"], config)
    length = "" if response.duration_s is None else f"{response.duration_s:.1f} s, "
    told = f"{length}{response.sample_rate:,} Hz, {len(response.audio):,} bytes of {response.media_type}"
    return Answered(response, SENTENCE, told)


def transcribe(models: Mapping[str, str], config: Any) -> Answered:
    heard = spoken(models["speak"], config).audio
    response = trivet.transcribe(heard, model=models["transcribe"], config=config)
    return Answered(response, "what speak has said", response.text.strip())


# --- numbers and proteins -----------------------------------------------------------------------------------

STEPS, AHEAD, SEASON = 120, 12, 12


def forecast(models: Mapping[str, str], config: Any) -> Answered:
    wave = [20 + 0.1 * t + 5 * math.sin(2 * math.pi * t / SEASON) for t in range(STEPS + AHEAD)]
    response = trivet.forecast(wave[:STEPS], AHEAD, season=SEASON, model=models["forecast"], config=config)
    error = sum(abs(a - b) for a, b in zip(response.point, wave[STEPS:], strict=True)) / AHEAD
    told = f"{', '.join(f'{value:.1f}' for value in response.point[:4])}, …; mean error {error:.2f}"
    return Answered(response, f"{STEPS} steps of a wave of 5 that rises, {AHEAD} ahead", told)


# The heavy and the light chain of the antibody in AntiBERTy's own example: https://github.com/jeffreyruffolo/AntiBERTy
HEAVY = (
    "EVQLVQSGPEVKKPGTSVKVSCKASGFTFMSSAVQWVRQARGQRLEWIGWIVIGSGNTNYAQKFQERVTI"
    "TRDMSTSTAYMELSSLRSEDTAVYYCAAPYCSSISCNDGFDIWGQGTMVTVS"
)
LIGHT = (
    "DVVMTQTPFSLPVSLGDQASISCRSSQSLVHSNGNTYLHWYLQKPGQSPKLLIYKVSNRFSGVPDRFSGSGSGTDFTLKISRVEAEDLGVYFCSQSTHVPYTFGGGTKLEIK"
)
MASKED = (5, 20, 35, 46, 94, 110)


def mask(models: Mapping[str, str], config: Any) -> Answered:
    asked = "".join("_" if i in MASKED else letter for i, letter in enumerate(HEAVY))
    response = trivet.mask(asked, model=models["mask"], config=config)
    right = sum(response.sequence[i] == HEAVY[i] for i in MASKED)
    letters = "".join(response.sequence[i] for i in MASKED)
    return Answered(
        response, f"an antibody, {len(MASKED)} places masked", f"{letters}: {right} of {len(MASKED)} as it is"
    )


def embed_proteins(models: Mapping[str, str], config: Any) -> Answered:
    response = trivet.embed(proteins=[HEAVY, LIGHT], model=models["mask"], config=config)
    told = f"{len(response.vectors[0])} numbers each; cosine {_cosine(*response.vectors):.2f}"
    return Answered(response, "an antibody's heavy and light chain", told)


SAMPLES = (
    Sample("chat", ("chat",), chat),
    Sample("complete", ("chat",), complete),
    Sample("count_tokens", ("chat",), count_tokens),
    Sample("embed", ("embed",), embed),
    Sample("rerank", ("rerank",), rerank),
    Sample("classify", ("classify",), classify),
    Sample("read", ("read",), read),
    Sample("speak", ("speak",), speak),
    Sample("transcribe", ("transcribe", "speak"), transcribe, first=speak),
    Sample("forecast", ("forecast",), forecast),
    Sample("mask", ("mask",), mask),
    Sample("embed (proteins)", ("mask",), embed_proteins),
)
