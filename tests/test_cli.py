"""The command line: what each command prints, its exit status, and how it ends. Models are the stub's."""

from __future__ import annotations

import io
import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import trivet
from tests.local_stub import WHERE
from trivet import registry
from trivet.cli import COMMANDS, _parser, main

ROOT = Path(__file__).parent.parent
CEILING_S = 60  # how long anything may take; nothing waits this long where it works
ENV = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "dumb", "COLUMNS": "100"}
STUB = [sys.executable, str(ROOT / "tests" / "local_stub.py")]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty folder, the stub in the place of `local`, nothing on standard input."""
    monkeypatch.setitem(registry.PROVIDERS, "local", WHERE)
    monkeypatch.chdir(tmp_path)
    pipe(monkeypatch, b"")
    trivet.close()
    yield
    trivet.close()


def pipe(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))


Printed = pytest.CaptureFixture[str]


# --- chat --------------------------------------------------------------------------------------------------


def test_chat_prints_the_answer(capsys: Printed) -> None:
    assert main(["chat", "Hi"]) == 0
    assert capsys.readouterr() == ("1: Hi\n", "")


def test_chat_takes_a_question_without_quotes(capsys: Printed) -> None:
    assert main(["chat", "What", "is", "this?"]) == 0
    assert capsys.readouterr().out == "1: What is this?\n"


def test_chat_adds_what_is_piped_to_the_question(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"line 1\r\nline 2\n")
    assert main(["chat", "Sum up:"]) == 0
    assert capsys.readouterr().out == "1: Sum up:\n\nline 1\nline 2\n"


def test_chat_without_a_question_asks_what_is_piped(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, "Grüß dich\n".encode())
    assert main(["chat"]) == 0
    assert capsys.readouterr().out == "1: Grüß dich\n"


def test_chat_without_any_question_is_wrong_usage(capsys: Printed) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["chat"])
    assert "there is no question" in capsys.readouterr().err


def test_chat_refuses_bytes_that_are_no_text(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"caf\xe9")
    assert main(["chat"]) == 1
    assert capsys.readouterr() == ("", "trivet: Standard input is not UTF-8 text: byte 3 is wrong.\n")


def test_chat_asks_the_model_with_the_system_prompt_that_it_is_given(capsys: Printed) -> None:
    assert main(["chat", "Hi", "-m", "./x.gguf"]) == 0
    assert main(["chat", "Hi", "--system", "Be brief."]) == 0
    assert capsys.readouterr().out == "from a file\n2: Be brief. | Hi\n"


def test_chat_passes_its_sampling_on(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = trivet.Fake()
    monkeypatch.setattr("tests.local_stub.LocalStub.model", lambda self, name: fake)
    flags = "--temperature=0.5", "--top-p=0.9", "--top-k=3", "--max-tokens=7", "--seed=1", "--stop=a", "--stop=b"
    assert main(["chat", "Hi", *flags]) == 0
    assert fake.requests[0].sampling == trivet.Sampling(  # type: ignore[attr-defined]
        temperature=0.5, top_p=0.9, top_k=3, max_tokens=7, seed=1, stop=("a", "b")
    )


def test_chat_json_prints_the_response(capsys: Printed) -> None:
    assert main(["chat", "Hi", "--json"]) == 0
    response = trivet.from_json(capsys.readouterr().out, trivet.ChatResponse)
    assert (response.text, response.model) == ("1: Hi", "local/smollm2")


def test_chat_says_where_an_answer_was_cut(capsys: Printed) -> None:
    assert main(["chat", "Hi", "-m", "local/cut"]) == 0
    assert "its tokens ran out" in capsys.readouterr().err


def test_chat_reads_the_configuration_that_it_is_given(capsys: Printed, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('[models.default]\nbase = "local/smollm2"\nsystem = "S"\n')
    assert main(["chat", "Hi", "--config", "other.toml"]) == 0
    assert capsys.readouterr().out == "2: S | Hi\n"


# --- embed -------------------------------------------------------------------------------------------------


def test_embed_prints_a_line_of_json_for_each_text(capsys: Printed) -> None:
    assert main(["embed", "-m", "local/smollm2", "a", "b c"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [{"text": "a", "vector": [1.0, 1.0]}, {"text": "b c", "vector": [3.0, 1.0]}]


def test_embed_takes_the_lines_of_standard_input(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"a\n\nb c\n")
    assert main(["embed", "-m", "local/smollm2"]) == 0
    assert [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()] == ["a", "b c"]


def test_embed_without_texts_is_wrong_usage(capsys: Printed) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["embed", "-m", "local/smollm2"])
    assert "there is no text" in capsys.readouterr().err


def test_embed_without_a_model_asks_the_catalogues(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("tests.local_stub.LocalStub.model", lambda self, name: asked.append(name) or trivet.Fake())
    assert main(["embed", "a"]) == 0
    assert asked == ["minilm"]


# --- config check, version ---------------------------------------------------------------------------------


def test_config_check_says_what_a_file_amounts_to(capsys: Printed, tmp_path: Path) -> None:
    (tmp_path / "trivet.toml").write_text(
        '[server]\nkeys = ["sesame"]\n'
        '[models.smart]\nuse = ["local/smollm2"]\n[models.med]\nbase = "smart"\nsystem = "S"\n'
    )
    assert main(["config", "check"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("trivet.toml is right.\n")
    assert "127.0.0.1:8484, 1 key\n" in out
    assert "smart -> local/smollm2\n" in out
    assert "med -> smart + a system prompt\n" in out
    assert "sesame" not in out
    assert err == ""


def test_config_check_says_what_is_counted_for_whom_and_at_which_prices(
    capsys: Printed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVET_STATE", str(tmp_path))
    (tmp_path / "trivet.toml").write_text(
        "[ledger]\nretention_days = 30\n[cache]\nmax_mb = 5\n"
        '[prices."local/a"]\ninput = 0.1\noutput = 0\nrequest = 0.01\n[prices."local/b"]\n'
        '[models.smart]\nuse = ["local/smollm2"]\ncache = true\n'
    )
    assert main(["config", "check"]) == 0
    out = capsys.readouterr().out
    assert f"[ledger]     {tmp_path / 'ledger.db'}, rows are kept for 30 days\n" in out
    assert f"[budgets]    no keys of `trivet keys` yet: they will be in {tmp_path / 'keys.db'}\n" in out
    assert "local/a: input 0.1, output 0 USD for a million tokens, 0.01 USD for each request\n" in out
    assert "local/b: says nothing, so all of it is unknown\n" in out
    assert f"answers of smart: {tmp_path / 'cache.db'}, up to 5 MB, for 86400 s\n" in out
    assert main(["keys", "add", "ann"]) == 0
    assert main(["config", "check"]) == 0
    assert f"1 in force of `trivet keys`, in {tmp_path / 'keys.db'}\n" in capsys.readouterr().out


def test_a_price_that_is_of_no_model_is_an_error(capsys: Printed, tmp_path: Path) -> None:
    (tmp_path / "trivet.toml").write_text('[prices."gpt-5.5"]\ninput = 1\n[prices."opnai/x"]\ninput = 1\n')
    assert main(["config", "check"]) == 1
    out, err = capsys.readouterr()
    assert "gpt-5.5: wrong, see below\n" in out
    assert 'trivet: trivet.toml: [prices."gpt-5.5"] is of no model: name it as PROVIDER/MODEL.\n' in err
    assert '[prices."opnai/x"] is of no model' in err


def test_config_check_follows_every_name_and_tells_each_error(capsys: Printed, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(
        '[providers.p]\nkind = "opnai"\n[models.a]\nuse = ["smollm2"]\n[models.b]\nuse = ["local/smollm2"]\n'
    )
    assert main(["config", "check", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out.startswith(f"{path} has 2 errors.\n")
    assert "a -> wrong, see below" in out
    assert "b -> local/smollm2" in out
    assert f"trivet: {path}: [models.a] use: No model is named 'smollm2'. Did you mean 'local/smollm2'?\n" in err
    assert f"trivet: {path}: [providers.p] kind: there is no kind of provider 'opnai'. Did you mean 'openai'?\n" in err


def test_config_check_tells_a_file_that_is_wrong(capsys: Printed, tmp_path: Path) -> None:
    (tmp_path / "trivet.toml").write_text("[sever]\n")
    assert main(["config", "check"]) == 1
    assert capsys.readouterr().err == "trivet: trivet.toml: the table 'sever' is unknown. Did you mean 'server'?\n"


def test_config_check_without_a_file_is_about_the_defaults(capsys: Printed) -> None:
    assert main(["config", "check"]) == 0
    out = capsys.readouterr().out
    assert "No trivet.toml here" in out
    assert "local/smollm2" in out


def test_version_names_trivet_python_and_the_engine(capsys: Printed) -> None:
    assert main(["version"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"trivet {trivet.__version__}\n")
    assert "Python " in out
    assert "xllamacpp " in out
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"trivet {trivet.__version__}\n"


# --- errors ------------------------------------------------------------------------------------------------


def test_an_error_is_one_line_and_a_status(capsys: Printed) -> None:
    assert main(["chat", "Hi", "-m", "local/fails"]) == 1
    assert capsys.readouterr() == ("", "trivet: slow down\n")


def test_a_defect_is_one_line_too_and_says_what_shows_more(capsys: Printed) -> None:
    assert main(["chat", "Hi", "-m", "local/breaks"]) == 1
    assert capsys.readouterr().err == "trivet: ZeroDivisionError: a defect (unexpected; --debug shows where)\n"


@pytest.mark.parametrize("args", [["--debug", "chat"], ["chat", "--debug"]])
def test_debug_shows_the_traceback(args: list[str]) -> None:
    with pytest.raises(trivet.RateLimitError):
        main([*args, "Hi", "-m", "local/fails"])


def test_an_error_amid_an_answer_leaves_the_answer_and_a_line(capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = trivet.Fake([["Hel", trivet.TransportError("gone")]])
    monkeypatch.setattr("tests.local_stub.LocalStub.model", lambda self, name: fake)
    assert main(["chat", "Hi"]) == 1
    assert capsys.readouterr() == ("Hel\n", "trivet: gone\n")


def test_every_command_declares_itself(capsys: Printed) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    out = capsys.readouterr().out
    for command in COMMANDS:
        assert re.search(rf"^    {command}\s", out, re.MULTILINE)


WITH_EXAMPLES = [*COMMANDS[COMMANDS.index("embed") : COMMANDS.index("demo") + 1], "models", "pull"]


@pytest.mark.parametrize("command", WITH_EXAMPLES)
def test_help_has_examples_that_are_understood(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    examples = capsys.readouterr().out.partition("\nexamples:\n")[2].replace("  trivet", "trivet").splitlines()
    assert any(f"trivet {command}" in example for example in examples)
    for words in re.findall(r"(?:^|\| )trivet ([^|<>\n]*)", "\n".join(examples), re.MULTILINE):
        _parser().parse_args(shlex.split(words))  # exits where it does not understand


# --- as processes ------------------------------------------------------------------------------------------


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "trivet", "--version"], env=ENV, capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == (f"trivet {trivet.__version__}\n", "", 0)


def test_letters_that_the_output_does_not_have_are_written_as_numbers() -> None:
    env = ENV | {"PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "trivet", "providers", "--config", "größe.toml"]
    done = subprocess.run(command, env=env, capture_output=True)
    assert done.returncode == 1
    assert rb"gr\xf6\xdfe.toml" in done.stderr
    assert b"unexpected" not in done.stderr
    helped = subprocess.run([*command[:3], "classify", "--help"], env=env, capture_output=True)
    assert (helped.returncode, rb"A,B,\u2026" in helped.stdout) == (0, True)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_stops_an_answer_without_a_traceback() -> None:
    command = subprocess.Popen(
        [*STUB, "chat", "Hi", "-m", "local/stalls"],
        env=ENV,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert command.stdout is not None
    assert os.read(command.stdout.fileno(), 100) == b"begun "
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=CEILING_S)
    assert (out, err, command.returncode) == (b"\n", b"\n", 130)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_second_ctrl_c_ends_at_once_and_without_a_traceback_too() -> None:
    command = subprocess.Popen(
        [*STUB, "chat", "Hi", "-m", "local/stalls"],
        env=ENV | {"SLOW_CLOSE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert command.stdout is not None
    assert os.read(command.stdout.fileno(), 100) == b"begun "
    command.send_signal(signal.SIGINT)
    assert command.stdout.read(9) == b"\nclosing\n"
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=CEILING_S)
    assert (out, err, command.returncode) == (b"", b"\n", 130)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_after_ctrl_c_no_thread_holds_the_process_up() -> None:
    script = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from trivet.cli import main, version

def run(args):
    ThreadPoolExecutor(1).submit(time.sleep, 600)  # as an engine in the middle of something long
    raise KeyboardInterrupt

version.run = run
sys.exit(main(["version"]))
"""
    done = subprocess.run([sys.executable, "-c", script], env=ENV, capture_output=True, timeout=CEILING_S)
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"\n", 130)


