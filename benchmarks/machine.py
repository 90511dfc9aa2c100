"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def machine(threads: int | None) -> Mapping[str, str]:
    """`threads` are the engine's, None for its own choice."""
    named = ("trivet", "xllamacpp", "llguidance", "uvicorn", "httptools", "uvloop", "aiohttp", "pyreqwest")
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "versions": ", ".join(f"{name} {version(name)}" for name in named if _installed(name)),
        "threads of the engine": "its own choice" if threads is None else str(threads),
        "load before": f"{os.getloadavg()[0]:.2f} (mean of the last minute)",
    }


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
