"""What the tests share."""

from __future__ import annotations

import os
import tempfile

import pytest
from hypothesis import settings

from tests.engines import llama, tooled

# No test is timed. The same examples each time: a check that fails has found what the change broke. `make fuzz` looks
# for what nobody has seen yet, in many fresh ones.
settings.register_profile("trivet", deadline=None, derandomize=True, max_examples=60)
settings.register_profile("fuzz", deadline=None, max_examples=2_000, print_blob=True)
settings.load_profile(os.environ.get("TRIVET_TEST_PROFILE", "trivet"))

for variable in [name for name in os.environ if name.endswith("_API_KEY")]:
    del os.environ[variable]  # no test may ask a real provider, on whose machine it ever runs

os.environ["TRIVET_STATE"] = tempfile.mkdtemp(prefix="trivet-tests-")  # and none may write into the user's ledger

__all__ = ["anyio_backend", "llama", "tooled"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
