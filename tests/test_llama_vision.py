"""Images in a chat with an embedded model: the real SmolLM2, with a projector whose numbers are known
(`small_projector`): a picture of colours is read as the words for them."""

from __future__ import annotations

import asyncio
import io
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from tests.engines import NAME, all_free, complete, events, opened, opening, smollm2
from tests.small_projector import MODEL, file, looks_both_ways, pixels, projector, puts_marks_around, seen
from trivet.cli import main
from trivet.errors import ConfigError, ContextLengthError, RequestError, UnsupportedError, WeightsError
from trivet.local import gguf
from trivet.local.llama import Llama, images, infill
from trivet.local.provider import Local
from trivet.local.settings import LocalSettings
from trivet.model import Model
from trivet.types import (
    Chat,
    ChatResponse,
    CountTokens,
    CountTokensResponse,
    Image,
    Message,
    Output,
    Part,
    Sampling,
    Start,
    Text,
    ToolCall,
    ToolResult,
    assistant,
    replace,
    user,
)

COLD = Sampling(temperature=0, max_tokens=6, logprobs=0)
WORDS = ("red", "blue", "green", "white")


@pytest.fixture(scope="module")
def mmproj(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return projector(tmp_path_factory.mktemp("projector") / "mmproj.gguf")


@pytest.fixture(scope="module")
def sighted(mmproj: Path) -> Iterator[Llama]:
    """One slot, so that every request finds in it what the one before has left."""
    with opened(projector=str(mmproj)) as model:
        yield model


async def ask(model: Model, *content: str | Part, **fields: Any) -> ChatResponse:
    response = await model.call(Chat(messages=(user(*content),), **{"sampling": COLD} | fields))
    assert isinstance(response, ChatResponse)
    return response


def probabilities(response: ChatResponse) -> list[tuple[str, float]]:
    (choice,) = response.choices
    assert choice.logprobs is not None
    return [(t.token, t.logprob) for t in choice.logprobs]


def same(one: ChatResponse, other: ChatResponse) -> bool:
    """Whether two answers are the same, token for token and to a thousandth of each one's probability."""
    a, b = probabilities(one), probabilities(other)
    return [t for t, _ in a] == [t for t, _ in b] and np.allclose([p for _, p in a], [p for _, p in b], atol=1e-3)


# --- what it sees ------------------------------------------------------------------------------------------


async def test_a_picture_of_colours_is_read_as_their_words(sighted: Llama) -> None:
    picture = await ask(sighted, "Repeat:", seen(*WORDS), " end")
    assert same(picture, await ask(sighted, "Repeat: red blue green white end"))
    assert not same(picture, await ask(sighted, "Repeat: white green blue red end"))


STORED = {
    "a palette": lambda picture: file(picture.convert("P")),
    "WebP": lambda picture: file(picture, "WEBP", lossless=True),
    "GIF": lambda picture: file(picture, "GIF"),
    "a photo on its head": lambda picture: file(picture.rotate(180), exif=_turned()),
    "transparent": lambda picture: file(_without_white(picture)),
    "16 bits": lambda picture: file(picture.convert("L").convert("I;16").point(lambda v: v * 257)),
}


def _turned() -> Picture.Exif:
    exif = Picture.Exif()
    exif[0x0112] = 3  # Orientation: rotated by 180 degrees
    return exif


def _without_white(picture: Picture.Image) -> Picture.Image:
    """Where it was white it is black, and cannot be seen."""
    white = np.asarray(picture).min(axis=2) == 255
    alpha = Picture.fromarray(np.where(white, 0, 255).astype(np.uint8))
    bare = Picture.fromarray(np.where(white[:, :, None], 0, np.asarray(picture)).astype(np.uint8))
    bare.putalpha(alpha)
    return bare


@pytest.mark.parametrize("kind", STORED)
async def test_it_sees_the_same_however_the_picture_is_stored(sighted: Llama, kind: str) -> None:
    picture = pixels(*WORDS) if kind != "16 bits" else pixels("white", "white", "white", "white")
    as_png = await ask(sighted, "Repeat:", Image(data=file(picture)))
    assert same(as_png, await ask(sighted, "Repeat:", Image(data=STORED[kind](picture))))


async def test_the_engine_reads_a_jpeg_as_it_would_be_decoded_here(sighted: Llama) -> None:
    """Where colours have fewer pixels than light, the readers differ by a few levels at edges."""
    jpeg = file(pixels(*WORDS), "JPEG", quality=90, subsampling=0)
    as_png = file(Picture.open(io.BytesIO(jpeg)))
    assert same(await ask(sighted, "Repeat:", Image(data=jpeg)), await ask(sighted, "Repeat:", Image(data=as_png)))


async def test_pictures_stand_where_they_were_put_in_every_turn(sighted: Llama) -> None:
    def turns(first: str | Part, second: str | Part, third: str | Part) -> Chat:
        return Chat(
            messages=(user("One:", first, " two:", second, " what?"), assistant("Colours."), user("And:", third)),
            sampling=COLD,
        )

    pictures = await sighted.call(turns(seen(*WORDS), seen(*WORDS[::-1]), seen("red", "red", "red", "red")))
    first = "One: red blue green white two: white green blue red what?"
    second = "And: red red red red"
    told = await sighted.call(Chat(messages=(user(first), assistant("Colours."), user(second)), sampling=COLD))
    assert isinstance(pictures, ChatResponse)
    assert isinstance(told, ChatResponse)
    assert same(pictures, told)


async def test_a_tool_may_answer_with_a_picture(sighted: Llama) -> None:
    def asked(*content: Any) -> Chat:
        call = Message(role="assistant", content=(ToolCall(id="1", name="look", arguments="{}"),))
        result = Message(role="user", content=(ToolResult(call_id="1", content=content),))
        return Chat(messages=(user("Look."), call, result), sampling=COLD)

    picture = await sighted.call(asked(Text(text="I see"), seen(*WORDS)))
    told = await sighted.call(asked(Text(text="I see red blue green white")))
    assert isinstance(picture, ChatResponse)
    assert isinstance(told, ChatResponse)
    assert same(picture, told)


async def test_a_schema_holds_what_is_said_of_a_picture(sighted: Llama) -> None:
    answer = await ask(sighted, seen(*WORDS), output=Output(schema={"enum": ["a cat", "a dog"]}))
    assert answer.text in ('"a cat"', '"a dog"')


async def test_only_the_first_of_several_frames_is_seen_and_the_answer_says_so(sighted: Llama) -> None:
    frames = [pixels(*WORDS), pixels(*WORDS[::-1])]
    moving = Image(data=file(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    found = await events(sighted, Chat(messages=(user("Repeat:", moving),), sampling=COLD))
    assert isinstance(found[0], Start)
    (note,) = found[0].notes
    assert note == "messages[0].content[1]: Only the first of the image's 2 frames or pages was looked at."
    answer = found[-1].response  # type: ignore[union-attr]
    assert isinstance(answer, ChatResponse)
    assert answer.notes == (note,)
    assert same(answer, await ask(sighted, "Repeat:", seen(*WORDS)))


async def test_an_image_that_looks_both_ways_is_read_as_one_whatever_the_batch_is(tmp_path: Path) -> None:
    """llama.cpp cuts it up without a word where the batch is smaller, and the answer is another one."""
    path = str(looks_both_ways(tmp_path / "mmproj.gguf"))
    async with opening(projector=path, batch=64) as narrow, opening(projector=path, batch=512) as wide:
        assert same(await ask(narrow, "What?", seen(*WORDS)), await ask(wide, "What?", seen(*WORDS)))


# --- nothing is shared by pictures that differ ---------------------------------------------------------------


async def test_two_pictures_with_the_same_words_never_share_an_answer(sighted: Llama) -> None:
    one, other = seen(*WORDS), seen(*WORDS[::-1])
    first = await ask(sighted, "Name the colours:", one)
    second = await ask(sighted, "Name the colours:", other)
    again = await ask(sighted, "Name the colours:", one)
    assert not same(first, second)
    assert same(first, again)
    assert same(second, await ask(sighted, "Name the colours: white green blue red"))


async def test_the_same_pixels_in_another_shape_are_another_picture(sighted: Llama) -> None:
    """llama.cpp knows a picture again by a digest of its pixels."""
    wide = Picture.new("RGB", (64, 32), (255, 0, 0))
    wide.paste((0, 255, 0), (32, 0, 64, 32))
    tall = Picture.frombytes("RGB", (32, 64), wide.tobytes())
    answers = [await ask(sighted, "What is it?", Image(data=file(p))) for p in (wide, tall, wide)]
    assert not same(answers[0], answers[1])
    assert same(answers[0], answers[2])


async def test_pictures_that_are_asked_about_at_once_are_told_apart(mmproj: Path) -> None:
    one, other = seen(*WORDS), seen(*WORDS[::-1])
    async with opening(projector=str(mmproj), slots=2) as model:
        alone = [await ask(model, "Name them:", image) for image in (one, other)]
        together = await asyncio.gather(*(ask(model, "Name them:", image) for image in (other, one, one, other)))
        twice = await ask(model, "Name them:", one, sampling=replace(COLD, logprobs=None, n=2))
    assert not same(*alone)
    assert all(same(alone[i], answer) for i, answer in zip((1, 0, 0, 1), together, strict=True))
    assert {choice.message.text for choice in twice.choices} == {alone[0].text}
    assert twice.usage.input_tokens == alone[0].usage.input_tokens


async def test_the_next_turn_finds_the_picture_in_the_cache(sighted: Llama) -> None:
    before = await ask(sighted, "This picture", seen(*WORDS))
    after = Chat(messages=(user("This picture", seen(*WORDS)), before.message, user("And now?")), sampling=COLD)
    usage = (await sighted.call(after)).usage
    assert usage.cache_read_tokens is not None
    assert before.usage.input_tokens is not None
    assert usage.cache_read_tokens >= before.usage.input_tokens - 1


async def test_answers_are_cached_for_each_projector_by_itself(tmp_path: Path) -> None:
    model = tmp_path / smollm2().name
    model.hardlink_to(smollm2())
    blind = Llama(model).revision
    projector(tmp_path / "mmproj.gguf")
    seeing = Llama(model).revision
    projector(tmp_path / "mmproj.gguf", **{"general.name": "another"})
    assert len({blind, seeing, Llama(model).revision}) == 3


# --- counts ------------------------------------------------------------------------------------------------


async def test_a_picture_counts_as_the_tokens_that_it_is(sighted: Llama) -> None:
    messages = (user("Repeat:", seen(*WORDS), " end"),)
    answer = await ask(sighted, *messages[0].content)
    told = await ask(sighted, "Repeat: red blue green white end")
    counted = await sighted.call(CountTokens(messages=messages))
    assert isinstance(counted, CountTokensResponse)
    assert answer.usage.input_tokens == told.usage.input_tokens == counted.input_tokens


async def test_pictures_that_do_not_fit_are_refused_and_counted(sighted: Llama) -> None:
    many = [seen(*WORDS)] * 150
    with pytest.raises(ContextLengthError) as refused:
        await ask(sighted, *many)
    counted = await sighted.call(CountTokens(messages=(user(*many),)))
    assert isinstance(counted, CountTokensResponse)
    assert refused.value.prompt_tokens == counted.input_tokens > 4 * 150


async def test_leaving_a_stream_about_a_picture_frees_its_slot(sighted: Llama) -> None:
    asked = Chat(messages=(user("Tell a long story about", seen(*WORDS)),), sampling=Sampling(max_tokens=300))
    async with aclosing(sighted.stream(asked)) as stream:
        async for _ in stream:
            break
    await all_free(sighted)


# --- what it refuses, before it loads ----------------------------------------------------------------------------


def _claims(width: int, height: int) -> bytes:
    """A PNG that says so in its header."""
    png = bytearray(file(pixels(*WORDS)))
    png[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    png[29:33] = zlib.crc32(bytes(png[12:29])).to_bytes(4, "big")
    return bytes(png)


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (Image(data=b"GIF, I promise"), "not an image"),
        (Image(data=b""), "no bytes at all"),
        (Image(data=_claims(0, 0)), "0 x 0"),
        (Image(data=_claims(20_000, 20_000)), "more than 100,000,000 pixels"),
        (Image(data=file(pixels(*WORDS))[:80]), "damaged or cut short"),
        (Image(url="https://example.com/cat.png"), "embedded models fetch nothing"),
        (replace(seen(*WORDS), detail="low"), "detail"),
    ],
    ids=["text", "nothing", "no pixels", "too many pixels", "cut short", "an address", "detail"],
)
async def test_what_is_no_picture_is_refused_with_its_place(mmproj: Path, image: Image, says: str) -> None:
    model = Llama(smollm2(), LocalSettings(projector=str(mmproj)))
    with pytest.raises(RequestError, match=re.escape(says)) as refused:
        await ask(model, "What is it?", image)
    assert (refused.value.field or "").startswith("messages[0].content[1]")
    assert not model.engine.loaded


async def test_images_are_counted_together(mmproj: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine has all of a request's decoded at once."""
    monkeypatch.setattr(images, "MOST_TOGETHER", 2 * 32 * 32)
    model = Llama(smollm2(), LocalSettings(projector=str(mmproj)))
    with pytest.raises(RequestError, match="more than 2,048 pixels together") as refused:
        await ask(model, *[seen(*WORDS)] * 3)
    assert refused.value.field == "messages[0].content[2]"


async def test_an_image_in_a_system_message_is_refused(sighted: Llama) -> None:
    with pytest.raises(UnsupportedError, match="no image in a system message"):
        await sighted.call(Chat(messages=(Message(role="system", content=(seen(*WORDS),)), user("Hi"))))


# --- which projector ---------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The model alone in a folder."""
    (tmp_path / "model.gguf").hardlink_to(MODEL)
    return tmp_path


def test_the_one_beside_the_model_is_used(folder: Path) -> None:
    own = projector(folder / "SmolLM2-MMPROJ-f32.gguf")
    projector(folder / "mmproj-of-a-large-model.gguf", width=4096)
    model = Llama(folder / "model.gguf")
    assert model.projector.file == own
    assert model.about.inputs == ("text", "image")
    assert model.engine.size == smollm2().stat().st_size + own.stat().st_size


async def test_without_one_an_image_is_refused_with_what_to_do(folder: Path) -> None:
    model = Llama(folder / "model.gguf")
    assert model.about.inputs == ("text",)
    with pytest.raises(UnsupportedError, match=r"kind image: it has no projector: if it came with one .* \[local\]"):
        await ask(model, seen(*WORDS))


async def test_several_that_fit_are_named_and_none_is_guessed(folder: Path) -> None:
    projector(folder / "mmproj-f16.gguf")
    projector(folder / "mmproj-q8.gguf")
    model = Llama(folder / "model.gguf")
    assert model.about.inputs == ("text",)
    with pytest.raises(UnsupportedError, match=r"several .*\(mmproj-f16.gguf, mmproj-q8.gguf\): choose one by"):
        await ask(model, seen(*WORDS))


TOO_WIDE = "mmproj.gguf makes embeddings of 4096 numbers, and the model takes 576"


async def test_one_that_does_not_fit_is_named_where_an_image_is_refused(folder: Path) -> None:
    wrong = projector(folder / "mmproj.gguf", width=4096)
    with pytest.raises(UnsupportedError, match=f"kind image: {TOO_WIDE}: if it came with one"):
        await ask(Llama(folder / "model.gguf"), seen(*WORDS))
    with pytest.raises(UnsupportedError, match=rf"\[local\] projector: {TOO_WIDE}; it has no projector: if it"):
        await ask(Llama(smollm2(), LocalSettings(projector=str(wrong))), seen(*WORDS))


def test_one_that_is_named_for_another_model_leaves_the_one_beside(folder: Path) -> None:
    other = projector(folder / "large.gguf", width=4096)
    own = projector(folder / "mmproj.gguf")
    assert Llama(folder / "model.gguf", LocalSettings(projector=str(other))).projector.file == own


async def test_of_an_old_file_whose_length_means_something_else_the_engine_decides(folder: Path) -> None:
    """LLaVA's first converter wrote the width of CLIP's own output, and no `general.type`."""
    old = {"general.type": "", "clip.vision.projection_dim": 768}
    projector(folder / "mmproj.gguf", **old)
    async with opening(folder / "model.gguf") as model:
        assert (await ask(model, "Repeat:", seen(*WORDS))).text
    projector(folder / "mmproj.gguf", width=4096, **old)
    async with opening(folder / "model.gguf") as model:
        with pytest.raises(WeightsError, match=r"could not load .*model\.gguf, .*mmproj\.gguf"):
            await ask(model, "Repeat:", seen(*WORDS))


async def test_one_that_only_hears_is_refused(folder: Path) -> None:
    hearing = projector(folder / "mmproj.gguf", **{"clip.has_vision_encoder": False, "clip.has_audio_encoder": True})
    with pytest.raises(UnsupportedError, match=r"mmproj\.gguf sees no images"):
        await ask(Llama(folder / "model.gguf"), seen(*WORDS))
    with pytest.raises(ConfigError, match=r"mmproj\.gguf sees no images"):
        Llama(folder / "model.gguf", LocalSettings(projector=str(hearing)))


async def test_a_damaged_one_beside_the_model_leaves_its_texts_alone(folder: Path) -> None:
    (folder / "mmproj.gguf").write_bytes(b"GGUF")
    with pytest.raises(UnsupportedError, match=r"mmproj.gguf cannot be used \(.*damaged GGUF header"):
        await ask(Llama(folder / "model.gguf"), seen(*WORDS))


async def test_one_that_is_not_all_here_yet_leaves_the_models_texts_alone(folder: Path) -> None:
    own = projector(folder / "mmproj.gguf")
    whole = own.read_bytes()
    own.write_bytes(whole[:-100])
    model = Llama(folder / "model.gguf")
    assert model.projector.file is None
    with pytest.raises(UnsupportedError, match=rf"mmproj\.gguf has {len(whole) - 100:,} of {len(whole):,} bytes"):
        await ask(model, seen(*WORDS))


def test_what_is_named_must_be_a_projector_and_there(folder: Path) -> None:
    with pytest.raises(ConfigError, match="is no projector"):
        Llama(smollm2(), LocalSettings(projector=str(folder / "model.gguf")))
    with pytest.raises(WeightsError, match=r"does not exist\. Name the mmproj"):
        Llama(smollm2(), LocalSettings(projector=str(folder / "gone.gguf")))


def test_a_projector_is_no_model(mmproj: Path) -> None:
    with pytest.raises(WeightsError, match="is a projector: name its model's GGUF"):
        Llama(mmproj)


def test_a_projector_is_listed_as_what_goes_with_a_model(
    mmproj: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRIVET_HOME", str(tmp_path))
    assert main(["pull", "--quiet", str(mmproj)]) == 0
    capsys.readouterr()
    assert main(["models", "--json"]) == 0
    (own,) = [row for row in json.loads(capsys.readouterr().out) if row["path"] == str(mmproj)]
    assert (own["task"], own["runs"]) == (None, "with its model")


async def test_a_projector_of_another_model_as_wide_is_told_as_that(tmp_path: Path) -> None:
    """SmolVLM's, whose language model is as wide as SmolLM2, and knows tokens for images."""
    async with opening(projector=str(puts_marks_around(tmp_path / "mmproj.gguf"))) as model:
        with pytest.raises(ConfigError, match=r"mmproj\.gguf puts tokens around an image that the model does not have"):
            await ask(model, seen(*WORDS))
        with pytest.raises(ConfigError, match=r"do not belong together"):
            await model.call(CountTokens(messages=(user(seen(*WORDS)),)))


async def test_a_projector_that_has_changed_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIVET_HOME", str(folder / "home"))
    projector(folder / "mmproj.gguf")
    settings = LocalSettings(context=256, slots=1, threads=1)
    for changed in (False, True):
        local = Local(settings)
        model = local.at(str(folder / "model.gguf"))
        if changed:
            projector(folder / "mmproj.gguf", **{"general.name": "another"})
            with pytest.raises(WeightsError, match=r"mmproj\.gguf has changed since it was first used"):
                await ask(model, "Hi")
        else:
            await ask(model, "Hi")
        await local.close()


# --- texts with a projector --------------------------------------------------------------------------------------


async def test_a_plain_completion_goes_on_as_without(sighted: Llama) -> None:
    answer = await complete(sighted, "The capital of France is", sampling=COLD)
    assert "Paris" in answer.text


async def test_a_text_that_looks_like_a_mark_for_images_is_text(sighted: Llama) -> None:
    answer = await ask(sighted, "<__media__> <image>", seen(*WORDS))
    assert answer.text


def test_no_suffix_is_filled_in_before_while_there_is_a_projector() -> None:
    header = gguf.read(smollm2())
    marks = {f"tokenizer.ggml.fim_{kind}_token_id": 1 for kind in ("pre", "suf", "mid")}
    header = replace(header, metadata={**header.metadata, **marks})
    infill.refuse(header, NAME)
    with pytest.raises(UnsupportedError, match="while it has a projector"):
        infill.refuse(header, NAME, sees=True)
