"""A terminal of a given width, and what a command writes to it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

ROOT = Path(__file__).parent.parent


def on_terminal(folder: Path, columns: int, *args: str) -> str:
    """What `trivet ARGS` writes to a terminal of this width, without its colours."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"} | {"COLUMNS": str(columns)}
    with subprocess.Popen(
        [sys.executable, "-m", "trivet", *args], cwd=folder, env=env, stdout=its, stderr=subprocess.STDOUT
    ) as process:
        os.close(its)
        written = b""
        while True:
            try:
                read = os.read(ours, 65536)
            except OSError:  # Linux's way to say that the other end is closed
                break
            if not read:
                break
            written += read
        assert process.wait() == 0, written
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", written.decode()).replace("\r\n", "\n")