@pytest.mark.skipif(os.name != "posix", reason="pipes")
@pytest.mark.skipif(os.name == "nt", reason="a Unix shell")
@pytest.mark.parametrize("command", ["chat Hi", "models"])
def test_a_closed_standard_output_is_no_error(command: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {command} >&-', "sh", *STUB],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=ENV,
        timeout=CEILING_S,
    )
    assert (done.stderr, done.returncode) == ("", 0)


@pytest.mark.skipif(os.name == "nt", reason="a Unix shell")
def test_with_a_closed_standard_error_errors_do_not_go_to_standard_output() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", '"$@" chat Hi -m local/fails 2>&-', "sh", *STUB],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=ENV,
        timeout=CEILING_S,
    )
    assert (done.stdout, done.returncode) == ("", 1)


def test_a_reader_that_leaves_is_no_error() -> None:
    command = subprocess.Popen(
        [*STUB, "chat", "Hi", "-m", "local/long"],
        env=ENV,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert command.stdout is not None
    assert command.stdout.read(4) == b"word"
    command.stdout.close()
    assert command.stderr is not None
    assert command.stderr.read() == b""
    assert command.wait(CEILING_S) == 141


class Terminal:
    """A command in front of somebody who types."""

    def __init__(self, args: list[str]) -> None:
        import pty

        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(args, env=ENV, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.shown = ""

    def until(self, pattern: str) -> str:
        """What is shown up to the end of the first match."""
        while not (match := re.search(pattern, self.shown)):
            ready, _, _ = select.select([self.master], [], [], CEILING_S)
            assert ready, f"no {pattern!r} in {self.shown!r}"
            try:
                self.shown += os.read(self.master, 10_000).decode()
            except OSError:  # Linux's end of a terminal
                raise AssertionError(f"no {pattern!r} in {self.shown!r}") from None
        before, self.shown = self.shown[: match.end()], self.shown[match.end() :]
        return before

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> int:
        status = self.process.wait(CEILING_S)
        os.close(self.master)
        return status


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")
class TestConversation:
    def test_it_remembers_and_exit_ends_it(self) -> None:
        terminal = Terminal([*STUB, "chat", "--system", "S"])
        assert "local/smollm2: /exit or Ctrl-D ends" in terminal.until("> ")
        terminal.type("one\n")
        terminal.until(re.escape("2: S | one"))
        terminal.until("> ")
        terminal.type("\n")
        terminal.until("> ")
        terminal.type("two\n")
        terminal.until(re.escape("4: S | one | 2: S | one | two"))
        terminal.until("> ")
        terminal.type("/exit\n")
        assert terminal.end() == 0

    def test_ctrl_d_ends_it(self) -> None:
        terminal = Terminal([*STUB, "chat"])
        terminal.until("> ")
        terminal.type("\x04")
        assert terminal.end() == 0

    def test_ctrl_c_stops_the_answer_and_what_was_said_stays(self) -> None:
        terminal = Terminal([*STUB, "chat", "-m", "local/stalls-at-b"])
        terminal.until("> ")
        terminal.type("b\n")
        terminal.until("begun ")
        terminal.process.send_signal(signal.SIGINT)
        terminal.until("stopped")
        terminal.until("> ")
        terminal.type("c\n")
        terminal.until(re.escape("3: b | begun  | c"))
        terminal.until("> ")
        terminal.type("\x04")
        assert terminal.end() == 0

    def test_ctrl_c_at_the_prompt_ends_it(self) -> None:
        terminal = Terminal([*STUB, "chat"])
        terminal.until("> ")
        terminal.process.send_signal(signal.SIGINT)
        terminal.type("\n")  # readline shows its prompt before it looks for signals: one that comes between needs a key
        assert terminal.end() == 130

    def test_an_error_is_told_and_the_conversation_goes_on(self) -> None:
        terminal = Terminal([*STUB, "chat", "-m", "local/fails"])
        terminal.until("> ")
        for _ in range(2):
            terminal.type("one\n")
            terminal.until("trivet: slow down")
            terminal.until("> ")
        terminal.type("/exit\n")
        assert terminal.end() == 0

    def test_an_unknown_model_is_told_before_the_first_question(self) -> None:
        terminal = Terminal([*STUB, "chat", "-m", "nope"])
        terminal.until("trivet: No model is named 'nope'")
        assert terminal.end() == 1
