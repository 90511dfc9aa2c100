"""`hf:` pulls through the real huggingface_hub client, against a small hub on loopback.

The hub's shape is what the installed client (huggingface_hub 2.4.0) asks for and reads: `hf_api.py` for the listing
(`/api/models/REPO/revision/REVISION?blobs=True`), `file_download.py` for files (`/REPO/resolve/COMMIT/FILE`, ranges,
redirects), `utils/_http.py` for the `X-Error-Code` header of its errors.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

from tests.small_weights import gguf
from trivet.cli import main
from trivet.errors import ConfigError, WeightsError
from trivet.local.digests import records
from trivet.local.hub import parse, pull
from trivet.local.weights import verify_path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = gguf()


class Hub:
    """One repository, `maker/model`. `files` go through LFS where they are weights; `stated` overrides digests."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"model.gguf": MODEL, "README.md": b"# A model\n"}
        self.stated: dict[str, str] = {}
        self.sent: dict[str, bytes] = {}
        self.error: tuple[int, str] | None = None
        self.asked: list[tuple[str, str | None, str | None]] = []  # path, range, authorization
        hub = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def answer(self, http: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(http.path).path)
        self.asked.append((path, http.headers.get("Range"), http.headers.get("Authorization")))
        if self.error is not None:
            return self.send(http, self.error[0], b"no", {"X-Error-Code": self.error[1]})
        if path in (f"/api/models/maker/model/revision/{name}" for name in ("main", "v1", COMMIT)):
            return self.send(http, 200, json.dumps(self.listing()).encode(), {"Content-Type": "application/json"})
        head, _, file = path.partition(f"/resolve/{COMMIT}/")
        if head == "/maker/model" and self.is_lfs(file):
            # Large files lie on another host, as the real hub's do.
            return self.send(http, 302, b"", {"Location": f"http://localhost:{self.port}/cdn/{file}"})
        if head == "/maker/model" or path.startswith("/cdn/"):
            return self.send_file(http, file or path.removeprefix("/cdn/"))
        code = "RevisionNotFound" if "maker/model" in path else "RepoNotFound"
        return self.send(http, 404, b"", {"X-Error-Code": code})

    def send_file(self, http: BaseHTTPRequestHandler, file: str) -> None:
        data = self.sent.get(file, self.files[file])
        span = http.headers.get("Range")
        if span is None:
            return self.send(http, 200, data, {})
        start = int(span.removeprefix("bytes=").rstrip("-"))
        return self.send(http, 206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})

    def send(self, http: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        http.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            http.send_header(name, value)
        http.end_headers()
        http.wfile.write(body)

    @staticmethod
    def is_lfs(file: str) -> bool:
        return file.endswith((".gguf", ".safetensors", ".bin"))

    def listing(self) -> dict[str, Any]:
        siblings: list[dict[str, Any]] = []
        for name, data in self.files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            sibling: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": self.stated.get(name, blob)}
            if self.is_lfs(name):
                sha256 = self.stated.get(name, hashlib.sha256(data).hexdigest())
                sibling["lfs"] = {"size": len(data), "sha256": sha256, "pointerSize": 130}
            siblings.append(sibling)
        return {"id": "maker/model", "sha": COMMIT, "siblings": siblings, "cardData": {"license": "mit"}}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    made = Hub()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", made.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("TRIVET_HOME", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_user")
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def place(home: Path, file: str = "model.gguf") -> Path:
    return home / "hub" / "maker" / "model" / COMMIT / file


def parts(home: Path) -> list[Path]:
    return list((home / ".pull").rglob("*.part"))


# --- names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "repo", "file", "revision"),
    [
        ("hf:a/b", "a/b", None, None),
        ("hf:a/b@v1.0", "a/b", None, "v1.0"),
        ("hf:a/b/c.gguf@refs/pr/1", "a/b", "c.gguf", "refs/pr/1"),
        ("hf:a/b/q4/c.gguf", "a/b", "q4/c.gguf", None),
    ],
)
def test_a_name_is_owner_repository_file_and_revision(
    text: str, repo: str, file: str | None, revision: str | None
) -> None:
    name = parse(text)
    assert (name.repo, name.file, name.revision) == (repo, file, revision)
    assert str(name) == text


