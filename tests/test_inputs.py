"""What people have, as a request has it: files, arrays, PIL images, FASTA. Pillow and soundfile read back what is made
of theirs. Series are in test_inputs_series.py."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

import trivet
from tests.test_attach import HEADS, PNG
from trivet import RequestError, inputs

NAN = float("nan")
RANDOM = np.random.default_rng(7)


def opened(picture: trivet.Image) -> Pillow.Image:
    assert picture.data is not None
    return Pillow.open(io.BytesIO(picture.data))


def heard(sound: trivet.Audio) -> tuple[Any, int]:
    assert sound.data is not None
    samples, rate = soundfile.read(io.BytesIO(sound.data), dtype="float64")
    return samples, rate


def photo() -> bytes:
    out = io.BytesIO()
    Pillow.fromarray(RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(out, "JPEG")
    return out.getvalue()


PHOTO = photo()

# --- pictures ----------------------------------------------------------------------------------------------


def test_a_picture_is_taken_by_path_bytes_or_as_a_part(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(PNG)
    whole = trivet.Image(data=PNG, media_type="image/png")
    path = tmp_path / "x.png"
    for each in (path, str(path), np.str_(path), PNG, np.bytes_(PNG), bytearray(PNG), memoryview(PNG), whole):
        assert inputs.picture(each) == whole


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "JPEG", "GIF", "WEBP", "AVIF"])
def test_every_kind_of_picture_that_pillow_writes_is_known(kind: str) -> None:
    out = io.BytesIO()
    Pillow.new("RGB", (3, 2), "red").save(out, kind)
    assert inputs.picture(out.getvalue()).media_type == f"image/{kind.lower()}"


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([None, 1, 3, 4]))
def test_an_array_is_the_same_pixels_as_a_picture(height: int, width: int, channels: int | None) -> None:
    shape = (height, width) if channels is None else (height, width, channels)
    array = RANDOM.integers(0, 256, shape, dtype=np.uint8)
    back = np.asarray(opened(inputs.picture(array)))
    assert np.array_equal(back, array[..., 0] if channels == 1 else array)


@pytest.mark.parametrize(
    ("white", "kind"),
    [
        *((255, kind) for kind in ("uint8", "int16", "uint16", "int64", "float32", "float64")),
        *((1, kind) for kind in ("float16", "float32", "float64", "bool")),
    ],
)
def test_numbers_of_every_kind_are_the_pixels_that_they_mean(white: Any, kind: str) -> None:
    pixels = np.asarray(opened(inputs.picture(np.array([[0, white]], kind))))
    assert pixels.tolist() == [[0, 255]]


def test_floats_are_rounded_to_the_nearest_byte() -> None:
    array = RANDOM.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for floats in (array / 255, (array / 255).astype(np.float32), array.astype(np.float64), array + 0.3):
        assert np.array_equal(np.asarray(opened(inputs.picture(floats.clip(0, 255)))), array)


def test_an_array_that_is_a_view_is_read_as_it_is_seen() -> None:
    array = RANDOM.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    for view in (array[::2, ::-1], array.transpose(1, 0, 2), np.asfortranarray(array)):
        assert np.array_equal(np.asarray(opened(inputs.picture(view))), view)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_a_pil_image_of_every_mode_is_the_same_picture(mode: str) -> None:
    image = Pillow.effect_mandelbrot((20, 10), (-2, -1, 1, 1), 50).convert("RGB")
    image = image.convert("L").point(lambda v: v * 256, "I").convert("I;16") if mode == "I;16" else image.convert(mode)
    back = opened(inputs.picture(image))
    assert np.array_equal(np.asarray(back.convert("RGB")), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L", "PNG", "PPM"])
def test_a_pil_image_of_16_bits_keeps_its_shades(mode: str) -> None:
    shades = np.array([[0, 257, 32_896, 65_535]], np.uint16)
    if mode.startswith("I"):
        data = shades.astype(">u2" if mode.endswith("B") else "<u2").tobytes()
        image = Pillow.frombytes(mode, (4, 1), data)
    else:
        out = io.BytesIO()
        Pillow.fromarray(shades).save(out, mode)
        image = Pillow.open(out)
    assert np.array_equal(np.asarray(opened(inputs.picture(image))), shades)


@pytest.mark.parametrize("mode", ["LA", "PA", "RGBA", "RGBa", "La"])
def test_what_is_transparent_in_a_pil_image_stays_so(mode: str) -> None:
    clear = Pillow.new("RGBA", (2, 2), (0, 0, 0, 0))
    image = clear.convert("LA").convert("La") if mode == "La" else clear.convert(mode)
    assert np.asarray(opened(inputs.picture(image)).convert("RGBA"))[..., 3].max() == 0


def test_a_photograph_opened_by_pil_keeps_its_way_up() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # Orientation: turned by a quarter
    out = io.BytesIO()
    Pillow.new("RGB", (4, 2)).save(out, "JPEG", exif=exif)
    assert opened(inputs.picture(Pillow.open(io.BytesIO(out.getvalue())))).getexif()[0x0112] == 6


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            np.full((4, 4), -0.5),
            r"goes from -0.5 to -0.5: an image goes from 0 to 255, or from 0 to 1 in floats. Scale",
        ),
        (np.full((4, 4), NAN), "goes from nan to nan"),
        (np.full((4, 4), 256, np.uint16), "4 x 4 of uint16 and goes from 256 to 256"),
        (np.full((4, 4), 1j), "of complex128, and an image is of uint8"),
        (np.zeros((3, 40, 40), np.uint8), r"3 x 40 x 40 of uint8.*transpose\(1, 2, 0\)"),
        (np.zeros((4, 4, 5), np.uint8), "an image is height x width x 3"),
        (np.zeros((0, 4, 3), np.uint8), "it is an empty image"),
        (np.zeros((), np.uint8), "The array is one number"),
        (Pillow.new("F", (2, 2)), "pixels of floats"),
        (Pillow.new("I", (2, 2)), "pixels of 32 bits"),
        (Pillow.open(io.BytesIO(PHOTO[:3_000])), "The PIL image cannot be read: .*truncated"),
        (Pillow.new("RGB", (0, 2)), "0 x 2 pixels: it is empty"),
        (b"", "is empty"),
        (b"\0\1\2", "of an unknown kind"),
        (HEADS["audio/flac"], "is audio/flac, which is no image"),
        ("nowhere.png", "There is no file 'nowhere.png'"),
    ],
)
def test_what_is_no_picture_says_what_it_was_and_what_is_wanted(given: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        inputs.picture(given)


@pytest.mark.parametrize("given", [None, 3, {"a": 1}, [PNG]])
def test_what_cannot_be_a_picture_is_a_type_error(given: Any) -> None:
    with pytest.raises(TypeError, match="an image is a path, bytes, a PIL image or a numpy array"):
        inputs.picture(given)


def test_several_pictures_are_a_list_or_an_array_of_four_dimensions() -> None:
    assert len(inputs.pictures([PNG, PNG])) == 2
    assert len(inputs.pictures(np.zeros((5, 2, 2, 3), np.uint8))) == 5
    assert len(inputs.pictures(PNG)) == 1
    with pytest.raises(RequestError, match="the list is empty"):
        inputs.pictures([])


# --- sound -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_a_recording_is_passed_on_in_the_file_that_it_is_in(kind: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x", np.zeros(16_000), 16_000, format=kind)
    data = (tmp_path / "x").read_bytes()
    for each in (tmp_path / "x", data):
        sound = inputs.sound(each)
        assert sound.data == data
        assert sound.media_type == {"MP3": "audio/mpeg"}.get(kind, f"audio/{kind.lower()}")


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int16", "int32"])
@pytest.mark.parametrize("channels", [0, 1, 2])
def test_samples_are_the_same_as_sound(kind: str, channels: int) -> None:
    samples = RANDOM.uniform(-1, 1, (500, channels) if channels else 500)
    given = (samples * np.iinfo(kind).max if kind.startswith("int") else samples).astype(kind)
    back, rate = heard(inputs.sound((given, 22_050)))
    assert rate == 22_050
    assert np.allclose(back, samples[:, 0] if channels == 1 else samples, atol=1e-3)


def test_the_rate_may_come_first_as_scipy_has_it() -> None:
    samples = np.zeros(100, np.int16)
    assert inputs.sound((8000, samples)) == inputs.sound((samples, 8000)) == inputs.sound((samples, np.int64(8000)))


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (np.zeros(10), TypeError, r"give \(samples, rate\)"),
        ((np.zeros(10), "fast"), TypeError, "the rate of samples is a number of Hz"),
        ((np.zeros(10), 16), RequestError, "it is in Hz, such as 16000"),
        ((np.zeros(0), 16_000), RequestError, "there is no sound"),
        ((np.zeros((2, 900)), 16_000), RequestError, "which is samples.T"),
        ((np.zeros((2, 2, 2)), 16_000), RequestError, "and sound is samples, or samples x channels"),
        ((np.full(10, 3e4), 16_000), RequestError, "go to 30000, and floats go from -1 to 1: divide"),
        ((np.full(10, NAN), 16_000), RequestError, "go to nan, .*take them out"),
        ((np.full(10, math.inf), 16_000), RequestError, "go to inf, .*take them out"),
        ((np.zeros(10, np.uint8), 16_000), RequestError, "give floats from -1 to 1, or int16"),
        (([0.1], 16_000), TypeError, "with a numpy array and Hz, and this is of type tuple"),
        (3, TypeError, "audio is a path, bytes"),
        (PNG, RequestError, "is image/png, which is no audio"),
    ],
)
def test_what_is_no_sound_says_what_it_was_and_what_is_wanted(given: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        inputs.sound(given)


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "video/mp4"),  # ISO 14496-12
        (b"\0\0\0\x14ftypqt  \0\0\0\0", "video/quicktime"),
        (b"\x1a\x45\xdf\xa3\x01\0", "video/webm"),  # EBML
        (b"\0\0\0\x20ftypM4A \0\0\0\0", "audio/mp4"),
    ],
)
def test_a_film_is_a_recording_for_the_model_to_take_and_no_sound_of_a_chat(data: bytes, media_type: str) -> None:
    assert inputs.sound(data) == trivet.Audio(data=data, media_type=media_type)
    if media_type.startswith("video/"):
        with pytest.raises(RequestError, match=f"is {media_type}, which is no audio"):
            trivet.audio(data)


# --- proteins and texts ------------------------------------------------------------------------------------

FASTA = ">a the first\nEVQL\nVESG\n\n>b\ndiqmt*\n"


def test_proteins_are_letters_fasta_and_files(tmp_path: Path) -> None:
    (tmp_path / "x.fasta").write_text(FASTA.replace("\n", "\r\n"))
    both = [("a", "EVQLVESG"), ("b", "DIQMT")]
    assert inputs.records(FASTA) == inputs.records(tmp_path / "x.fasta") == inputs.records(str(tmp_path / "x.fasta"))
    assert inputs.records(FASTA) == both
    assert inputs.records("\ufeff" + FASTA) == inputs.records(FASTA.replace("\n", "\r")) == both
    assert inputs.records("evql vesg\n") == [(None, "EVQLVESG")]
    assert inputs.proteins(["EVQ", tmp_path / "x.fasta", FASTA]) == ("EVQ", "EVQLVESG", "DIQMT", "EVQLVESG", "DIQMT")


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ("none.fasta", RequestError, "There is no file 'none.fasta'"),
        ("https://example.com/x.fasta", RequestError, "x.fasta is an address, and nothing is fetched: download it"),
        (">a\n>b\nEVQ", RequestError, "There is no letter in a in the FASTA text"),
        ("", RequestError, "There is no letter in the sequence"),
        ([], RequestError, "the list is empty"),
        ([b"EVQ"], TypeError, r"\[0\] is of type bytes"),
        (3, TypeError, "proteins are sequences of letters"),
        (pd.DataFrame({"a": ["EVQ"]}), TypeError, r"is pandas.DataFrame: choose a column, such as frame\['a'\]"),
    ],
)
def test_what_is_no_protein_says_so(given: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        inputs.proteins(given)


def test_a_text_file_that_is_no_fasta_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("Hello")
    with pytest.raises(RequestError, match="is no FASTA: its first line is a > with a name"):
        inputs.proteins(tmp_path / "x.txt")


@pytest.mark.parametrize("given", ["a", ["a"], ("a",), np.array(["a"]), pd.Series(["a"]), iter(["a"])])
def test_texts_are_one_or_several(given: Any) -> None:
    found = inputs.texts(given, "texts")
    assert found == ("a",)
    assert type(found[0]) is str


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ([], RequestError, "the list is empty"),
        (["a", 3], TypeError, r"texts are strings, and \[1\] is of type int"),
        (b"a", TypeError, "texts are a list of strings, and this is of type bytes"),
        ({"a", "b"}, TypeError, "texts are a list of strings, and this is of type set"),
        (pd.DataFrame({"a": ["x"]}), TypeError, r"of type pandas.DataFrame: choose a column, such as frame\['a'\]"),
        (3, TypeError, "texts are a list of strings, and this is of type int"),
    ],
)
def test_what_are_no_texts_says_so(given: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        inputs.texts(given, "texts")


# --- nothing is imported -----------------------------------------------------------------------------------


def test_what_is_given_is_looked_at_without_importing_its_library() -> None:
    code = (
        "import sys; from trivet import inputs; inputs.series([1, 2]); inputs.proteins('EVQ'); inputs.texts('a', 'x')\n"
        "assert not {'numpy', 'PIL', 'pandas', 'polars', 'soundfile'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(trivet.__file__).parent.parent)
