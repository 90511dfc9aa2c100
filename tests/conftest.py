"""What the tests share."""

from __future__ import annotations

import pytest

from tests.engines import llama, tooled

__all__ = ["anyio_backend", "llama", "tooled"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
