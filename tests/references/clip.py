"""Writes clip.json: what transformers makes of the folders of `tests/clip_folders.py`. README.md here says how to run
it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from transformers import CLIPModel, PreTrainedTokenizerFast, SiglipModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from tests import clip_folders


def told(kind: str, folder: Path) -> dict[str, Any]:
    siglip = kind == "siglip"
    model = (SiglipModel if siglip else CLIPModel).from_pretrained(folder, attn_implementation="eager").eval()
    pad = "</s>" if siglip else "<end>"
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token=pad)
    filled = {"padding": "max_length", "max_length": 20} if siglip else {"padding": True}
    texts = tokenizer(list(clip_folders.TEXTS), return_tensors="pt", **filled)
    mask = {} if siglip else {"attention_mask": texts["attention_mask"]}
    processor = (SiglipImageProcessorPil if siglip else CLIPImageProcessorPil).from_pretrained(folder)
    pictures = [Image.fromarray(array) for array in clip_folders.pictures()]
    pixels = processor(pictures, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        found = model(input_ids=texts["input_ids"], pixel_values=pixels, **mask)
    return {
        "texts": found.text_embeds.tolist(),
        "images": found.image_embeds.tolist(),
        "logits": found.logits_per_image.tolist(),
        "pixels": [[float(image.mean()), float(image.std()), *image[:, 3, 5].tolist()] for image in pixels],
    }


versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
out: dict[str, Any] = {
    "origin": f"{versions}: CLIPModel and SiglipModel over the folders, TEXTS and pictures() of tests/clip_folders.py, "
    "written by tests/references/clip.py. `texts` and `images` are the vectors at length 1; `logits` are images x "
    "texts; `pixels` are each image's mean, deviation and one pixel, after the processors that use Pillow."
}
with tempfile.TemporaryDirectory() as at:
    for kind in ("clip", "legacy", "siglip"):
        out[kind] = told(kind, clip_folders.folder(Path(at) / kind, kind))
Path(__file__).with_suffix(".json").write_text(json.dumps(out, indent=1) + "\n")
