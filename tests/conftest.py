"""Fixtures for every test."""

import os
from pathlib import Path

import pytest

# Processes that run tests side by side share the cores (make test): pools of BLAS and OpenMP
# threads would wait for each other at every small product. Kernels that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data():
    """Return a function from a real data file's name to its path; skips where it is absent."""

    def path(name: str) -> Path:
        file = SHARED / name
        if not file.exists():
            pytest.skip(f"the real data file {name} is not beside this checkout")
        return file

    return path