@pytest.mark.parametrize(
    "text",
    ["hf:", "hf:a", "hf:a/", "hf:../b", "hf:a/..", "hf:a/b/../c.gguf", "hf:a/b//c", "hf:a/b@", "hf:a/b/c\\d.gguf"],
)
def test_another_form_is_refused_with_the_right_one(text: str) -> None:
    with pytest.raises(WeightsError, match=r"The form is hf:OWNER/REPO\[/FILE\]@REVISION"):
        parse(text)


# --- what a pull does --------------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", ["", "@main", "@v1", f"@{COMMIT}"])
def test_a_revision_is_resolved_to_its_commit_which_is_in_the_path_and_in_the_name(
    hub: Hub, tmp_path: Path, revision: str
) -> None:
    pinned, paths, fresh = pull(f"hf:maker/model/model.gguf{revision}", tmp_path)
    assert pinned == f"hf:maker/model/model.gguf@{COMMIT}"
    assert paths == (place(tmp_path),)
    assert fresh
    assert paths[0].read_bytes() == MODEL


def test_what_was_pulled_is_recorded_with_its_digest_source_and_licence(hub: Hub, tmp_path: Path) -> None:
    pull("hf:maker/model/model.gguf@v1", tmp_path)
    (entry,) = records(tmp_path)
    assert entry.path == str(place(tmp_path))
    assert entry.sha256 == hashlib.sha256(MODEL).hexdigest()
    assert entry.source == f"hf:maker/model/model.gguf@{COMMIT}"
    assert entry.licence == "mit"


def test_a_pulled_gguf_is_used_by_its_path(hub: Hub, tmp_path: Path) -> None:
    (path,) = pull("hf:maker/model/model.gguf@v1", tmp_path).paths
    assert verify_path(path, tmp_path) == path


def test_a_pinned_file_that_is_here_is_found_without_asking_the_hub(hub: Hub, tmp_path: Path) -> None:
    name = pull("hf:maker/model/model.gguf@v1", tmp_path).pinned
    hub.asked.clear()
    assert pull(name, tmp_path) == (name, (place(tmp_path),), False)
    assert hub.asked == []


def test_a_branch_that_is_here_is_not_got_again(hub: Hub, tmp_path: Path) -> None:
    pull("hf:maker/model/model.gguf@main", tmp_path)
    hub.asked.clear()
    assert not pull("hf:maker/model/model.gguf@main", tmp_path).fresh
    assert [path for path, _, _ in hub.asked] == ["/api/models/maker/model/revision/main"]


def test_a_damaged_record_is_mended_by_a_pull(hub: Hub, tmp_path: Path) -> None:
    name, (path,), _ = pull("hf:maker/model/model.gguf@v1", tmp_path)
    (entry,) = (tmp_path / "own").iterdir()
    entry.write_bytes(b"{")
    assert pull(name, tmp_path).fresh
    assert verify_path(path, tmp_path) == path


def test_the_whole_repository_is_its_weights_tokenizer_and_configuration_and_never_code(
    hub: Hub, tmp_path: Path
) -> None:
    wanted = [
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
        "sub/config.json",
    ]
    never = ["pytorch_model.bin", "model.pt", "training_args.bin", "modeling.py", "x.pkl", "model.onnx", "../x.gguf"]
    hub.files = {name: name.encode() for name in wanted + never}
    pull("hf:maker/model@v1", tmp_path)
    folder = place(tmp_path, "")
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == sorted(wanted)
    assert not [path for path, _, _ in hub.asked if path.endswith(tuple(never))]


