"""Images, audio and documents from paths, URLs and bytes. The bytes are the least that each format begins with; where
the format is not one line, its published specification is named."""

from __future__ import annotations

import base64
import io
import os
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import trivet
from trivet import Fake
from trivet.attach import attach

# A whole image of one black pixel, as any encoder writes it.
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
HEADS = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0",  # ITU T.81, JFIF 1.02
    "image/gif": b"GIF89a\1\0\1\0",
    "image/webp": b"RIFF\x1a\0\0\0WEBPVP8L",
    "audio/flac": b"fLaC\0\0\0\x22",  # RFC 9639
    "audio/ogg": b"OggS\0\2",  # RFC 3533
    "audio/mpeg": b"ID3\4\0\0",
    "audio/aac": b"\xff\xf1\x50\x80",  # ISO 13818-7: an ADTS frame
    "audio/mp4": b"\0\0\0\x20ftypM4A \0\0\0\0",  # ISO 14496-12
    "audio/aiff": b"FORM\0\0\0\x2eAIFFCOMM",  # Audio Interchange File Format 1.3
    "audio/basic": b".snd\0\0\0\x18",  # Sun's, as in RFC 2046
    "audio/x-caf": b"caff\0\1\0\0",  # Core Audio Format 1.0
    "audio/x-w64": b"riff\x2e\x91\xcf\x11\xa5\xd6",  # Sony Wave64
    "application/pdf": b"%PDF-1.7\n",
    "text/plain": "Grüße".encode(),
}
KINDS = {"image": trivet.Image, "audio": trivet.Audio}


def kind_of(media_type: str) -> type:
    return KINDS.get(media_type.split("/")[0], trivet.Document)


@pytest.mark.parametrize("media_type", HEADS)
def test_bytes_are_what_their_beginning_says(media_type: str) -> None:
    part = attach(HEADS[media_type])
    assert (type(part), part.media_type, part.data) == (kind_of(media_type), media_type, HEADS[media_type])


@pytest.mark.parametrize("media_type", HEADS)
def test_a_file_is_what_it_holds_whatever_its_name_says(media_type: str, tmp_path: Path) -> None:
    path = tmp_path / ("x.txt" if media_type != "text/plain" else "x.png")
    path.write_bytes(HEADS[media_type])
    assert attach(path).media_type == media_type


def test_an_mpeg_frame_without_a_tag_is_mp3_and_a_wave_file_is_wav(tmp_path: Path) -> None:
    assert attach(b"\xff\xfb\x90\x44\0").media_type == "audio/mpeg"  # ISO 11172-3: layer III, 128 kbit/s
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\0" * 10)
    part = attach(tmp_path / "x.wav")
    assert (type(part), part.media_type) == (trivet.Audio, "audio/wav")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("a.md", "text/markdown"), ("a.csv", "text/csv"), ("a.py", "text/plain"), ("a", "text/plain")],
)
def test_the_kind_of_a_text_is_told_by_its_name(name: str, media_type: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("# Hi")
    part = attach(tmp_path / name)
    assert isinstance(part, trivet.Document)
    assert (part.media_type, part.name) == (media_type, name)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/a.JPG?w=3", trivet.Image(url="https://example.com/a.JPG?w=3", media_type="image/jpeg")),
        ("http://example.com/a.mp3", trivet.Audio(url="http://example.com/a.mp3", media_type="audio/mpeg")),
        (
            "gs://bucket/a%20b.pdf",
            trivet.Document(url="gs://bucket/a%20b.pdf", media_type="application/pdf", name="a b.pdf"),
        ),
    ],
)
def test_a_url_is_passed_on_and_its_end_says_what_it_is(url: str, expected: trivet.Part) -> None:
    assert attach(url) == expected


def test_a_url_that_does_not_say_what_it_is_needs_a_word() -> None:
    with pytest.raises(trivet.RequestError, match=r"does not say what it is: use trivet\.image"):
        attach("https://example.com/photo")
    assert trivet.image("https://example.com/photo") == trivet.Image(url="https://example.com/photo")


def test_a_data_url_and_a_file_url_are_what_they_contain(tmp_path: Path) -> None:
    assert attach(f"data:image/png;base64,{base64.b64encode(PNG).decode()}") == trivet.Image(
        data=PNG, media_type="image/png"
    )
    path = tmp_path / "a b.png"
    path.write_bytes(PNG)
    assert attach(path.as_uri()).data == PNG


