"""`trivet chat` with files: what is attached, and the schema of the answer. Models are the stub's."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import trivet
from tests.engines import smollm2
from tests.local_stub import WHERE
from tests.test_attach import PNG
from tests.test_cli import pipe
from trivet import registry, sync
from trivet.cli import main
from trivet.model import bottom

Printed = pytest.CaptureFixture[str]
LOCAL = registry.PROVIDERS["local"]
IMAGE = trivet.Image(data=PNG, media_type="image/png")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A folder with a picture in it, the stub in the place of `local`, nothing on standard input."""
    monkeypatch.setitem(registry.PROVIDERS, "local", WHERE)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").write_bytes(PNG)
    pipe(monkeypatch, b"")
    trivet.close()
    yield
    trivet.close()


def asked() -> trivet.Chat:
    """The last request that the stub had."""
    request = bottom(sync.bridge().runtime(None).model("local/smollm2")).requests[-1]  # type: ignore[attr-defined]
    assert isinstance(request, trivet.Chat)
    return request


@pytest.mark.parametrize("option", ["-a", "--attach"])
def test_a_file_is_attached_before_the_question(option: str, capsys: Printed) -> None:
    assert main(["chat", option, "photo.png", "What is this?"]) == 0
    assert capsys.readouterr() == ("1: What is this?\n", "")
    assert asked().messages == (trivet.user(IMAGE, "What is this?"),)


def test_several_files_and_urls_are_attached_in_order() -> None:
    assert main(["chat", "-a", "photo.png", "-a", "https://example.com/a.pdf", "--json", "Compare."]) == 0
    pdf = trivet.Document(url="https://example.com/a.pdf", media_type="application/pdf", name="a.pdf")
    assert asked().messages == (trivet.user(IMAGE, pdf, "Compare."),)


def test_what_is_piped_is_the_question_to_an_attachment(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"What is this?\n")
    assert main(["chat", "-a", "photo.png"]) == 0
    assert asked().messages == (trivet.user(IMAGE, "What is this?"),)


def test_a_file_that_is_not_there_is_one_line_and_a_failure(capsys: Printed, tmp_path: Path) -> None:
    assert main(["chat", "-a", "phot.png", "What is this?"]) == 1
    assert capsys.readouterr() == ("", f"trivet: There is no file 'phot.png' in {tmp_path}: check the path\n")


def test_the_answers_schema_comes_from_a_file() -> None:
    Path("schema.json").write_text('{"type": "object", "properties": {"a": {"type": "integer"}}}')
    assert main(["chat", "--schema", "schema.json", "Hi"]) == 0
    assert asked().output == trivet.Output(schema={"type": "object", "properties": {"a": {"type": "integer"}}})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "schema.json is no JSON: "),
        (b"\xff\xff", "schema.json is no JSON: "),
        (b"[]", "schema.json is no JSON Schema: that is an object"),
        (None, "schema.json"),
    ],
)
def test_a_schema_that_is_none_is_one_line_and_a_failure(content: bytes | None, told: str, capsys: Printed) -> None:
    if content is not None:
        Path("schema.json").write_bytes(content)
    assert main(["chat", "--schema", "schema.json", "Hi"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("option", ["--attach", "--schema"])
def test_a_conversation_takes_neither(option: str, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    with pytest.raises(SystemExit, match="2"):
        main(["chat", option, "photo.png"])
    assert f"{option} needs a question" in capsys.readouterr().err


def test_the_embedded_model_refuses_what_it_does_not_read_and_holds_a_schema(
    capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    smollm2()  # or the test fails here, where weights are missing
    monkeypatch.setitem(registry.PROVIDERS, "local", LOCAL)
    Path("trivet.toml").write_text("[local]\ncontext = 512\nslots = 1\nthreads = 1\n")
    assert main(["chat", "-a", "photo.png", "What is this?"]) == 1
    assert "reads text alone, and messages[0] has a part of kind image" in capsys.readouterr().err
    Path("schema.json").write_text('{"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}')
    assert main(["chat", "--schema", "schema.json", "Is water wet?"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"a"}
