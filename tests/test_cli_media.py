"""The commands over pictures, sound, texts and proteins: what goes in, what is printed. The model is a fake at the
provider's edge, which answers every task always alike; `demo` runs on the real weights."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import trivet
from tests.local_stub import WHERE
from tests.test_attach import PNG
from tests.test_cli import pipe
from trivet import Fake, registry
from trivet.cli import demo_samples, main, media
from trivet.types import AudioDelta, Cost, Done, Event, Usage

Printed = pytest.CaptureFixture[str]
LOCAL = registry.PROVIDERS["local"]
FAKE = Fake()
WAV = b"RIFF\x24\0\0\0WAVEfmt "
SEGMENTS = ["Hello.", " World."]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A folder with files in it, the fake as every model of `local`, nothing on standard input."""
    monkeypatch.setitem(registry.PROVIDERS, "local", WHERE)
    monkeypatch.setattr("tests.local_stub.LocalStub.model", lambda self, name: FAKE)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").write_bytes(PNG)
    (tmp_path / "talk.wav").write_bytes(WAV)
    (tmp_path / "two.fasta").write_text(">a first\nEVQL\nVE\n>b\nDIQ*\n")
    FAKE.requests.clear()
    FAKE.script = "Hello"
    pipe(monkeypatch, b"")
    trivet.close()
    yield
    trivet.close()


def asked() -> trivet.Request:
    (request,) = FAKE.requests
    return request


def run(*args: str) -> None:
    assert main([*args, "-m", "local/fake"]) == 0


# --- embed -------------------------------------------------------------------------------------------------


def test_embed_takes_paths_of_images(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = trivet.EmbedResponse(model="fake", vectors=((1.0, 2.0),))
    monkeypatch.setattr(FAKE, "script", lambda request: vectors)
    run("embed", "--images", "photo.png")
    assert asked().images == (trivet.Image(data=PNG, media_type="image/png"),)  # type: ignore[attr-defined]
    assert json.loads(capsys.readouterr().out) == {"image": "photo.png", "vector": [1.0, 2.0]}


def test_embed_asks_for_long_texts_to_be_cut_only_where_it_is_told_to() -> None:
    run("embed", "a")
    run("embed", "--truncate", "a")
    assert [request.truncate for request in FAKE.requests] == [None, True]  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["path", "text", "letters"])
def test_embed_takes_proteins_from_fasta_and_names_them(
    how: str, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = trivet.EmbedResponse(model="fake", vectors=((1.0,), (2.0,)))
    monkeypatch.setattr(FAKE, "script", lambda request: vectors)
    if how == "text":
        pipe(monkeypatch, Path("two.fasta").read_bytes())
    run("embed", "--proteins", *{"path": ["two.fasta"], "text": [], "letters": ["EVQLVE", "diq"]}[how])
    assert asked().proteins == ("EVQLVE", "DIQ")  # type: ignore[attr-defined]
    names = [json.loads(line)["protein"] for line in capsys.readouterr().out.splitlines()]
    assert names == (["EVQLVE", "DIQ"] if how == "letters" else ["a", "b"])


# --- rerank ------------------------------------------------------------------------------------------------


def test_rerank_prints_the_best_first_with_its_score(capsys: Printed) -> None:
    run("rerank", "which?", "a", "b c", "d", "--top", "2")
    assert asked() == trivet.Rerank(
        model="local/fake", query="which?", documents=("a", "b c", "d"), top=2, context=asked().context
    )
    assert capsys.readouterr().out == "1.0000\ta\n0.5000\tb c\n"


def test_rerank_takes_the_lines_of_standard_input(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"one\n\ntwo\n")
    run("rerank", "which?")
    assert capsys.readouterr().out == "1.0000\tone\n0.5000\ttwo\n"


def test_rerank_takes_texts_that_begin_with_a_dash(capsys: Printed) -> None:
    assert main(["rerank", "-m", "local/fake", "which?", "--", "-a", "-b"]) == 0
    assert capsys.readouterr().out == "1.0000\t-a\n0.5000\t-b\n"


# --- pictures ----------------------------------------------------------------------------------------------


def test_classify_prints_a_line_for_each_label(capsys: Printed) -> None:
    run("classify", "photo.png")
    assert capsys.readouterr().out == "0.5000\tcat\n0.5000\tdog\n"
    assert asked().image.data == PNG  # type: ignore[attr-defined]


def test_classify_chooses_among_labels(capsys: Printed) -> None:
    run("classify", "photo.png", "--labels", "red fox, owl")
    assert capsys.readouterr().out == "0.5000\tred fox\n0.5000\towl\n"


def test_classify_asks_about_labels_as_it_is_told(capsys: Printed) -> None:
    run("classify", "photo.png", "--labels", "fox, owl", "--template", "a drawing of a {}.")
    assert asked().template == "a drawing of a {}."  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [["-"], []])
