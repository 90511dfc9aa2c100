"""What the tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.engines import llama, tooled

settings.register_profile("trivet", deadline=None)  # no test is timed
settings.load_profile("trivet")

for variable in [name for name in os.environ if name.endswith("_API_KEY")]:
    del os.environ[variable]  # no test may ask a real provider, on whose machine it ever runs

__all__ = ["anyio_backend", "llama", "tooled"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
