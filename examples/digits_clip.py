"""A tiny CLIP, trained here on 1,437 digits, then asked through trivet about 360 others: zero-shot, by words.

    python examples/digits_clip.py [FOLDER]        (needs: pip install "trivet[images,onnx,train]"; under a minute)

CLIP (https://arxiv.org/abs/2103.00020) has two networks, one for images and one for texts, which learn to put an image
and its caption in the same direction. Then any words are labels: the nearest one is the answer. What is made here is
no CLIP to use: it has seen nothing but scikit-learn's digits, which it learns in seconds, and knows a few dozen words.

Held out: 360 of the 1,797 digits, chosen before anything is trained; and the sentence that they are asked about with,
trivet's own "a photo of a LABEL.", which is in no caption. scikit-learn does not say who wrote a digit, so that both
parts may have some of one hand.

The folder that is written has Hugging Face's layout, so that transformers' CLIPModel reads it too.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
import tempfile
import time
from pathlib import Path

import trivet

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
    from safetensors.torch import save_file
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from torch import Tensor, nn
except ImportError as missing:
    sys.exit(f'{missing.name} is not installed. Install what training takes: pip install "trivet[train]"')
try:
    import onnxruntime  # noqa: F401
    import PIL.Image
except ImportError as missing:
    sys.exit(
        f'{missing.name} is not installed. Install what trivet runs a CLIP with: pip install "trivet[images,onnx]"'
    )

UNKNOWN, START, END = "<unk>", "<start>", "<end>"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NAMES = [(word, str(digit)) for digit, word in enumerate(WORDS)]  # "seven" or "7"
CAPTIONS = (
    "{}",
    "the digit {}",
    "a photo of the digit {}",
    "an image of the number {}.",
    "this is a handwritten {}",
    "a picture of a {}",
    "a scan of the figure {}.",
    "somebody wrote a {}.",
    "{}, a photo.",
    "a drawing of a {}.",
)
SIDE, PATCH, CHANNELS = 8, 4, 3
MEAN = DEVIATION = 0.5
LONGEST = 12  # tokens of a caption, with the two that stand around it
DIMENSIONS = 32  # of the space that both networks end in
TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
VISION = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
EPOCHS, BATCH, RATE = 60, 128, 3e-3


# --- the two networks, whose parts have the names that Hugging Face's CLIPModel gives them ------------------


class Layer(nn.Module):
    """Each place looks at the others (in a text: at those before it), then goes through a small network of its own."""

    def __init__(self, size: int, inner: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.self_attn = nn.ModuleDict({f"{part}_proj": nn.Linear(size, size) for part in ("q", "k", "v", "out")})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(size, inner), "fc2": nn.Linear(inner, size)})

    def forward(self, states: Tensor, causal: bool) -> Tensor:
        normed = self.layer_norm1(states)
        query, key, value = (
            self.self_attn[part](normed).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, S, size / heads)
            for part in ("q_proj", "k_proj", "v_proj")
        )
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
        states = states + self.self_attn["out_proj"](seen.transpose(1, 2).flatten(2))
        return states + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.layer_norm2(states))))


def layers(told: dict[str, int]) -> nn.ModuleDict:
    sizes = told["hidden_size"], told["intermediate_size"], told["num_attention_heads"]
    return nn.ModuleDict({"layers": nn.ModuleList(Layer(*sizes) for _ in range(told["num_hidden_layers"]))})


class TextModel(nn.Module):
    def __init__(self, words: int) -> None:
        super().__init__()
        size = TEXT["hidden_size"]
        tables = {"token_embedding": nn.Embedding(words, size), "position_embedding": nn.Embedding(LONGEST, size)}
        self.embeddings = nn.ModuleDict(tables)
        self.encoder, self.final_layer_norm = layers(TEXT), nn.LayerNorm(size)

    def forward(self, ids: Tensor, end: int) -> Tensor:
        """Captions (B, S) are read at the token that ends each."""
        places = self.embeddings["position_embedding"].weight[: ids.shape[1]]
        states = self.embeddings["token_embedding"](ids) + places
        for layer in self.encoder["layers"]:
            states = layer(states, causal=True)
        ends = (ids == end).int().argmax(dim=1)
        return self.final_layer_norm(states)[torch.arange(len(ids)), ends]


class VisionModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        size, places = VISION["hidden_size"], (SIDE // PATCH) ** 2 + 1
        patches = nn.Conv2d(CHANNELS, size, kernel_size=PATCH, stride=PATCH, bias=False)
        self.embeddings = nn.ModuleDict({"patch_embedding": patches, "position_embedding": nn.Embedding(places, size)})
        self.embeddings.register_parameter("class_embedding", nn.Parameter(torch.zeros(size)))
        self.pre_layrnorm = nn.LayerNorm(size)  # their spelling
        self.encoder, self.post_layernorm = layers(VISION), nn.LayerNorm(size)

    def forward(self, pixels: Tensor) -> Tensor:
        """Images (B, 3, 8, 8) are read at a place that is put before their patches."""
        patches = self.embeddings["patch_embedding"](pixels).flatten(2).transpose(1, 2)
        first = self.embeddings.class_embedding.expand(len(pixels), 1, -1)
        states = torch.cat([first, patches], dim=1) + self.embeddings["position_embedding"].weight
        states = self.pre_layrnorm(states)
        for layer in self.encoder["layers"]:
            states = layer(states, causal=False)
        return self.post_layernorm(states[:, 0])


class Clip(nn.Module):
    def __init__(self, words: int, end: int) -> None:
        super().__init__()
        self.end = end
        self.text_model, self.vision_model = TextModel(words), VisionModel()
        self.text_projection = nn.Linear(TEXT["hidden_size"], DIMENSIONS, bias=False)
        self.visual_projection = nn.Linear(VISION["hidden_size"], DIMENSIONS, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))  # as CLIP begins
        for part in self.modules():
            if isinstance(part, nn.Embedding):  # small, so that what is in a place is heard beside where it is
                nn.init.normal_(part.weight, std=0.02)

    def forward(self, pixels: Tensor, ids: Tensor) -> Tensor:
        """How well each image (row) fits each caption (column)."""
        images = F.normalize(self.visual_projection(self.vision_model(pixels)), dim=-1)
        texts = F.normalize(self.text_projection(self.text_model(ids, self.end)), dim=-1)
        return self.logit_scale.exp() * images @ texts.T


# --- words, digits and training -----------------------------------------------------------------------------


def make_tokenizer() -> Tokenizer:
    """Whole words: those of the captions. One that it does not know is <unk>."""
    split = pre_tokenizers.Whitespace()
    said = [caption.format(name) for caption in CAPTIONS for names in NAMES for name in names]
    words = sorted({word for text in said for word, _ in split.pre_tokenize_str(text)})
    vocabulary = {word: number for number, word in enumerate([*words, UNKNOWN, START, END])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), split
    tokenizer.add_special_tokens([UNKNOWN, START, END])
    around = [(token, vocabulary[token]) for token in (START, END)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=around)
    return tokenizer


def as_pixels(digits: np.ndarray) -> Tensor:
    """Digits (B, 8, 8) of 0 to 16 as the network takes them: three channels, -1 to 1."""
    bytes_ = (torch.tensor(digits, dtype=torch.float32) / 16 * 255).round()
    return ((bytes_ / 255 - MEAN) / DEVIATION)[:, None].expand(-1, CHANNELS, -1, -1)


def moved(pixels: Tensor) -> Tensor:
    """Each image a pixel up, down, left or right, or not at all, and with a little noise: so few are soon known by
    heart."""
    around = F.pad(pixels, (1, 1, 1, 1), value=-1.0)
    places = torch.randint(3, (len(pixels), 2)).tolist()
    cut = [image[:, y : y + SIDE, x : x + SIDE] for image, (y, x) in zip(around, places, strict=True)]
    return torch.stack(cut) + 0.2 * torch.randn_like(pixels)


def train(digits: np.ndarray, names: np.ndarray, tokenizer: Tokenizer) -> Clip:
    """Image and caption of a pair shall fit better than those of others, asked both ways (CLIP's figure 3). Several
    pairs of a batch are of the same digit, and each of their captions is as right as the other."""
    end = tokenizer.token_to_id(END)
    tokenizer.enable_padding(pad_id=end, pad_token=END)
    model = Clip(tokenizer.get_vocab_size(), end)
    pixels, rng = as_pixels(digits), np.random.default_rng(0)
    steps = EPOCHS * (len(digits) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=RATE, total_steps=steps, pct_start=0.1)
    for step in range(steps):
        some = rng.integers(len(digits), size=BATCH)
        captions = [rng.choice(CAPTIONS).format(rng.choice(NAMES[name])) for name in names[some]]
        ids = torch.tensor([encoded.ids for encoded in tokenizer.encode_batch(captions)])
        logits = model(moved(pixels[some]), ids)
        same = torch.tensor(names[some][:, None] == names[some], dtype=torch.float32)
        right = same / same.sum(dim=1, keepdim=True)
        loss = (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"  step {step:4} of {steps}, loss {loss.item():.3f}")
    return model


def write(folder: Path, model: Clip, tokenizer: Tokenizer) -> None:
    """A CLIP's folder as Hugging Face lays it out, with weights of 16 bits."""
    folder.mkdir(parents=True, exist_ok=True)
    end, side = tokenizer.token_to_id(END), {"height": SIDE, "width": SIDE}
    tokens = {"bos_token_id": end - 1, "eos_token_id": end, "pad_token_id": end}
    places = {"max_position_embeddings": LONGEST, "vocab_size": tokenizer.get_vocab_size()}
    config = {
        "model_type": "clip",
        "architectures": ["CLIPModel"],
        "projection_dim": DIMENSIONS,
        "text_config": TEXT | places | tokens | {"hidden_act": "gelu", "projection_dim": DIMENSIONS},
        "vision_config": VISION | {"image_size": SIDE, "patch_size": PATCH, "hidden_act": "gelu"},
    }
    preprocessing = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": SIDE},
        "crop_size": side,
        "resample": 3,  # bicubic
        "image_mean": [MEAN] * CHANNELS,
        "image_std": [DEVIATION] * CHANNELS,
    }
    for name, told in (("config", config), ("preprocessor_config", preprocessing)):
        (folder / f"{name}.json").write_text(json.dumps(told, indent=1) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": END}) + "\n")
    tokenizer.no_padding()
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file(
        {name: value.half().contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors"
    )


# --- asked through trivet -----------------------------------------------------------------------------------


def accuracy(folder: Path, digits: np.ndarray, names: np.ndarray, labels: list[str]) -> float:
    """The share of digits whose most likely label is theirs. Images are given as people have them: 0 to 1, and any
    other size would be scaled."""
    right = 0
    for digit, name in zip(digits, names, strict=True):
        answer = trivet.classify(digit / 16, labels, model=str(folder))
        right += answer.labels[0].label == labels[name]
    return right / len(digits)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a tiny CLIP on digits, and classify others with it, zero-shot.")
    parser.add_argument("folder", nargs="?", type=Path, help="a new folder for the model (default: a temporary one)")
    folder = (parser.parse_args().folder or Path(tempfile.mkdtemp(prefix="digits-clip-"))).resolve()
    if folder.is_dir() and any(folder.iterdir()):
        sys.exit(f"{folder} is not empty: name a new folder")
    begin = time.perf_counter()
    torch.manual_seed(0)
    torch.set_num_threads(1)  # so small a network is slower with several
    data = load_digits()
    split = train_test_split(data.images, data.target, test_size=360, random_state=0, stratify=data.target)
    digits, held_out, names, held_out_names = split
    print(f"Training on {len(digits):,} digits; {len(held_out)} others are held out.")
    least = math.log(BATCH / len(NAMES))
    print(
        f"Of a batch's {BATCH} captions a tenth is right for each digit: the loss can get to {least:.2f}, and not to 0."
    )
    tokenizer = make_tokenizer()
    model = train(digits, names, tokenizer)
    write(folder, model, tokenizer)
    size = sum(file.stat().st_size for file in folder.iterdir())
    took = time.perf_counter() - begin
    print(f"Trained here, on {len(digits):,} digits, in {took:.0f} s: {folder} ({size / 1000:.0f} kB)")
    for labels in (list(WORDS), [f"handwritten {word}" for word in WORDS], [str(digit) for digit in range(10)]):
        share = accuracy(folder, held_out, held_out_names, labels)
        print(f"Held-out digits, zero-shot, labels {labels[0]!r} to {labels[-1]!r}: {share:.1%} (by chance 10%)")
    show(folder, held_out[0])


def show(folder: Path, digit: np.ndarray) -> None:
    """What is said of one digit, and how to ask that in a terminal."""
    picture = folder / "digit.png"
    PIL.Image.fromarray((digit / 16 * 255).round().astype(np.uint8)).save(picture)
    answer = trivet.classify(picture, WORDS, model=str(folder))
    best = ", ".join(f"{label.label} {label.score:.3f}" for label in answer.labels[:3])
    print(f"The first of them, {picture}: {best}")
    asked = ["classify", str(picture), "--labels", ",".join(WORDS), "--model", str(folder)]
    print(f"Ask it yourself, by the words that it knows:\n  {shlex.join([sys.executable, '-m', 'trivet', *asked])}")


if __name__ == "__main__":
    main()