def test_a_picture_can_be_piped(name: list[str], capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, PNG)
    run("read", *name)
    assert capsys.readouterr().out == "Hello\n"
    assert asked().image.data == PNG  # type: ignore[attr-defined]


def test_read_json_has_the_lines(capsys: Printed) -> None:
    run("read", "photo.png", "--json")
    assert json.loads(capsys.readouterr().out)["lines"] == [{"text": "Hello"}]


def test_a_picture_without_text_says_so_and_prints_nothing(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FAKE, "script", lambda request: trivet.ReadResponse(model="fake", lines=()))
    run("read", "photo.png")
    out, err = capsys.readouterr()
    assert (out, "no text in the image" in err) == ("", True)


# --- speech ------------------------------------------------------------------------------------------------


def test_transcribe_prints_a_line_for_each_segment(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FAKE, "script", lambda request: SEGMENTS)
    run("transcribe", "talk.wav", "--language", "en", "--prompt", "Names: Ada.")
    assert capsys.readouterr().out == "Hello.\nWorld.\n"
    request = asked()
    assert isinstance(request, trivet.Transcribe)
    assert (request.language, request.prompt, request.audio.data) == ("en", "Names: Ada.", WAV)


def test_transcribe_writes_subtitles(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FAKE, "script", lambda request: SEGMENTS)
    run("transcribe", "talk.wav", "--srt")
    assert capsys.readouterr().out.startswith("1\n00:00:00,000 --> 00:00:01,000\nHello.\n\n2\n")
    run("transcribe", "talk.wav", "--vtt")
    assert capsys.readouterr().out.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nHello.\n")


def test_silence_says_so_and_prints_nothing(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FAKE, "script", lambda request: trivet.TranscribeResponse(model="fake", text=""))
    run("transcribe", "talk.wav")
    out, err = capsys.readouterr()
    assert (out, "nothing is said" in err) == ("", True)


def test_speak_writes_a_file_in_the_format_of_its_name(capsys: Printed) -> None:
    run("speak", "Good", "morning", "-o", "x.flac", "--speed", "1.5")
    assert Path("x.flac").read_bytes() == b"Hello"
    request = asked()
    assert isinstance(request, trivet.Speak)
    assert (request.text, request.format, request.speed) == ("Good morning", "flac", 1.5)


def test_speak_json_has_the_sound_where_no_file_has_it(capsys: Printed) -> None:
    run("speak", "Hi", "--json")
    assert json.loads(capsys.readouterr().out)["audio"] == "SGVsbG8="
    run("speak", "Hi", "--json", "-o", "x.wav")
    assert "audio" not in json.loads(capsys.readouterr().out)


def test_speak_pipes_bytes_and_takes_text_from_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"Good morning\n")
    out = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", out)
    run("speak")
    assert out.buffer.getvalue() == b"Hello"  # type: ignore[attr-defined]
    assert asked().text == "Good morning"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["speak", "a", "-o", "x.xyz"], "say which --format"),
        (["speak", "a", "-o", "x.mp3", "--format", "wav"], "leave one of them out"),
        (["speak"], "there is no text"),
        (["read"], "there is no image"),
        (["transcribe"], "there is no recording"),
        (["transcribe", "talk.wav", "--json", "--srt"], "choose one"),
        (["classify", "photo.png", "--labels", ","], "has no label"),
        (["rerank", "q"], "there is no text to sort"),
        (["embed", "--proteins"], "there is no protein"),
        (["mask"], "there is no sequence"),
        (["complete"], "there is no text"),
        (["demo", "--only", "caht"], "did you mean chat?"),
    ],
)
def test_what_cannot_be_done_is_wrong_usage_and_says_why(args: list[str], said: str, capsys: Printed) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(args)
    assert said in capsys.readouterr().err
    assert FAKE.requests == []


