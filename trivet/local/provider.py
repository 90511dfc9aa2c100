"""The provider `local`: embedded models by their name in the catalogue, or by the path of their weights."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivet import catalog
from trivet.errors import TrivetError, WeightsError
from trivet.local import weights
from trivet.local.loaded import HELD
from trivet.local.memory import Kept, Memory
from trivet.local.settings import LocalSettings
from trivet.model import Model, Provider, bottom

if TYPE_CHECKING:
    from trivet.local.llama import Llama, Reranker
    from trivet.local.loaded import Loaded

# What runs the catalogue's weights, by the word that it has for that: as strings, so that none is imported unasked.
ENGINES: dict[str, str] = {
    "llama.cpp": "trivet.local.llama:Llama",
    "efficientnet-lite": "trivet.local.images.efficientnet:EfficientNetLite",
    "fracast": "trivet.local.series:Fracast",
    "faster-whisper": "trivet.local.speech.whisper:Whisper",
    "piper": "trivet.local.speech.piper:Piper",
    "bert-embedder": "trivet.local.texts.embedder:Embedder",
    "bert-protein": "trivet.local.texts.protein:Protein",
    "rapidocr": "trivet.local.images.reader:Reader",
}

# What takes folders of the user's own. The `files` of its module has those that make a folder one of its, or none.
FOLDERS = (
    "trivet.local.speech.whisper:Whisper",
    "trivet.local.images.clip:Clip",  # before the next, as its folder may have all that one of the next has
    "trivet.local.texts.cross_encoder:CrossEncoder",
)


class Local(Provider):
    def __init__(self, settings: LocalSettings | None = None) -> None:
        self.settings = settings or LocalSettings()
        self.home = weights.home(self.settings.home)
        self._models: dict[str, Model] = {}
        limit = self.settings.memory_bytes
        self._memory = None if limit is None else Memory(limit)

    def names(self) -> tuple[str, ...]:
        return tuple(catalog.weights())

    def model(self, name: str) -> Model:
        """Raises `UnknownModelError`, and `WeightsError` where the weights are not here. Whether they are what they
        should be is looked at when they load, on the engine's thread: digests take a second a gigabyte."""
        if name not in self._models:
            file = weights.find(name, self.home, digests=False)
            entry = catalog.named(name)
            if entry.engine == "llama.cpp":
                opened: Llama | Reranker | Loaded[Any] = self._open(
                    file, f"local/{name}", lambda: weights.find(name, self.home)
                )
            else:
                module, _, kind = ENGINES[entry.engine].partition(":")
                make = getattr(importlib.import_module(module), kind)
                opened = make(
                    file.parent,
                    self.settings,
                    name=f"local/{name}",
                    license=entry.licence,
                    verify=lambda: weights.find(name, self.home),
                )
            self._models[name] = self._kept(opened)
        return self._models[name]

    def prepare(self) -> None:
        """Makes the models whose weights are here, and imports what would hold a server up when they are first used
        (`HELD`). What is missing or does not suit them is told to whoever asks for it."""
        for name in self.names():
            with contextlib.suppress(TrivetError):
                self.model(name)
        extras = {getattr(bottom(model), "extra", "") for model in self._models.values()}
        for library in dict.fromkeys(library for extra in extras for library in HELD.get(extra, ())):
            with contextlib.suppress(ImportError):
                importlib.import_module(library)

    def at(self, path: str) -> Model:
        """The model of a GGUF of the user's own, or of a folder that an engine takes (`FOLDERS`)."""
        key = os.path.abspath(os.path.expanduser(path))
        if key not in self._models:
            if os.path.isdir(key):
                opened: Llama | Reranker | Loaded[Any] = self._folder(Path(key), path)
            else:
                file = weights.verify_path(key, self.home, digests=False)
                opened = self._open(file, path, lambda: weights.verify_path(key, self.home))
            self._models[key] = self._kept(opened)
        return self._models[key]

    def _folder(self, folder: Path, name: str) -> Loaded[Any]:
        for engine in FOLDERS:
            module, _, kind = engine.partition(":")
            imported = importlib.import_module(module)
            if files := imported.files(folder):
                break
        else:
            raise WeightsError(
                f"{folder} is no folder that is known here. Name a GGUF file, the folder of a Whisper for CTranslate2 "
                "(model.bin, config.json, tokenizer.json, vocabulary.txt or .json), that of a CLIP or a SigLIP "
                "(config.json, preprocessor_config.json, tokenizer.json, model.safetensors or ONNX files), or that of "
                "a cross-encoder (model.onnx, tokenizer.json)."
            )

        def verify() -> None:
            for file in files:
                weights.unchanged(file, self.home)

        model: Loaded[Any] = getattr(imported, kind)(folder, self.settings, name=name, verify=verify)
        return model

    def _open(self, file: Path, name: str, verify: Callable[[], object]) -> Llama | Reranker:
        from trivet.local import gguf
        from trivet.local.llama import Llama, Reranker

        def verify_all() -> None:
            verify()
            for beside in (self.settings.draft, None if isinstance(model, Reranker) else model.projector.file):
                if beside is not None:
                    weights.verify_path(beside, self.home)

        kind = Reranker if gguf.read(file).ranks else Llama
        model: Llama | Reranker = kind(file, self.settings, name=name, verify=verify_all)
        return model

    def _kept(self, model: Llama | Reranker | Loaded[Any]) -> Model:
        return model if self._memory is None else Kept(model, model.engine_for, self._memory)

    async def close(self) -> None:
        for model in self._models.values():
            await model.close()
