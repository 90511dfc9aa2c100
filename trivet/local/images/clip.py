"""CLIP and SigLIP: texts and images in one space, so that an image can be told by labels that nobody trained for."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from trivet.errors import ContextLengthError, RequestError, UnsupportedError, WeightsError
from trivet.local.images.clip_export import Exported
from trivet.local.images.clip_folder import Config, Pictures, files, networks, pad_token, tensors
from trivet.local.images.clip_graph import Network
from trivet.local.images.picture import picture
from trivet.local.loaded import Loaded, needed
from trivet.local.texts.bert import batches
from trivet.local.texts.embedder import tokenized
from trivet.types import Classify, ClassifyResponse, Done, Embed, EmbedResponse, Event, Image, Label, Request, Usage

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["Clip", "files"]

Rows = tuple[tuple[float, ...], ...]

TEMPLATE = "a photo of a {}."  # of CLIP's authors, https://github.com/openai/CLIP
SCALE = 100.0  # where CLIP's authors end its growth, and where what they published stands
AT_ONCE = 8  # images of one run


class Weights(NamedTuple):
    tokenizer: Any
    network: Network | Exported
    pad: int


class Said(NamedTuple):
    """The vectors of texts as (texts, D), how many tokens went in, and what is to be said of that."""

    vectors: Array
    tokens: int
    notes: tuple[str, ...]


class Clip(Loaded[Weights]):
    """A CLIP or a SigLIP by its folder. Vectors have length 1, those of texts and of images in the same space.

    A label is asked about as "a photo of a LABEL.", which is what CLIP's authors do; `template` says it otherwise ("{}"
    alone: the label as it is). CLIP's scores are the softmax over the labels, of all together 1. SigLIP judges each
    label by itself: its scores are independent probabilities, which may all be small, and the answer's notes say so.

    Of a picture CLIP sees the square in its middle, SigLIP the whole, squeezed. A text that is longer than the network
    takes is refused, or cut where `truncate` asks for it.
    """

    tasks = ("classify", "embed")
    inputs = ("text", "image")
    extra = "images"
    fields = frozenset({"user"})  # a client's own label

    def check(self, request: Request) -> None:
        if isinstance(request, Classify):
            self._check_labels(request)
        elif isinstance(request, Embed):
            self._check_embed(request)

    def _check_labels(self, request: Classify) -> None:
        if request.template is not None and request.template.count("{}") != 1:
            raise RequestError(
                f"template is {request.template!r}, and must have {{}} once, where a label goes: {TEMPLATE!r}",
                field="template",
            )
        if not request.labels:
            raise RequestError(
                f"{self.name} has no labels of its own: say which to choose from, labels=['a cat', 'a dog']",
                field="labels",
            )
        seen: dict[str, int] = {}
        for place, label in enumerate(request.labels):
            if not label.strip():
                raise RequestError(f"labels[{place}] is empty: leave it out", field=f"labels[{place}]")
            if (first := seen.setdefault(label, place)) != place:
                raise RequestError(
                    f"labels[{place}] is {label!r}, as labels[{first}] is: say each once", field=f"labels[{place}]"
                )

    def _check_embed(self, request: Embed) -> None:
        if request.proteins:
            raise UnsupportedError(f"{self.name} embeds texts and images, not proteins", field="proteins")
        if request.texts and request.images:
            raise RequestError("texts and images are embedded in two requests: leave one of them out", field="images")
        if not request.texts and not request.images:
            raise RequestError("texts and images are empty: send at least one", field="texts")
        own = self.config.dimensions
        if request.dimensions not in (None, own):
            raise UnsupportedError(
                f"{self.name} makes vectors of {own} dimensions and cannot shorten them: leave `dimensions` out",
                field="dimensions",
            )

    @functools.cached_property
    def config(self) -> Config:
        return Config.read(self.path)

    @functools.cached_property
    def pictures(self) -> Pictures:
        return Pictures.read(self.path, self.config)

    def load(self) -> Weights:
        needed("numpy", self.extra)
        library, config, threads = needed("tokenizers", "onnx"), self.config, self.settings.threads
        try:
            tokenizer = library.Tokenizer.from_file(str(self.path / "tokenizer.json"))
        except Exception as error:  # it has no class of its own
            raise WeightsError(f"{self.path / 'tokenizer.json'} is not loaded: {error}. Get it again.") from error
        padding, name = tokenizer.padding or {}, pad_token(self.path)
        pad = padding.get("pad_id") if name is None else tokenizer.token_to_id(name)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        found = networks(self.path)
        network: Network | Exported
        if found[0].suffix == ".safetensors":
            network = Network(tensors(self.path), config, threads=threads)
        else:
            network = Exported(found, config, threads=threads)
        return Weights(tokenizer, network, config.pad if pad is None else pad)

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """A batch at a time, between which a request can be cancelled."""
        self.require(request)
        self.check(request)
        response: Any
        if isinstance(request, Classify):
            response = await self._classified(request)
        else:
            assert isinstance(request, Embed)
            response = await (self._embedded_images(request) if request.images else self._embedded_texts(request))
        yield Done(response=response)

    async def _classified(self, request: Classify) -> ClassifyResponse:
        pixels, notes = await self.in_thread(lambda: self._pixels(request.image, "image"))
        template = request.template or TEMPLATE
        prompts = tuple(template.replace("{}", label) for label in request.labels)
        if self._said is None or self._said[0] != prompts:  # many images are asked about with the same labels
            self._said = prompts, await self._text_vectors(prompts, "labels")
        said = self._said[1]
        return await self.in_thread(lambda: self._scored(request, pixels, said.vectors, notes + said.notes))

    _said: tuple[tuple[str, ...], Said] | None = None  # the labels asked about last

    def _scored(self, request: Classify, pixels: Array, texts: Array, notes: tuple[str, ...]) -> ClassifyResponse:
        np = needed("numpy", self.extra)
        network, several = self.weights().network, self.config.family == "clip"
        scale, bias = network.scale, network.bias
        if scale is None or bias is None:
            if not several:
                raise UnsupportedError(
                    f"{self.name} is two ONNX files, which do not have the numbers that make SigLIP's probabilities of "
                    "cosines: put its model.safetensors or model.onnx into the folder, or use `embed`"
                )
            scale, bias = SCALE, 0.0
            notes += (f"two ONNX files do not have CLIP's scale: it is taken to be {SCALE:g}, its largest",)
        logits = (texts @ _units(network.images(pixels[None]))[0]).astype(np.float64) * scale + bias
        if several:
            powers = np.exp(logits - logits.max())
            scores = powers / powers.sum()
            notes += ("of one label alone CLIP's probability is always 1: say what else it may be",) * (len(texts) == 1)
        else:
            scores = 1 / (1 + np.exp(-logits))
            notes += ("SigLIP judges each label by itself: the scores are independent, and not 1 together",)
        best = sorted(range(len(scores)), key=lambda place: -logits[place])
        labels = tuple(Label(label=request.labels[place], score=float(scores[place])) for place in best)
        return ClassifyResponse(model=self.name, labels=labels, notes=notes)

    async def _embedded_texts(self, request: Embed) -> EmbedResponse:
        said = await self._text_vectors(request.texts, "texts", truncate=request.truncate is True)
        usage = Usage.of_input(said.tokens)
        vectors = await self.in_thread(lambda: _rows(said.vectors))
        return EmbedResponse(model=self.name, vectors=vectors, usage=usage, notes=said.notes)

    async def _embedded_images(self, request: Embed) -> EmbedResponse:
        vectors: list[tuple[float, ...]] = []
        notes: list[str] = []
        for begin in range(0, len(request.images), AT_ONCE):
            some = request.images[begin : begin + AT_ONCE]
            found, told = await self.in_thread(functools.partial(self._image_vectors, some, begin))
            vectors += found
            notes += told
        return EmbedResponse(model=self.name, vectors=tuple(vectors), notes=tuple(notes))

    def _image_vectors(self, images: Sequence[Image], begin: int) -> tuple[Rows, list[str]]:
        np = needed("numpy", self.extra)
        seen = [self._pixels(image, f"images[{place}]") for place, image in enumerate(images, begin)]
        notes = [f"images[{place}]: {note}" for place, (_, own) in enumerate(seen, begin) for note in own]
        return _rows(_units(self.weights().network.images(np.stack([pixels for pixels, _ in seen])))), notes

    def _pixels(self, image: Image, field: str) -> tuple[Array, tuple[str, ...]]:
        """An image as the network takes it, and what is to be said of it. Needs no weights."""
        seen = picture(image, field=field)
        return self.pictures.pixels(seen.rgb, field), seen.notes

    async def _text_vectors(self, texts: Sequence[str], field: str, *, truncate: bool = False) -> Said:
        rows, longer = await self.in_thread(lambda: self._fitting(texts, field, truncate))
        found: list[Any] = [None] * len(rows)
        for places in batches(rows):
            some = [rows[place] for place in places]
            for place, vector in zip(places, await self.in_thread(functools.partial(self._ran, some)), strict=True):
                found[place] = vector
        note = (
            f"{longer} of {len(rows)} texts are longer than the {self.config.most} tokens that {self.name} takes: what"
        )
        cut = (f"{note} is beyond was left out, as `truncate` asks",) if longer else ()
        notes = (*cut, *(_alike(rows) if field == "labels" else ()))
        stacked = await self.in_thread(lambda: needed("numpy", self.extra).stack(found))
        return Said(stacked, sum(map(len, rows)), notes)

    def _fitting(self, texts: Sequence[str], field: str, truncate: bool) -> tuple[list[list[int]], int]:
        """The tokens of each text, none more than the network takes, and how many texts had more."""
        whole = self._tokens(texts)
        rows = [self._fit(row, f"{field}[{place}]", truncate) for place, row in enumerate(whole)]
        return rows, sum(len(row) > self.config.most for row in whole)

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        (tokenizer, _, _), config = self.weights(), self.config
        if config.family == "siglip":  # was trained on lower case, and not every tokenizer.json of it says so
            texts = [text.lower() for text in texts]
        rows = [list(encoded.ids) for encoded in tokenized(tokenizer, texts)]
        if config.family == "clip" and config.eos != 2 and not all(config.eos in row for row in rows):
            raise WeightsError(
                f"{self.path / 'tokenizer.json'} does not end a text with token {config.eos}, at which config.json "
                "has it read: get both files from the same model"
            )
        return rows

    def _fit(self, row: list[int], field: str, truncate: bool) -> list[int]:
        """A text's tokens; what ends it stays where it is cut."""
        most = self.config.most
        if len(row) <= most:
            return row
        if truncate:
            return [*row[: most - 1], row[-1]]
        raise ContextLengthError(
            f"{field} has {len(row)} tokens with what stands around it, and {self.name} takes {most}: shorten it",
            prompt_tokens=len(row),
            context_tokens=most,
            field=field,
        )

    def _ran(self, rows: Sequence[Sequence[int]]) -> Array:
        np = needed("numpy", self.extra)
        _, network, pad = self.weights()
        siglip = self.config.family == "siglip"
        ids = np.empty((len(rows), self.config.most if siglip else max(map(len, rows))), np.int64)
        for i, row in enumerate(rows):
            ids[i] = pad if siglip else row[-1]  # CLIP reads a text where its last token stands first, and not beyond
            ids[i, : len(row)] = row
        return _units(network.texts(ids))


def _alike(rows: Sequence[Sequence[int]]) -> tuple[str, ...]:
    """What is to be said of labels of the same tokens, whose scores are the same whatever is in the picture."""
    first: dict[tuple[int, ...], int] = {}
    for place, row in enumerate(rows):
        if (same := first.setdefault(tuple(row), place)) != place:
            return (
                f"labels[{place}] is to the model the same text as labels[{same}]: its tokenizer leaves out how they "
                "differ, or does not know their words",
            )
    return ()


def _rows(vectors: Array) -> Rows:
    return tuple(tuple(row.tolist()) for row in vectors)  # each for itself, as it holds up every other thread


def _units(vectors: Array) -> Array:
    """Rows at length 1."""
    lengths = (vectors * vectors).sum(axis=1, keepdims=True) ** 0.5
    return vectors / lengths.clip(1e-12)  # type: ignore[no-any-return]