def test_each_kind_has_its_function() -> None:
    assert trivet.image(PNG, detail="low") == trivet.Image(data=PNG, media_type="image/png", detail="low")
    assert trivet.audio(HEADS["audio/ogg"]) == trivet.Audio(data=HEADS["audio/ogg"], media_type="audio/ogg")
    assert trivet.document(b"%PDF-1", name="bill") == trivet.Document(
        data=b"%PDF-1", media_type="application/pdf", name="bill"
    )


def test_a_media_type_may_be_given_for_what_is_unknown() -> None:
    assert trivet.image(b"\0\1avif", media_type="image/avif").media_type == "image/avif"
    with pytest.raises(trivet.RequestError, match="unknown kind: there are png, jpeg"):
        trivet.image(b"\0\1avif")


def test_one_kind_is_not_taken_for_another() -> None:
    with pytest.raises(trivet.RequestError, match="is application/pdf, which is no image"):
        trivet.image(b"%PDF-1.7")
    with pytest.raises(trivet.RequestError, match="is image/png, which is no audio"):
        trivet.audio("https://example.com/a.png")


def test_what_cannot_be_read_is_refused_with_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.png").touch()
    (tmp_path / "noise.bin").write_bytes(b"\0\1\2")
    for source, told in (
        ("photo.jpg", f"no file 'photo.jpg' in {tmp_path}: check the path"),
        (tmp_path / "x" / "photo.jpg", f"in {tmp_path / 'x'}"),
        (".", "'.' is a folder"),
        ("empty.png", "'empty.png' is empty"),
        (b"", "is empty"),
        ("noise.bin", "'noise.bin' is of an unknown kind"),
        (b"caf\xe9", "unknown kind"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("a\0b", "cannot be read"),
        ("data:image/png;base64,???", "not valid base64"),
    ):
        with pytest.raises(trivet.RequestError) as caught:
            attach(source)
        assert told in str(caught.value)
        assert len(str(caught.value)) < 1000


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    path.chmod(0)
    with pytest.raises(trivet.RequestError, match="Permission denied"):
        attach(path)


def test_what_is_no_source_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="a path, a URL or bytes, and this is of type int"):
        attach(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a path, a URL or bytes, and this is of type int"):
        trivet.chat("?", attach=3, model=Fake())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a path, a URL or bytes, and this is of type int"):
        trivet.image(3)


# --- in a chat ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attached", [PNG, [PNG], trivet.Image(data=PNG, media_type="image/png")])
def test_what_is_attached_stands_before_the_question(attached: bytes) -> None:
    fake = Fake()
    trivet.chat("What is this?", model=fake, attach=attached)
    image = trivet.Image(data=PNG, media_type="image/png")
    assert fake.requests[0].messages == (trivet.user(image, "What is this?"),)  # type: ignore[attr-defined]


def test_an_array_and_a_pil_image_are_attached_as_pictures() -> None:
    array = np.zeros((2, 3, 3), np.uint8)
    for attached in (array, Pillow.fromarray(array), [array], [Pillow.fromarray(array)], trivet.image(array)):
        fake = Fake()
        trivet.chat("What is this?", attach=attached, model=fake)
        picture = fake.requests[0].messages[-1].content[0]  # type: ignore[attr-defined]
        assert picture.media_type == "image/png"
        assert Pillow.open(io.BytesIO(picture.data)).size == (3, 2)


def test_several_are_attached_in_order_to_the_last_message(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    fake = Fake()
    turns = [trivet.user("Hi"), trivet.assistant("Yes?"), trivet.user("Compare.")]
    list(trivet.stream(turns, model=fake, attach=[str(tmp_path / "a.png"), b"%PDF-1.7"]))
    *before, last = fake.requests[0].messages  # type: ignore[attr-defined]
    assert before == turns[:2]
    assert [type(part) for part in last.content] == [trivet.Image, trivet.Document, trivet.Text]


def test_nothing_is_attached_to_an_assistants_message() -> None:
    with pytest.raises(trivet.RequestError, match="the last one is the assistant's"):
        trivet.chat([trivet.user("Hi"), trivet.assistant("Well,")], model=Fake(), attach=PNG)


def test_parts_stand_where_they_are_put() -> None:
    fake = Fake()
    trivet.chat(trivet.user("This", trivet.image(PNG), "is?"), model=fake)
    assert [type(p) for p in fake.requests[0].messages[0].content] == [trivet.Text, trivet.Image, trivet.Text]  # type: ignore[attr-defined]
