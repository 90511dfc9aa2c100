"""The event loop goes on while embedded models load and answer. How long it stands still is measured by
`python -m benchmarks loop`; here is what keeps that short."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.engines import opened, opening, smollm2
from trivet.errors import WeightsError
from trivet.local.llama import engine

# --- llama.cpp: its binding holds the GIL from the beginning of a load to its end ------------------------------


def test_an_engine_makes_no_empty_run_and_looks_for_no_room_on_a_machine_without_a_gpu() -> None:
    import xllamacpp

    with opened() as model:
        parameters = model.engine._params(xllamacpp)
    kinds = {device["type"].name for device in xllamacpp.get_device_info()}
    assert parameters.warmup is False
    assert parameters.fit_params is (kinds != {"GGML_BACKEND_DEVICE_TYPE_CPU"})


async def test_files_are_read_before_the_engine_begins_and_off_the_loop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import xllamacpp

    order: list[Any] = []

    def server(parameters: Any) -> None:
        order.append("engine")
        raise RuntimeError("not today")

    def read_ahead(file: str) -> None:
        assert threading.current_thread() is not threading.main_thread()
        order.append(file)

    monkeypatch.setattr(engine, "_read_ahead", read_ahead)
    monkeypatch.setattr(xllamacpp, "Server", server)
    draft = tmp_path / "draft.gguf"
    async with opening(draft=str(draft)) as model:
        with pytest.raises(WeightsError, match=r"draft\.gguf.*not today"):
            await model.load()
    assert order == [str(smollm2()), str(draft), "engine"]


def test_reading_ahead_reads_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    class Counted(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            read.append(super().readinto(buffer) or 0)
            return read[-1]

    file = tmp_path / "weights"
    file.write_bytes(bytes(2 * engine.READ + 1))
    monkeypatch.setattr(engine, "open", lambda path, mode, buffering: Counted(path, mode), raising=False)
    engine._read_ahead(str(file))
    assert read == [engine.READ, engine.READ, 1, 0]
