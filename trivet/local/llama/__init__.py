"""GGUF models through llama.cpp, inside this process (package xllamacpp).

model.py    Llama: the contract; one method per task
body.py     a request as the JSON that the engine takes, and what it cannot honour refused
infill.py   a prompt of what stands before and after
images.py   images as the engine reads them
projector.py  which file makes embeddings of them, and whether it fits
tools.py    tool calls: by the model's template, or held by the grammar
schema.py   JSON Schemas as grammars; what they cannot hold, refused
answer.py   the engine's chunks as events
reranker.py Reranker: a query and a document, read together
engine.py   the loaded weights: threads, calls, cancellation, errors
"""

from trivet.local.llama.model import Llama
from trivet.local.llama.reranker import Reranker

__all__ = ["Llama", "Reranker"]
