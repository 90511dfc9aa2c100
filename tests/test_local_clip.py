"""Texts and images in one space, by CLIPs and SigLIPs of a test's own: none is to be had as a package. Their weights
are numbers by chance, and what comes of them stands beside what transformers makes of the same folders
(`references/clip.json`). `test_digits_clip.py` has one that was trained."""

from __future__ import annotations

import asyncio
import io
import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import PIL.Image
import pytest
from onnx import TensorProto, helper, numpy_helper

import trivet
from tests import clip_folders
from tests.clip_folders import TEXTS, Array
from trivet.cli import main
from trivet.errors import ContextLengthError, RequestError, UnsupportedError, WeightsError
from trivet.local.images.clip import AT_ONCE, TEMPLATE, Clip, files
from trivet.local.provider import Local
from trivet.local.settings import LocalSettings
from trivet.types import Classify, Embed, Image, Request

REFERENCE = json.loads((Path(__file__).parent / "references" / "clip.json").read_text("utf-8"))
KINDS = ("clip", "legacy", "siglip")


def image(rgb: Array) -> Image:
    out = io.BytesIO()
    PIL.Image.fromarray(rgb).save(out, "PNG")
    return Image(data=out.getvalue())


PICTURES = tuple(map(image, clip_folders.pictures()))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    at = tmp_path_factory.mktemp("clip")
    return {kind: clip_folders.folder(at / kind, kind) for kind in KINDS}


def ask(folder: Path, *requests: Request) -> Any:
    """The answer, or those of several requests to one model."""

    async def asked() -> Any:
        model = Clip(folder, name="mine")
        try:
            return [await model.call(request) for request in requests]
        finally:
            await model.close()

    answers = asyncio.run(asked())
    return answers[0] if len(answers) == 1 else answers


def embed(folder: Path, **what: Any) -> Array:
    return np.array(ask(folder, Embed(**what)).vectors)


def cosines(a: Any, b: Any) -> Any:
    return (np.array(a) * np.array(b)).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def classify(at: Path, labels: tuple[str, ...], **changes: Any) -> Any:
    return ask(at, Classify(image=PICTURES[0], labels=labels, **changes))


