"""What the tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.engines import llama, tooled

settings.register_profile("trivet", deadline=None)  # no test is timed
settings.load_profile("trivet")

__all__ = ["anyio_backend", "llama", "tooled"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