def test_a_split_gguf_comes_with_all_its_parts(hub: Hub, tmp_path: Path) -> None:
    names = [f"m-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    hub.files = dict.fromkeys([*names, "other-00001-of-00003.gguf"], MODEL)
    paths = pull(f"hf:maker/model/{names[0]}@v1", tmp_path).paths
    assert [path.name for path in paths] == names


def test_the_users_token_goes_to_the_hub_but_not_to_the_host_it_redirects_to(hub: Hub, tmp_path: Path) -> None:
    pull("hf:maker/model/model.gguf@v1", tmp_path)
    assert {path.split("/")[1]: token for path, _, token in hub.asked} == {
        "api": "Bearer hf_of_the_user",
        "maker": "Bearer hf_of_the_user",
        "cdn": None,
    }


# --- interrupted -------------------------------------------------------------------------------------------


def test_an_interrupted_file_is_taken_up_where_it_stopped(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)

    def interrupt(what: str, done: int, total: int | None) -> None:
        if done >= 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull("hf:maker/model/model.gguf@v1", tmp_path, interrupt)
    assert not place(tmp_path).exists()
    assert [part.stat().st_size for part in parts(tmp_path)] == [300]
    assert pull("hf:maker/model/model.gguf@v1", tmp_path).fresh
    assert hub.asked[-1][:2] == ("/cdn/model.gguf", "bytes=300-")
    assert place(tmp_path).read_bytes() == MODEL
    assert parts(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is Unix's")
def test_kill_9_in_mid_file_leaves_no_half_file_and_the_next_pull_takes_it_up(hub: Hub, tmp_path: Path) -> None:
    code = """
        import os, signal, sys
        from pathlib import Path
        from huggingface_hub import constants
        from trivet.local.hub import pull
        constants.DOWNLOAD_CHUNK_SIZE = 100
        def die(what, done, total):
            if done >= 200:
                os.kill(os.getpid(), signal.SIGKILL)
        pull("hf:maker/model/model.gguf@v1", Path(sys.argv[1]), die)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert not place(tmp_path).exists()
    pull("hf:maker/model/model.gguf@v1", tmp_path)
    assert hub.asked[-1][:2] == ("/cdn/model.gguf", "bytes=200-")
    assert place(tmp_path).read_bytes() == MODEL


def test_half_a_file_that_was_damaged_is_thrown_away_with_an_error(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)

    def interrupt(what: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull("hf:maker/model/model.gguf@v1", tmp_path, interrupt)
    (part,) = parts(tmp_path)
    part.write_bytes(b"!" * 100)
    with pytest.raises(WeightsError, match="was thrown away"):
        pull("hf:maker/model/model.gguf@v1", tmp_path)
    assert pull("hf:maker/model/model.gguf@v1", tmp_path).fresh
    assert place(tmp_path).read_bytes() == MODEL


# --- what can be wrong -------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["model.gguf", "config.json"], ids=["large file, SHA-256", "small file, git's SHA-1"])
def test_a_file_that_is_not_what_the_hub_states_is_thrown_away(hub: Hub, tmp_path: Path, file: str) -> None:
    hub.files["config.json"] = b"{}"
    hub.sent[file] = bytes(len(hub.files[file]))
    with pytest.raises(WeightsError, match=f"{file} of hf:maker/model was thrown away: its digest is not"):
        pull(f"hf:maker/model/{file}@v1", tmp_path)
    assert not place(tmp_path, file).exists()
    assert parts(tmp_path) == []
    assert records(tmp_path) == []


def test_a_file_that_is_longer_than_the_hub_states_is_cut_off(hub: Hub, tmp_path: Path) -> None:
    hub.sent["model.gguf"] = MODEL + b"more"
    with pytest.raises(WeightsError, match="sends more than the"):
        pull("hf:maker/model/model.gguf@v1", tmp_path)
    assert not place(tmp_path).exists()


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.pt", "weights.pkl", "modeling.py", "model.onnx"])
def test_pickles_and_code_are_refused_before_the_hub_is_asked(hub: Hub, tmp_path: Path, file: str) -> None:
    with pytest.raises(WeightsError, match="is not a kind of file that trivet gets"):
        pull(f"hf:maker/model/{file}@v1", tmp_path)
    assert hub.asked == []


def test_a_repository_of_pickles_alone_is_refused_with_what_it_has(hub: Hub, tmp_path: Path) -> None:
    hub.files = {"pytorch_model.bin": b"x", "config.json": b"{}"}
    with pytest.raises(WeightsError, match=r"no safetensors and no GGUF .*It has: pytorch_model\.bin, config\.json"):
        pull("hf:maker/model@v1", tmp_path)


def test_several_gguf_models_are_listed_to_choose_from(hub: Hub, tmp_path: Path) -> None:
    hub.files = {"q4.gguf": MODEL, "q8.gguf": MODEL}
    with pytest.raises(WeightsError, match=r"has 2 GGUF models\. Name one: q4\.gguf, q8\.gguf"):
        pull("hf:maker/model@v1", tmp_path)


def test_a_file_that_the_repository_lacks_is_refused_with_what_it_has(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"other\.gguf@0123.* does not exist\. The repository has: model\.gguf"):
        pull("hf:maker/model/other.gguf@v1", tmp_path)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("hf:maker/none@v1", None, "RepositoryNotFoundError"),
        ("hf:maker/model@v9", None, "RevisionNotFoundError"),
        ("hf:maker/model@v1", (403, "GatedRepo"), "GatedRepoError.*hf auth login"),
    ],
    ids=["repository", "revision", "gated"],
)
def test_what_the_hub_refuses_is_said_in_the_clients_words(
    hub: Hub, tmp_path: Path, name: str, error: tuple[int, str] | None, said: str
) -> None:
    hub.error = error
    with pytest.raises(WeightsError, match=f"The hub could not list {name}: {said}"):
        pull(name, tmp_path)


def test_a_hub_that_is_not_there_is_an_error_about_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{bound.getsockname()[1]}")
        with pytest.raises(WeightsError, match=r"ConnectError.*the network"):
            pull("hf:maker/model@v1", tmp_path)


def test_without_the_extra_the_command_that_installs_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r'pip install "trivet\[hub\]"'):
        pull("hf:maker/model@v1", tmp_path)


def test_an_altered_file_from_a_hub_names_the_pull_that_mends_it(hub: Hub, tmp_path: Path) -> None:
    (path,) = pull("hf:maker/model/model.gguf@v1", tmp_path).paths
    path.write_bytes(gguf(fill=9))
    with pytest.raises(WeightsError, match="altered") as caught:
        verify_path(path, tmp_path)
    command = f"trivet pull hf:maker/model/model.gguf@{COMMIT}"
    assert str(caught.value).endswith(command)
    assert main(["pull", "--quiet", command.split()[-1]]) == 0
    assert verify_path(path, tmp_path).read_bytes() == MODEL


# --- the commands ------------------------------------------------------------------------------------------


def test_the_command_prints_the_pinned_name_and_the_path_to_use(
    hub: Hub, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["pull", "hf:maker/model/model.gguf@main"]) == 0
    out, _ = capfd.readouterr()
    assert out == f"Pulled hf:maker/model/model.gguf@{COMMIT}: {place(tmp_path)}\n"
    assert main(["pull", "--quiet", "hf:maker/model/model.gguf@main"]) == 0
    assert capfd.readouterr() == ("", "")


def test_models_lists_what_came_from_a_hub(hub: Hub, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    hub.files["config.json"] = b"{}"
    assert main(["pull", "--quiet", "hf:maker/model@main"]) == 0
    capfd.readouterr()
    assert main(["models", "--json"]) == 0
    row = json.loads(capfd.readouterr().out)[-1]
    assert (row["path"], row["task"], row["licence"], row["here"]) == (str(place(tmp_path)), "chat", "mit", True)
    assert row["source"] == f"hf:maker/model/model.gguf@{COMMIT}"