# --- beside transformers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_where_transformers_has_them(kind: str, folders: dict[str, Path]) -> None:
    assert cosines(embed(folders[kind], texts=TEXTS), REFERENCE[kind]["texts"]).min() >= 0.9999


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_where_transformers_has_them(kind: str, folders: dict[str, Path]) -> None:
    assert cosines(embed(folders[kind], images=PICTURES), REFERENCE[kind]["images"]).min() >= 0.9999


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_scaled_cut_and_normalised_as_transformers_does(kind: str, folders: dict[str, Path]) -> None:
    pictures = Clip(folders[kind], name="mine").pictures
    for rgb, told in zip(clip_folders.pictures(), REFERENCE[kind]["pixels"], strict=True):
        found = pictures.pixels(rgb, "image")
        assert [found.mean(), found.std(ddof=1), *found[:, 3, 5]] == pytest.approx(told, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_transformers_logits(kind: str, folders: dict[str, Path]) -> None:
    requests = [Classify(image=one, labels=TEXTS, template="{}") for one in PICTURES]
    for response, logits in zip(ask(folders[kind], *requests), REFERENCE[kind]["logits"], strict=True):
        scores = {label.label: label.score for label in response.labels}
        told = np.array([math.log(scores[text]) for text in TEXTS])
        if kind == "siglip":  # each by itself
            expected = -np.log1p(np.exp(-np.array(logits)))
        else:
            expected = np.array(logits) - np.log(np.exp(logits).sum())
            assert sum(scores.values()) == pytest.approx(1)
        assert told == pytest.approx(expected, abs=1e-3)
        assert [label.score for label in response.labels] == sorted(scores.values(), reverse=True)


# --- batches, precisions, files -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_gives_the_same_as_one_by_one(kind: str, folders: dict[str, Path]) -> None:
    texts, pictures = TEXTS * 20, PICTURES * AT_ONCE
    together = ask(folders[kind], Embed(texts=texts), Embed(images=pictures))
    alone = ask(folders[kind], *[Embed(texts=(t,)) for t in TEXTS], *[Embed(images=(p,)) for p in PICTURES])
    vectors = [answer.vectors[0] for answer in alone]
    assert np.array(together[0].vectors) == pytest.approx(np.array(vectors[: len(TEXTS)] * 20), abs=1e-5)
    assert np.array(together[1].vectors) == pytest.approx(np.array(vectors[len(TEXTS) :] * AT_ONCE), abs=1e-5)


def test_many_images_run_a_few_at_a_time(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    own = Clip._image_vectors

    def seen(self: Clip, images: Any, begin: int) -> Any:
        ran.append(len(images))
        return own(self, images, begin)

    monkeypatch.setattr(Clip, "_image_vectors", seen)
    assert len(embed(folders["clip"], images=PICTURES * 6)) == 18
    assert ran == [8, 8, 2]


def test_tokens_of_texts_are_counted_and_images_have_none(folders: dict[str, Path]) -> None:
    texts, pictures = ask(folders["clip"], Embed(texts=("cat", "a dog")), Embed(images=PICTURES))
    assert texts.usage.input_tokens == 3 + 4  # <start> cat <end>
    assert pictures.usage.input_tokens is None


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_half_precision_are_taken(kind: str, folders: dict[str, Path], tmp_path: Path) -> None:
    halves = {name: array.astype(np.float16) for name, array in clip_folders.tensors(kind).items()}
    clip_folders.save(halves, clip_folders.described(tmp_path, kind) / "model.safetensors")
    assert cosines(embed(tmp_path, texts=TEXTS), REFERENCE[kind]["texts"]).min() >= 0.9999
    assert cosines(embed(tmp_path, images=PICTURES), REFERENCE[kind]["images"]).min() >= 0.9999


def test_weights_in_several_files_are_taken_by_their_index(folders: dict[str, Path], tmp_path: Path) -> None:
    clip_folders.described(tmp_path, "clip")
    tensors = clip_folders.tensors("clip")
    names = {name: f"model-0000{1 + (n % 2)}-of-00002.safetensors" for n, name in enumerate(tensors)}
    for file in set(names.values()):
        clip_folders.save({n: a for n, a in tensors.items() if names[n] == file}, tmp_path / file)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    assert embed(tmp_path, texts=TEXTS) == pytest.approx(embed(folders["clip"], texts=TEXTS))
    assert {file.name for file in files(tmp_path)} >= {"model.safetensors.index.json", *names.values()}
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"names model-00002-of-00002\.safetensors, which is not in the folder"):
        files(tmp_path)


# --- labels -------------------------------------------------------------------------------------------------


def test_a_label_is_asked_about_as_clips_authors_do(folders: dict[str, Path]) -> None:
    asked, plain = ask(
        folders["clip"],
        Classify(image=PICTURES[0], labels=("cat", "dog")),
        Classify(image=PICTURES[0], labels=("a photo of a cat.", "a photo of a dog."), template="{}"),
    )
    assert TEMPLATE == "a photo of a {}."
    assert [label.score for label in asked.labels] == [label.score for label in plain.labels]
    assert {label.label for label in asked.labels} == {"cat", "dog"}


def test_the_last_labels_are_not_read_again(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    own = Clip._ran

    def ran(self: Clip, rows: Any) -> Any:
        read.append(len(rows))
        return own(self, rows)

    monkeypatch.setattr(Clip, "_ran", ran)
    first, second, other = ask(
        folders["clip"],
        Classify(image=PICTURES[0], labels=("cat", "dog")),
        Classify(image=PICTURES[0], labels=("cat", "dog")),
        Classify(image=PICTURES[0], labels=("dog", "grass")),
    )
    assert read == [2, 2]
    assert first.labels == second.labels
    assert {label.label for label in other.labels} == {"dog", "grass"}


def test_every_label_is_told_whatever_top_says(folders: dict[str, Path]) -> None:
    assert len(classify(folders["clip"], ("cat", "dog", "grass"), top=1).labels) == 3


def test_what_siglips_scores_are_is_said(folders: dict[str, Path]) -> None:
    response = classify(folders["siglip"], ("cat", "dog"))
    assert response.notes == ("SigLIP judges each label by itself: the scores are independent, and not 1 together",)


@pytest.mark.parametrize("same", ["Cat", "cat "])
def test_labels_that_are_one_text_to_the_model_are_told(same: str, folders: dict[str, Path]) -> None:
    response = classify(folders["clip"], ("dog", "cat", same))
    assert response.notes == (
        "labels[2] is to the model the same text as labels[1]: its tokenizer leaves out how they differ, or does not "
        "know their words",
    )


def test_that_one_label_alone_means_nothing_is_said(folders: dict[str, Path]) -> None:
    response = classify(folders["clip"], ("cat",))
    assert response.labels[0].score == 1
    assert response.notes == ("of one label alone CLIP's probability is always 1: say what else it may be",)


@pytest.mark.parametrize(
    ("labels", "changes", "why"),
    [
        ((), {}, "has no labels of its own: say which to choose from"),
        (("cat", " "), {}, r"labels\[1\] is empty"),
        (("cat", "dog", "cat"), {}, r"labels\[2\] is 'cat', as labels\[0\] is: say each once"),
        (("cat",), {"template": "a photo"}, "template is 'a photo', and must have {} once"),
        (("cat",), {"extra": {"temperature": 3}}, "does not know temperature"),
    ],
)
def test_labels_that_cannot_be_chosen_from_are_refused_before_the_weights_load(
    labels: tuple[str, ...], changes: dict[str, Any], why: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=why):
        classify(clip_folders.described(tmp_path, "clip"), labels, **changes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_that_is_too_long_is_refused_and_not_cut(kind: str, folders: dict[str, Path]) -> None:
    fits = " ".join(["cat"] * 12)
    assert len(classify(folders[kind], (fits, "dog")).labels) == 2
    with pytest.raises(ContextLengthError, match=r"labels\[1\] has \d+ tokens .* mine takes 20: shorten it"):
        classify(folders[kind], ("dog", "cat " * 20))


# --- embed --------------------------------------------------------------------------------------------------


def test_a_text_that_is_too_long_is_refused_and_cut_where_that_is_asked_for(folders: dict[str, Path]) -> None:
    long, cut = "cat " * 30, " ".join(["cat"] * 18)  # 18 and what stands around them: 20
    with pytest.raises(ContextLengthError, match=r"texts\[1\] has 32 tokens with what stands around it") as refused:
        embed(folders["clip"], texts=("dog", long))
    assert (refused.value.prompt_tokens, refused.value.context_tokens) == (32, 20)
    response = ask(folders["clip"], Embed(texts=("dog", long), truncate=True))
    assert response.vectors[1] == pytest.approx(embed(folders["clip"], texts=(cut,))[0], abs=1e-5)
    assert response.notes == (
        "1 of 2 texts are longer than the 20 tokens that mine takes: what is beyond was left out, as `truncate` asks",
    )


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ({"texts": ("cat",), "images": PICTURES}, "embedded in two requests"),
        ({}, "texts and images are empty"),
        ({"proteins": ("EVQL",)}, "not proteins"),
        ({"texts": ("cat",), "dimensions": 8}, "makes vectors of 24 dimensions and cannot shorten them"),
        ({"images": (PICTURES[0], Image(data=b"no image"))}, "This is not an image"),
    ],
)
def test_what_cannot_be_embedded_is_refused_before_the_weights_load(
    what: dict[str, Any], why: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=why):
        embed(clip_folders.described(tmp_path, "clip"), **what)


def test_an_image_at_fault_is_named_by_its_place(folders: dict[str, Path]) -> None:
    with pytest.raises(RequestError) as refused:
        embed(folders["clip"], images=(*PICTURES * 4, Image(data=b"no image")))
    assert refused.value.field == "images[12]"


def test_its_own_dimensions_may_be_asked_for(folders: dict[str, Path]) -> None:
    assert embed(folders["clip"], texts=("cat",), dimensions=24).shape == (1, 24)
    assert embed(folders["siglip"], images=PICTURES, dimensions=40).shape == (3, 40)


def test_a_strip_is_refused_where_only_its_middle_would_be_seen(folders: dict[str, Path]) -> None:
    strip = image(np.zeros((4, 404, 3), np.uint8))
    with pytest.raises(RequestError, match="strip of 404 x 4 pixels"):
        embed(folders["clip"], images=(strip,))
    assert len(embed(folders["siglip"], images=(strip,))) == 1  # which squeezes it


def test_black_stands_around_a_picture_that_is_smaller_than_what_is_cut_out(tmp_path: Path) -> None:
    told = clip_folders.preprocessing("clip") | {"do_resize": False, "do_normalize": False}
    (clip_folders.described(tmp_path, "clip") / "preprocessor_config.json").write_text(json.dumps(told))
    pixels = Clip(tmp_path, name="mine").pictures.pixels(np.full((5, 8, 3), 255, np.uint8), "image")
    assert pixels.shape == (3, 32, 32)
    assert pixels.sum() == pytest.approx(3 * 5 * 8)
    assert (pixels[:, 14:19, 12:20] == 1).all()  # as transformers' center_crop puts it


# --- the folder ---------------------------------------------------------------------------------------------


def test_by_path_from_python(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIVET_HOME", str(tmp_path))
    name, picture = str(folders["clip"]), clip_folders.pictures()[0]
    shown = trivet.classify(picture, ["cat", "dog"], model=name)
    images, texts = trivet.embed(images=[picture], model=name), trivet.embed(TEXTS, model=name)
    assert (np.array(images.vectors) @ np.array(texts.vectors).T).shape == (1, len(TEXTS))
    assert shown.model == name


def test_a_folder_that_has_changed_is_taken_again_with_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one whose model was trained anew."""
    monkeypatch.setenv("TRIVET_HOME", str(tmp_path / "home"))
    at = clip_folders.folder(tmp_path / "mine", "clip")

    def first() -> tuple[float, ...]:
        async def asked() -> Any:
            opened = Local()
            try:
                return await opened.at(str(at)).call(Embed(texts=("cat",)))
            finally:
                await opened.close()

        found: tuple[float, ...] = asyncio.run(asked()).vectors[0]
        return found

    before = first()
    clip_folders.save(clip_folders.tensors("legacy"), at / "model.safetensors")
    (at / "tokenizer_config.json").write_text('{"pad_token": "<end>", "changed": true}')
    with pytest.raises(WeightsError, match="has changed since it was first used"):
        first()
    assert main(["pull", str(at)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert first() != before


def test_a_folder_with_an_onnx_file_is_no_cross_encoder(tmp_path: Path) -> None:
    export(clip_folders.described(tmp_path / "mine", "clip"), "clip")
    model = Local(LocalSettings(home=str(tmp_path))).at(str(tmp_path / "mine"))
    assert isinstance(model, Clip)
    assert model.about.tasks == ("classify", "embed")


@pytest.mark.parametrize("missing", ["tokenizer.json", "preprocessor_config.json"])
def test_what_a_folder_lacks_is_named(missing: str, tmp_path: Path) -> None:
    (clip_folders.folder(tmp_path, "clip") / missing).unlink()
    with pytest.raises(WeightsError, match=f"has the config.json of a CLIP and no {missing}"):
        Local(LocalSettings(home=str(tmp_path))).at(str(tmp_path))


def test_how_pictures_are_wanted_may_be_a_part_of_processor_config(folders: dict[str, Path], tmp_path: Path) -> None:
    """As transformers 5.24.0's CLIPProcessor.save_pretrained writes it."""
    clip_folders.folder(tmp_path, "clip")
    (own := tmp_path / "preprocessor_config.json").unlink()
    told = {"image_processor": clip_folders.preprocessing("clip"), "processor_class": "CLIPProcessor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(told))
    assert tmp_path / "processor_config.json" in files(tmp_path)
    assert own not in files(tmp_path)
    assert embed(tmp_path, images=PICTURES) == pytest.approx(embed(folders["clip"], images=PICTURES))
    (tmp_path / "processor_config.json").write_text('{"image_processor": {"size": {}}}')
    with pytest.raises(WeightsError, match=r"processor_config\.json cannot be used: KeyError\('height'\)"):
        embed(tmp_path, images=PICTURES)


def test_a_size_that_is_not_known_here_is_refused_and_not_read_in_part(tmp_path: Path) -> None:
    told = clip_folders.preprocessing("clip") | {"size": {"shortest_edge": 32, "longest_edge": 40}}
    (clip_folders.folder(tmp_path, "clip") / "preprocessor_config.json").write_text(json.dumps(told))
    with pytest.raises(WeightsError, match=r"preprocessor_config\.json cannot be used: .*longest_edge \(40\)"):
        embed(tmp_path, images=PICTURES)


def test_a_folder_without_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"has the config\.json of a CLIP and no network"):
        files(clip_folders.described(tmp_path, "siglip"))


def test_a_folder_of_another_kind_is_none(tmp_path: Path) -> None:
    (clip_folders.folder(tmp_path, "clip") / "config.json").write_text('{"model_type": "siglip2"}')
    assert files(tmp_path) == ()
    (tmp_path / "config.json").write_text("[")
    assert files(tmp_path) == ()


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    clip_folders.described(tmp_path, "clip")
    clip_folders.save(clip_folders.tensors("siglip"), tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="have no tensor"):
        embed(tmp_path, texts=("cat",))


@pytest.mark.parametrize(
    ("part", "field", "value", "why"),
    [
        ("text_config", "hidden_act", "relu", "hidden_act 'relu', and known are quick_gelu"),
        ("text_config", "eos_token_id", 7, "does not end a text with token 7"),
        ("vision_config", "image_size", 40, "makes images of 32 x 32 pixels, and the network .* takes 40 x 40"),
        ("vision_config", "num_attention_heads", "two", "cannot be used"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    part: str, field: str, value: Any, why: str, tmp_path: Path
) -> None:
    told = clip_folders.config("clip")
    told[part][field] = value
    (clip_folders.folder(tmp_path, "clip") / "config.json").write_text(json.dumps(told))
    with pytest.raises(WeightsError, match=why):
        classify(tmp_path, ("cat",))


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_weights_are_taken_as_they_lie_in_the_file(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What numpy takes while they load: three matrices of an attention are put into one, and nothing else is copied."""
    told = clip_folders.config(kind)
    for tower in ("text_config", "vision_config"):
        told[tower] |= {"hidden_size": 320, "intermediate_size": 1280}
    told["text_config"]["projection_size"] = 320
    monkeypatch.setattr(clip_folders, "config", lambda _: told)
    clip_folders.folder(tmp_path, kind)
    model = Clip(tmp_path, name="mine")
    model.load()  # what it imports takes memory, too
    tracemalloc.start()
    model.load()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * (tmp_path / "model.safetensors").stat().st_size


# --- ONNX ---------------------------------------------------------------------------------------------------


def export(at: Path, kind: str, *, parts: tuple[str, ...] = ("model",), images: int | str = "i") -> None:
    """Networks with the inputs and outputs of Optimum's (`model`) or transformers.js's (`text_model`, `vision_model`)
    exports, made here of as little as will do: a text is the sum of its tokens' rows of a table, an image that of its
    channels' means. Logits are 30 times the cosine, for a SigLIP less 4. `images` is how many it takes at once."""
    siglip = kind == "siglip"
    rng, wide = np.random.default_rng(3), 40 if siglip else 24
    weights = {
        "table": rng.standard_normal((len(clip_folders.vocabulary(kind)), wide)).astype(np.float32),
        "colours": rng.standard_normal((3, wide)).astype(np.float32),
        "scale": np.array(30, np.float32),
        "bias": np.array(-4 if siglip else 0, np.float32),
        "second": np.array([1]),
        "last": np.array([-1]),
        "places": np.array([2, 3]),
    }
    text = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["counts"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["counts", "last"], ["mask"]),
        helper.make_node("Mul", ["rows", "mask"], ["counted"]),
        helper.make_node("ReduceSum", ["counted", "second"], ["text_embeds"], keepdims=0),
    ]
    vision = [
        helper.make_node("ReduceMean", ["pixel_values", "places"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "colours"], ["image_embeds"]),
    ]
    together = [
        helper.make_node("LpNormalization", ["text_embeds"], ["text"]),
        helper.make_node("LpNormalization", ["image_embeds"], ["image"]),
        helper.make_node("Transpose", ["text"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["image", "turned"], ["cosines"]),
        helper.make_node("Mul", ["cosines", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], ["logits_per_image"]),
    ]
    shape = ["t", 20 if siglip else "s"]  # what a SigLIP is given is filled up, always
    ids = [helper.make_tensor_value_info(n, TensorProto.INT64, shape) for n in ("input_ids", "attention_mask")]
    pixels = [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, [images, 3, "h", "w"])]
    made = {
        "model": (text + vision + together, ids + pixels, ("logits_per_image", "text_embeds", "image_embeds")),
        "text_model": (text, ids, ("text_embeds",)),
        "vision_model": (vision, pixels, ("image_embeds",)),
    }
    for part in parts:
        nodes, inputs, names = made[part]
        used = {name for node in nodes for name in node.input}
        kept = [numpy_helper.from_array(array, name) for name, array in weights.items() if name in used]
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["a", "b"]) for name in names]
        graph = helper.make_graph(nodes, part, inputs, outputs, kept)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        (at / "onnx").mkdir(exist_ok=True)
        onnx.save(model, at / "onnx" / f"{part}.onnx")


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_an_onnx_export_of_both_networks_is_taken_with_its_scale(kind: str, tmp_path: Path) -> None:
    export(clip_folders.described(tmp_path, kind), kind)
    labels = ("cat", "dog", "grass", "house")
    prompts = tuple(TEMPLATE.replace("{}", label) for label in labels)
    response, images, texts = ask(
        tmp_path,
        Classify(image=PICTURES[0], labels=labels),
        Embed(images=PICTURES[:1]),
        Embed(texts=prompts),
    )
    logits = 30 * np.array(texts.vectors) @ np.array(images.vectors)[0] - 4 * (kind == "siglip")
    scores = 1 / (1 + np.exp(-logits)) if kind == "siglip" else np.exp(logits) / np.exp(logits).sum()
    assert {label.label: label.score for label in response.labels} == pytest.approx(
        dict(zip(labels, scores.tolist(), strict=True)), rel=1e-3
    )


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_two_onnx_files_give_the_same_vectors_as_one(kind: str, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    export(clip_folders.described(one, kind), kind)
    export(clip_folders.described(two, kind), kind, parts=("text_model", "vision_model"))
    assert [file.name for file in files(two)][-2:] == ["text_model.onnx", "vision_model.onnx"]
    for what in ({"texts": TEXTS}, {"images": PICTURES}):
        assert embed(two, **what) == pytest.approx(embed(one, **what), abs=1e-6)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_what_a_tower_pools_is_a_siglips_vector_and_none_of_a_clips(kind: str, tmp_path: Path) -> None:
    export(clip_folders.described(tmp_path, kind), kind, parts=("text_model", "vision_model"))
    model = onnx.load(file := tmp_path / "onnx" / "text_model.onnx")
    model.graph.output[0].name = model.graph.node[-1].output[0] = "pooler_output"
    onnx.save(model, file)
    if kind == "siglip":
        assert len(embed(tmp_path, texts=TEXTS)) == len(TEXTS)
    else:
        with pytest.raises(
            WeightsError, match=r"text_model\.onnx gives pooler_output, and not text_embeds: export the whole"
        ):
            embed(tmp_path, texts=TEXTS)


def test_that_two_onnx_files_lack_clips_scale_is_said(tmp_path: Path) -> None:
    export(clip_folders.described(tmp_path, "clip"), "clip", parts=("text_model", "vision_model"))
    assert classify(tmp_path, ("cat", "dog")).notes == (
        "two ONNX files do not have CLIP's scale: it is taken to be 100, its largest",
    )


def test_two_onnx_files_of_a_siglip_have_no_probabilities(tmp_path: Path) -> None:
    export(clip_folders.described(tmp_path, "siglip"), "siglip", parts=("text_model", "vision_model"))
    with pytest.raises(UnsupportedError, match=r"put its model\.safetensors or model\.onnx into the folder"):
        classify(tmp_path, ("cat", "dog"))


def test_an_onnx_file_that_takes_one_image_only_is_told_so(tmp_path: Path) -> None:
    export(clip_folders.described(tmp_path, "clip"), "clip", images=1)
    assert len(embed(tmp_path, images=PICTURES[:1])) == 1
    with pytest.raises(
        WeightsError, match=r"model\.onnx does not run: .* Export it with any number of texts and images"
    ):
        embed(tmp_path, images=PICTURES)


def test_a_damaged_onnx_file_is_named(tmp_path: Path) -> None:
    (clip_folders.described(tmp_path, "clip") / "model.onnx").write_bytes(b"\x08")
    with pytest.raises(WeightsError, match=r"model\.onnx is not loaded"):
        embed(tmp_path, texts=("cat",))