def test_speak_refuses_to_write_to_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with pytest.raises(SystemExit, match="2"):
        main(["speak", "a"])
    assert "not for a terminal" in capsys.readouterr().err


# --- the rest ----------------------------------------------------------------------------------------------


def test_complete_goes_on_from_a_text_as_it_is(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"def f():\n    ")
    run("complete", "--suffix", "\n", "--max-tokens", "3")
    assert capsys.readouterr().out == "Hello\n"
    request = asked()
    assert isinstance(request, trivet.Complete)
    assert (request.prompt, request.suffix, request.sampling.max_tokens) == ("def f():\n    ", "\n", 3)


def test_mask_prints_the_sequence_and_a_line_for_each_place(capsys: Printed) -> None:
    run("mask", "EVQ_V_")
    assert capsys.readouterr().out == "EVQAVA\n4\tA 100.0%\n6\tA 100.0%\n"


@pytest.mark.parametrize(
    ("args", "piped", "field", "given"),
    [
        (["mask", "-"], b">a\nEV_\n", "sequence", "EV_"),
        (["embed", "--proteins", "-"], b">a\nEVQ\n>b\nEVL\n", "proteins", ("EVQ", "EVL")),
        (["embed", "-"], b"one\ntwo\n", "texts", ("one", "two")),
    ],
    ids=["mask", "proteins", "texts"],
)
def test_a_dash_is_standard_input(
    args: list[str], piped: bytes, field: str, given: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe(monkeypatch, piped)
    run(*args, "--json")
    assert getattr(asked(), field) == given


@pytest.mark.parametrize(
    "args",
    [
        ["embed", "a"],
        ["rerank", "q", "a"],
        ["classify", "photo.png"],
        ["read", "photo.png"],
        ["transcribe", "talk.wav"],
        ["speak", "a"],
        ["complete", "a"],
        ["mask", "EV_"],
    ],
    ids=lambda args: args[0],
)
def test_json_is_the_whole_response(args: list[str], capsys: Printed) -> None:
    run(*args, "--json")
    response = json.loads(capsys.readouterr().out)
    assert (response["task"], response["model"]) == (args[0], "fake")


def test_json_always_has_usage_cost_and_notes(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FAKE, "script", lambda request: trivet.MaskResponse(model="fake", sequence="EVA", places=()))
    run("mask", "EV_", "--json")
    told = json.loads(capsys.readouterr().out)
    assert list(told)[:4] == ["task", "model", "usage", "cost"]
    assert set(told["usage"]) == set(Usage.__struct_fields__)
    assert {"usd", "saved_usd"} <= set(told["cost"])
    assert told["notes"] == []


@pytest.mark.parametrize(
    ("cost", "told"),
    [
        (Cost(unknown="no price"), {"usd": None, "saved_usd": None, "unknown": "no price"}),
        (Cost(usd=Decimal("0.000012"), source="s"), {"usd": 0.000012, "saved_usd": None, "source": "s"}),
    ],
)
def test_money_is_a_number_in_json_and_null_where_nobody_knows_it(
    cost: Cost, told: dict[str, Any], capsys: Printed
) -> None:
    media.as_json(trivet.MaskResponse(model="fake", sequence="EVA", places=(), cost=cost))
    assert json.loads(capsys.readouterr().out)["cost"] == told


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_pipe_gets_sound_as_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = threading.Event()

    class Slow(trivet.Model):
        about = trivet.About(name="slow", tasks=("speak",))

        async def stream(self, request: trivet.Request) -> AsyncGenerator[Event, None]:
            yield AudioDelta(data=b"one")
            await asyncio.to_thread(heard.wait, 60)  # the second comes when the first is out
            yield AudioDelta(data=b"two")
            sound = trivet.SpeakResponse(model="slow", audio=b"onetwo", media_type="audio/wav", sample_rate=8000)
            yield Done(response=sound)

    def listen() -> bytes:
        first = os.read(reading, 100)
        heard.set()
        return first

    reading, writing = os.pipe()
    monkeypatch.setattr("tests.local_stub.LocalStub.model", lambda self, name: Slow())
    with ThreadPoolExecutor(1) as listener, open(writing, "w") as out, monkeypatch.context() as patch:
        first = listener.submit(listen)
        patch.setattr(sys, "stdout", out)
        run("speak", "Hello")
    assert (first.result(), os.read(reading, 100)) == (b"one", b"two")
    os.close(reading)


def test_a_dash_writes_the_sound_to_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
    run("speak", "Hello", "-o", "-")
    assert sys.stdout.buffer.getvalue() != b""  # type: ignore[attr-defined]
    assert not Path("-").exists()


@pytest.mark.parametrize(
    ("name", "said"), [("none/a.wav", "There is no folder none to write a.wav into"), (".", "is a folder")]
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_asked(
    name: str, said: str, capsys: Printed
) -> None:
    assert main(["speak", "Hello", "--format", "wav", "-o", name, "-m", "local/fake"]) == 1
    assert said in capsys.readouterr().err
    assert FAKE.requests == []


def test_arguments_that_are_too_many_are_told_by_their_command(capsys: Printed) -> None:
    with pytest.raises(SystemExit) as end:
        main(["read", "photo.png", "photo.png"])
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert "trivet read: error: not understood: photo.png (quote what has spaces; of files, one at a time)" in told


@pytest.mark.parametrize("command", ["classify", "read", "transcribe"])
def test_a_file_that_is_not_there_or_not_of_the_kind_is_one_line(command: str, capsys: Printed) -> None:
    assert main([command, "none.png"]) == 1
    assert capsys.readouterr().err == f"trivet: There is no file 'none.png' in {Path.cwd()}: check the path\n"
    assert main([command, "two.fasta"]) == 1
    assert "is text/plain, which is no" in capsys.readouterr().err
    assert FAKE.requests == []


# --- demo --------------------------------------------------------------------------------------------------


def demo(capsys: Printed, *args: str) -> tuple[int, list[dict[str, Any]], str]:
    status = main(["demo", "--json", *args])
    out, err = capsys.readouterr()
    return status, json.loads(out), err


@pytest.mark.timeout(600)  # where the weights have yet to come
def test_demo_runs_every_task_on_real_weights(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.PROVIDERS, "local", LOCAL)
    status, rows, _ = demo(capsys)
    said = {row["task"]: row["output"] for row in rows}
    assert [row["error"] for row in rows] == [None] * len(rows)
    assert status == 0
    assert len(said) >= 8
    assert "Paris" in said["chat"]
    assert "Knead flour" in said["rerank"]
    assert said["classify"].startswith("traffic light")
    assert said["read"] == demo_samples.TEXT
    assert said["mask"].endswith("6 of 6 as it is")
    assert all(row["model"].endswith("(tiny)") and row["time_s"] > 0 for row in rows)


def test_demo_goes_on_after_a_task_that_fails_and_exits_with_1(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trivet.cli.demo._here", lambda entry, home: True)
    script = lambda request: trivet.RateLimitError("slow") if isinstance(request, trivet.Rerank) else "Hello"  # noqa: E731
    monkeypatch.setattr(FAKE, "script", script)
    status, rows, err = demo(capsys, "--only", "chat,rerank,count_tokens")
    assert status == 1
    assert [(row["task"], row["output"], row["error"]) for row in rows] == [
        ("chat", "Hello", None),
        ("count_tokens", "3 tokens, with the chat's template", None),
        ("rerank", None, "slow"),
    ]
    assert "failed: rerank (of 3 tasks)" in err


def test_demo_is_a_table_where_json_is_not_asked_for(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trivet.cli.demo._here", lambda entry, home: True)
    assert main(["demo", "--only", "chat"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split("\t") == ["task", "model", "input", "output", "time", "tokens", "cost"]
    assert row.split("\t")[:4] == ["chat", "local/smollm2 (tiny)", demo_samples.QUESTION, "Hello"]


def test_demo_leaves_out_weights_whose_terms_nobody_has_accepted(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRIVET_HOME", str(tmp_path))
    status, rows, err = demo(capsys, "--only", "speak")
    assert (status, rows) == (1, [])
    assert "If you accept them: trivet demo --accept-license" in err
